// Each hub of a cluster has a replication slot of its own.
import { expect, test } from 'vitest';
import { slotOf } from '../../src/engine/engine.js';

test('the slot is named after the database, so that two hubs of one cluster do not take it from each other', () => {
  expect(slotOf('postgres://u:p@h:5432/crm?sslmode=require')).toBe('truespoke_crm');
  expect(slotOf('postgres://h/')).toBe('truespoke');
});

test('any database name gives a valid slot name, and different names differ', () => {
  const names = ['CRM', 'crm', 'c-r-m', 'c r m', 'кафе', 'x'.repeat(63), `${'x'.repeat(62)}y`];
  const slots = names.map((name) => slotOf(`postgres://h/${encodeURIComponent(name)}`));
  for (const slot of slots) expect(slot).toMatch(/^[a-z0-9_]{1,63}$/);
  expect(new Set(slots).size).toBe(names.length);
});
