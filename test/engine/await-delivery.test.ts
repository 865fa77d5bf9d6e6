// Applications can know: truespoke.await_delivery after their commit, and the view behind it.
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RemoteFields } from '../../src/model/record.js';
import { openWheel, type Wheel } from '../support/wheel.js';
import { defaultLimits } from '../../src/engine/engine.js';

const note = `
entity: note
fields: { title: { type: text, match: exact }, body: text }
spokes:
  left: { object: Note, fields: { title: Title, body: Body } }
`;
const spokes = { left: { objects: { Note: { fields: { Title: {}, Body: { maxLength: 10 } } } } } };

let wheel: Wheel;
beforeEach(async () => {
  // The position of an idle stream moves every minute: only the mark of the waiting application makes it move sooner.
  const capture = { ...defaultLimits.capture, idleAdvanceMs: 60_000, waitMs: 200 };
  wheel = await openWheel({ spokes, mappings: [note], limits: { capture } });
  wheel.start();
  await wheel.until(
    async () => (await wheel.sql(`select 1 from truespoke.cursor where finished_at is not null`)).length > 0,
  );
});
afterEach(() => wheel.end());

test('after await_delivery the spoke shows what was committed before it', async () => {
  const [row] = await wheel.sql(`insert into hub.note (title, body) values ('a', 'first') returning id::text`);
  const states = await wheel.sql(`select * from truespoke.await_delivery('note', $1)`, [row?.['id']]);
  expect(states).toEqual([{ spoke: 'left', state: 'in place', reason: null }]);
  const [remote] = wheel.remote('left').list('Note');
  expect(remote?.fields).toMatchObject({ Title: 'a', Body: 'first' } satisfies Record<string, string>);
});

test('a refused edit is told as parked with its reason, and a good one closes it', async () => {
  const [row] = await wheel.sql(
    `insert into hub.note (title, body) values ('b', 'much too long a text') returning id::text`,
  );
  const [state] = await wheel.sql(`select * from truespoke.await_delivery('note', $1, array['left'])`, [row?.['id']]);
  expect(state?.['state']).toBe('parked');
  expect(state?.['reason']).toMatch(/too long|TOO_LONG|length/i);
  await wheel.sql(`update hub.note set body = 'short' where id = $1::uuid`, [row?.['id']]);
  const again = await wheel.sql(`select state from truespoke.await_delivery('note', $1)`, [row?.['id']]);
  expect(again).toEqual([{ state: 'in place' }]);
});

test('a spoke that does not answer is pending when the time is up, not an error', async () => {
  const id = wheel.remote('left').create('Note', { Title: 'c' } as RemoteFields);
  await wheel.until(async () => (await wheel.sql(`select 1 from hub.note where title = 'c'`)).length > 0);
  await wheel.sql(`update truespoke.spoke set paused_at = '2026-01-01', paused_by = 'person', paused_reason = 'test'`);
  await wheel.until(async () => {
    await wheel.sql(`update hub.note set body = 'x' || (random() * 1000)::int where title = 'c'`);
    const [state] = await wheel.sql(
      `select s.state from hub.note n, truespoke.await_delivery('note', n.id::text, null, interval '300 milliseconds') s where n.title = 'c'`,
    );
    return state?.['state'] === 'pending';
  });
  expect(wheel.remote('left').get('Note', id)).toBeDefined();
});
