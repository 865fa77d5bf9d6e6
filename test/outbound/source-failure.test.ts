// What the server says of a slot that it gave up differs by version; the verdict must not (F35).
import { expect, test } from 'vitest';
import { sourceFailure } from '../../src/outbound/source-failure.js';

test.each([
  ['14, 15', 'cannot read from logical replication slot "truespoke"', '55000'],
  ['16, 17', 'can no longer get changes from replication slot "truespoke"', '55000'],
  ['18', 'can no longer access replication slot "truespoke"', '55000'],
  ['a reader behind', 'requested WAL segment 000000010000000000000003 has already been removed', '58P01'],
])('F35 Postgres %s: the slot is lost, and a new one is due', (_, message, code) => {
  const failure = sourceFailure(Object.assign(new Error(message), { code }), 'truespoke');
  expect(failure).toMatchObject({ code: 'slot_lost', recovery: 'halt' });
});

test('what is not known is tried again', () => {
  expect(sourceFailure(new Error('read ECONNRESET'), 'truespoke')).toMatchObject({
    code: 'source_broken',
    recovery: 'retry',
  });
});
