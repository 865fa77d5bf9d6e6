// Several candidates are never guessed among: a person sees the evidence and decides, either way, in either direction.
// Proves: Invariant 2
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { systemIds } from '../../src/base/random.js';
import { decideLink, decideNew, type DecisionDeps } from '../../src/engine/decisions.js';
import { defaultLimits } from '../../src/engine/engine.js';
import { explainReview } from '../../src/engine/evidence.js';
import { mergeRecords } from '../../src/engine/identity.js';
import { entityName, hubId } from '../../src/model/ids.js';
import type { RemoteFields } from '../../src/model/record.js';
import { listAudit } from '../../src/store/audit.js';
import { openReviews } from '../../src/store/conflicts.js';
import { transaction } from '../../src/store/pool.js';
import { openWheel, type Wheel } from '../support/wheel.js';

const person = `
entity: person
fields: { email: { type: text, match: case-insensitive }, name: text, phone: text }
spokes:
  left: { object: Person, fields: { email: Email, name: Name, phone: Phone } }
  right: { object: Person, fields: { email: Email, name: Name, phone: Phone } }
`;
const Person = { fields: { Email: {}, Name: {}, Phone: {} } };
const of = (fields: Record<string, string>): RemoteFields => fields as RemoteFields;

let wheel: Wheel;
afterEach(() => wheel.end());
const deps = (): DecisionDeps => ({
  pool: wheel.db.pool,
  clock: systemClock,
  ids: systemIds(systemClock),
  mapping: wheel.mapping,
  actor: 'tester',
  limits: defaultLimits.inbound,
});
const open = async (): Promise<void> => {
  wheel = await openWheel({
    spokes: { left: { objects: { Person } }, right: { objects: { Person } } },
    mappings: [person],
  });
  wheel.start();
  // What is in the hub before an object was read is compared with it afterwards: here nothing shall be.
  await wheel.until(async () => {
    const rows = await wheel.sql(`select 1 from truespoke.cursor where kind = 'scan' and finished_at is not null`);
    return rows.length === 2;
  });
  await wheel.settled();
};
const reviews = (): Promise<Record<string, string | null>[]> =>
  wheel.sql(`select id, kind, spoke, key from truespoke.review where state = 'open' order by id`);
const oneReview = async (): Promise<string> => (await wheel.until(async () => (await reviews())[0]))['id'] ?? '';
const linked = async (spoke: string): Promise<Record<string, string | null>[]> =>
  wheel.sql(
    `select p.name, l.external_id from truespoke.link l join hub.person p on p.id::text = l.hub_id
      where l.spoke = $1 and l.state = 'live' order by p.name`,
    [spoke],
  );
const names = (spoke: string): unknown[] =>
  wheel
    .remote(spoke)
    .list('Person')
    .map((row) => row.fields['Name' as never])
    .sort();

/** Two of the hub with one address, one of the left spoke that may be either. */
async function ambiguous(): Promise<{ id: string; review: string; ann: string; bob: string }> {
  await open();
  // No spoke knows them yet: they were there before any of it.
  await wheel.stop();
  await wheel.sql(`insert into hub.person (email, name) values ('x@x.test', 'Ann'), ('x@x.test', 'Bob')`);
  await wheel.sql(`select pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) from pg_replication_slots
    where slot_name in (select slot from truespoke.position)`);
  await wheel.sql(`update truespoke.position set durable_lsn = pg_current_wal_lsn()`);
  const id = wheel.remote('left').create('Person', of({ Email: 'X@x.test', Name: 'Annie', Phone: '1' }));
  await wheel.restart().catch(() => undefined);
  const asked = async (): Promise<Record<string, string | null> | undefined> =>
    (await reviews()).find(({ kind }) => kind === 'ambiguous');
  const review = (await wheel.until(asked))['id'] ?? '';
  const [ann, bob] = await wheel.sql('select id::text from hub.person order by name');
  return { id, review, ann: ann?.['id'] ?? '', bob: bob?.['id'] ?? '' };
}

describe('a record of a spoke that may be one of several', () => {
  test('is shown beside the candidates, and linked to the one that a person names', async () => {
    const { id, review, ann, bob } = await ambiguous();
    const shown = await explainReview(deps(), review);
    expect(shown.record).toMatchObject({ id, fields: { email: 'X@x.test', name: 'Annie', phone: '1' } });
    expect(shown.candidates.map((one) => [one.id, one.fields['name' as never], one.free])).toEqual(
      [ann, bob].sort().map((one) => [one, one === ann ? 'Ann' : 'Bob', true]),
    );
    await expect(decideLink(deps(), review, '00000000-0000-7000-8000-000000000000')).rejects.toThrow('no person');
    await decideLink(deps(), review, ann);
    await wheel.settled();
    expect((await linked('left')).map((row) => row['external_id'])).toContain(id);
    // What both held is merged by policy; the loser is kept.
    expect(await wheel.sql('select name, phone from hub.person where id = $1', [ann])).toEqual([
      { name: 'Ann', phone: '1' },
    ]);
    expect(await wheel.sql('select hub_value, spoke_value from truespoke.conflict where field = $1', ['name'])).toEqual(
      [{ hub_value: 'Ann', spoke_value: 'Annie' }],
    );
    // What the two rows may ask in turn is another question.
    expect((await reviews()).filter(({ kind }) => kind === 'ambiguous')).toEqual([]);
    expect((await listAudit(wheel.db.pool, 1)).map(({ action }) => action)).toEqual(['review.link']);
    await expect(decideLink(deps(), review, bob)).rejects.toThrow('no open review');
  });

  test('is a new one where a person says so, and reaches the other spoke', async () => {
    const { id, review } = await ambiguous();
    await decideNew(deps(), review);
    await wheel.settled();
    expect(await linked('left')).toEqual([{ name: 'Annie', external_id: id }]);
    // The other spoke holds it too by now, or asks: three of one address are for a person there as well.
    await wheel.until(async () => names('right').length > 0 || (await reviews()).length > 0);
    expect((await wheel.sql('select 1 from hub.person')).length).toBe(3);
  });
});

describe('two rows of the hub for one record of a spoke', () => {
  test('neither is linked to it because it came first: a person is asked about each', async () => {
    await open();
    await wheel.stop();
    wheel.remote('left').create('Person', of({ Email: 'X@x.test', Name: 'Annie' }));
    await wheel.sql(`insert into hub.person (email, name) values ('x@x.test', 'Ann'), ('x@x.test', 'Bob')`);
    await wheel.restart({ roles: ['capture', 'outbound'] }).catch(() => undefined);
    await wheel.until(async () => (await reviews()).filter(({ spoke }) => spoke === 'left').length === 2);
    await wheel.settled();
    expect(await linked('left')).toEqual([]);
    expect(names('left')).toEqual(['Annie']);
  });
});

describe('two records of one spoke for one thing', () => {
  test('the second is refused a link to the same hub record, and may be a new one', async () => {
    await open();
    wheel.remote('left').create('Person', of({ Email: 'x@x.test', Name: 'Ann' }));
    await wheel.until(async () => (await linked('left')).length === 1);
    await wheel.settled();
    const second = wheel.remote('left').create('Person', of({ Email: 'x@x.test', Name: 'Other' }));
    const review = await oneReview();
    const shown = await explainReview(deps(), review);
    expect(shown.candidates.map(({ free }) => free)).toEqual([false]);
    await expect(decideLink(deps(), review, shown.candidates[0]?.id ?? '')).rejects.toThrow('already');
    await decideNew(deps(), review);
    await wheel.until(async () => (await linked('left')).some((row) => row['external_id'] === second));
    // At the right one an Ann exists with that address: the hub row asks in turn, and the answer holds there too.
    const asked = await oneReview();
    expect((await reviews())[0]).toMatchObject({ kind: 'duplicate', spoke: 'right' });
    await decideNew(deps(), asked);
    await wheel.until(() => names('right').length === 2);
    await wheel.settled();
    expect([names('right'), await reviews()]).toEqual([['Ann', 'Other'], []]);
    expect(await wheel.sql(`select 1 from truespoke.parked where state in ('open', 'waiting')`)).toEqual([]);
  });

  test('a hub row that a spoke holds two of is linked to the one that is named; what is there is merged, not written over', async () => {
    await open();
    await wheel.stop();
    const right = wheel.remote('right');
    const a = right.create('Person', of({ Email: 'x@x.test', Name: 'A', Phone: '7' }));
    const b = right.create('Person', of({ Email: 'x@x.test', Name: 'B', Phone: '8' }));
    const [row] = await wheel.sql(`insert into hub.person (email, name) values ('x@x.test', 'Hub') returning id::text`);
    const id = row?.['id'] ?? '';
    const feed = { spoke: 'right', entity: 'person' };
    const question = { ...feed, kind: 'duplicate', key: id, evidence: { hubId: id, externalIds: [a, b] } } as never;
    await transaction(wheel.db.pool, (tx) => openReviews(tx, [question], 0));
    const review = (await reviews())[0]?.['id'] ?? '';
    expect((await explainReview(deps(), review)).candidates.map((one) => [one.id, one.free])).toEqual([
      [a, true],
      [b, true],
    ]);
    await decideLink(deps(), review, a);
    await wheel.restart().catch(() => undefined);
    await wheel.until(() => right.get('Person', a)?.fields['Name' as never] === 'Hub');
    await wheel.settled();
    expect(await wheel.sql('select name, phone from hub.person')).toContainEqual({ name: 'Hub', phone: '7' });
    expect(right.get('Person', b)?.fields).toMatchObject({ Name: 'B', Phone: '8' });
    expect(
      await wheel.sql(`select hub_value, spoke_value from truespoke.conflict where spoke = 'right' and field = 'name'`),
    ).toContainEqual({ hub_value: 'Hub', spoke_value: 'A' });
  });

  test('two hub rows that are joined answer what was asked about them', async () => {
    await open();
    await wheel.sql(`insert into hub.person (email, name) values ('x@x.test', 'Ann')`);
    await wheel.until(() => names('left').length === 1 && names('right').length === 1);
    await wheel.settled();
    await wheel.sql(`insert into hub.person (email, name) values ('x@x.test', 'Ann again')`);
    await wheel.until(async () => (await reviews()).length === 2);
    const [ann, again] = await wheel.sql('select id::text from hub.person order by name');
    const request = {
      entity: entityName('person'),
      survivor: hubId(ann?.['id'] ?? ''),
      loser: hubId(again?.['id'] ?? ''),
    };
    await mergeRecords(deps(), request);
    await wheel.settled();
    expect([await reviews(), names('left'), names('right')]).toEqual([[], ['Ann'], ['Ann']]);
    expect(await wheel.sql(`select 1 from truespoke.parked where state in ('open', 'waiting')`)).toEqual([]);
  });
});
