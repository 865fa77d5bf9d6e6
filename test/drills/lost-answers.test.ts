// A slice of the ambiguous outcomes; `npm run drills -- --only F64` loses ten thousand.
// Proves: Law 5
import { expect, test } from 'vitest';
import { loseAnswers } from './lost-answers.js';

test('F64 eighty and more lost answers to creates, updates and deletes: no effect twice, none only claimed, at a strong and a weak spoke', async () => {
  const { lost } = await loseAnswers(40, 25);
  expect(lost.applied + lost.unapplied).toBeGreaterThanOrEqual(80);
}, 120_000);
