// What people order leaves an audit row, and held deletions leave through approval only.
// Proves: Law 8, Invariant 8
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { parseMapping } from '../../src/mapping/load.js';
import { defaultLimits } from '../../src/engine/engine.js';
import { orderApprove, orderClose, orderReplay, type OrderDeps } from '../../src/engine/orders.js';
import { audit, brokenAudit, listAudit } from '../../src/store/audit.js';
import { openReviews } from '../../src/store/conflicts.js';
import { park } from '../../src/store/parked.js';
import { transaction } from '../../src/store/pool.js';
import { listReviews } from '../../src/store/reviews.js';
import { openWheel, type Wheel } from '../support/wheel.js';

const person = `
entity: person
fields:
  email: { type: text, match: case-insensitive }
  name: text
spokes:
  left:
    object: Contact
    fields: { email: Email, name: Name }
    delete: propagate
`;
const { mapping } = parseMapping([{ file: 'person.yaml', text: person }], { spokes: ['left'] });

let wheel: Wheel;
let deps: OrderDeps & { readonly mapping: typeof mapping };
beforeEach(async () => {
  wheel = await openWheel({
    spokes: { left: { capabilities: { stream: false }, objects: { Contact: { fields: { Email: {}, Name: {} } } } } },
    mappings: [person],
    limits: {
      capture: { ...defaultLimits.capture, massDelete: { absolute: 3, relative: 0.1 }, idleAdvanceMs: 20, waitMs: 200 },
      inbound: { ...defaultLimits.inbound, massDelete: { absolute: 3, relative: 0.1 } },
    },
  });
  deps = { pool: wheel.db.pool, clock: systemClock, mapping, actor: 'cli tester' };
});
afterEach(() => wheel.end());

const shown = (): number => wheel.remote('left').list('Contact').length;
const ids = async (): Promise<string[]> => (await listReviews(wheel.db.pool, { limit: 10 })).map((review) => review.id);
const people = async (): Promise<number> => Number((await wheel.sql('select count(*) as n from hub.person'))[0]?.['n']);
const oneReview = (): Promise<string> => wheel.until(async () => (await ids())[0]);

async function tenPeople(): Promise<void> {
  wheel.start();
  await wheel.sql(
    `insert into hub.person (email, name) select 'p' || i || '@x.test', 'P' from generate_series(1, 10) i`,
  );
  await wheel.settled();
  expect(shown()).toBe(10);
}

describe('held deletions', () => {
  test('F106 deletions of unusually many hub rows stay held until a person approves, then they go', async () => {
    await tenPeople();
    await wheel.sql(`delete from hub.person where email <> 'p1@x.test'`);
    const id = await oneReview();
    await wheel.settled();
    expect(shown()).toBe(10);
    const [approved] = await orderApprove(deps, [id]);
    expect(approved).toMatchObject({ released: 9, review: { kind: 'mass_delete', entity: 'person' } });
    await wheel.settled();
    expect([shown(), await ids()]).toEqual([1, []]);
    expect(await orderApprove(deps, [id])).toEqual([]);
  });

  test('F51 TRUNCATE deletes nothing anywhere until it is approved', async () => {
    await tenPeople();
    await wheel.sql('truncate hub.person');
    const id = await oneReview();
    await wheel.settled();
    expect(shown()).toBe(10);
    expect((await orderApprove(deps, [id]))[0]?.released).toBe(10);
    await wheel.settled();
    expect(shown()).toBe(0);
  });

  test('F106 unusually many records gone from a spoke stay in the hub until a person approves', async () => {
    await tenPeople();
    for (const row of wheel.remote('left').list('Contact').slice(0, 8)) wheel.remote('left').remove('Contact', row.id);
    const id = await oneReview();
    await wheel.settled();
    expect(await people()).toBe(10);
    expect((await orderApprove(deps, [id]))[0]?.released).toBe(8);
    await wheel.until(async () => (await people()) === 2);
    // No other spoke has a record of theirs: nothing is asked once more.
    await wheel.settled();
    expect(await ids()).toEqual([]);
    expect(await wheel.sql(`select 1 from truespoke.parked where state = 'open'`)).toEqual([]);
    expect(await wheel.sql('select 1 from truespoke.delivery')).toEqual([]);
  });

  test('a question that holds nothing back is closed, not approved', async () => {
    const question = { kind: 'duplicate', spoke: 'left', entity: 'person', key: 'x', evidence: {} } as never;
    await transaction(wheel.db.pool, (tx) => openReviews(tx, [question], 0));
    const id = await oneReview();
    await expect(orderApprove(deps, [id])).rejects.toThrow('holds nothing back');
    expect(await orderClose(deps, [id], 'merged')).toHaveLength(1);
    expect(await orderClose(deps, [id], 'merged')).toHaveLength(0);
    expect((await listAudit(wheel.db.pool, 10)).map(({ action, detail }) => [action, detail['note']])).toEqual([
      ['review.close', 'merged'],
    ]);
  });
});

describe('replay', () => {
  test('F22 however many are parked, all are tried again', async () => {
    const row = (key: string): unknown => ({
      direction: 'out',
      spoke: 'left',
      entity: 'person',
      key,
      state: 'open',
      code: 'rejected',
      message: 'no',
      field: null,
      payload: null,
      waitsFor: null,
      deadlineMs: null,
    });
    const rows = Array.from({ length: 2_100 }, (_, i) => row(`00000000-0000-7000-8000-${String(i).padStart(12, '0')}`));
    await transaction(wheel.db.pool, (tx) => park(tx, rows as never, 0));
    const { replayed, left } = await orderReplay(deps, {});
    expect([replayed.length, left.length]).toEqual([2_100, 0]);
    expect((await listAudit(wheel.db.pool, 10)).map(({ action }) => action)).toEqual(Array(3).fill('parked.replay'));
  });
});

describe('audit', () => {
  test('orders from every door are kept in order, each with who gave it', async () => {
    expect(await wheel.engine.pause('left', 'ops')).toBe(true);
    expect(await wheel.engine.resume('left', 'ops')).toBe(true);
    expect(await wheel.engine.pause('nowhere', 'ops')).toBe(false);
    expect((await listAudit(wheel.db.pool, 10)).map(({ actor, action }) => `${actor}: ${action}`)).toEqual([
      'api ops: spoke.resume',
      'api ops: spoke.pause',
    ]);
    expect(await brokenAudit(wheel.db.pool)).toBeNull();
  });

  test('a row cannot be changed or taken out, and where a superuser did so it shows', async () => {
    const entry = (n: number): Promise<void> =>
      transaction(wheel.db.pool, (tx) =>
        audit(tx, { actor: `a${n}`, action: 'x', detail: { n, rate: 1.5 } }, n * 1_001),
      );
    // At once: writers queue, so the chain does not fork.
    await Promise.all([1, 2, 3, 4, 5].map(entry));
    expect(await brokenAudit(wheel.db.pool)).toBeNull();
    for (const attack of [
      `update truespoke.audit set actor = 'x'`,
      'delete from truespoke.audit',
      'truncate truespoke.audit',
    ])
      await expect(wheel.sql(attack)).rejects.toThrow('append-only');
    const [first, second] = (await listAudit(wheel.db.pool, 10)).toReversed();
    await wheel.sql('alter table truespoke.audit disable trigger all');
    await wheel.sql(`update truespoke.audit set detail = '{"n": 9}' where id = $1`, [second?.id]);
    expect(await brokenAudit(wheel.db.pool)).toBe(second?.id);
    await wheel.sql('delete from truespoke.audit where id = $1', [second?.id]);
    expect(Number(await brokenAudit(wheel.db.pool))).toBe(Number(second?.id) + 1);
    await wheel.sql(`update truespoke.audit set at = at + interval '1 s' where id = $1`, [first?.id]);
    expect(await brokenAudit(wheel.db.pool)).toBe(first?.id);
  });
});

describe('lag', () => {
  test('status tells how old the oldest commit that is not journaled can be', async () => {
    wheel.start();
    await wheel.settled();
    const lag = async (): Promise<number | null> => (await wheel.engine.status()).replication.lagSeconds;
    expect(await lag()).toBeLessThan(2);
    const [at] = await wheel.sql('select current_at from truespoke.position');
    expect(Math.abs(Date.parse(at?.['current_at'] ?? '') - Date.now())).toBeLessThan(10_000);
  });
});
