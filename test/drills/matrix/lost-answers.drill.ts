// Ten thousand lost answers, some applied and some not, over creates, updates and deletes: no effect twice, none only claimed.
import { expect, test } from 'vitest';
import { loseAnswers } from '../lost-answers.js';
import './world.js';

test('F64 ten thousand lost answers', { timeout: 1_800_000 }, async (context) => {
  const { lost, ...effects } = await loseAnswers(10_000, 200);
  const all = lost.applied + lost.unapplied;
  expect(all).toBeGreaterThanOrEqual(10_000);
  const point = `${all} lost, ${lost.applied} applied; ${effects.creates}+${effects.updates}+${effects.deletes} effects a spoke`;
  context.task.meta.drill = { fault: 'F64', point, spoke: 'both', hit: 1, recoveredMs: null };
});
