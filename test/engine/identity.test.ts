// Two hub records found to be one, by a person or by a spoke, and taken apart again.
// Proves: Law 5, Law 8, Law 9, Invariant 2
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { mergeRecords, undoMerge, type IdentityDeps } from '../../src/engine/identity.js';
import { parseMapping } from '../../src/mapping/load.js';
import type { MemoryRemote } from '../../src/connectors/memory/remote.js';
import { entityName, hubId } from '../../src/model/ids.js';
import type { RemoteFields } from '../../src/model/record.js';
import { openWheel, type Wheel } from '../support/wheel.js';

const mappings = [
  `
entity: person
fields: { email: { type: text, match: exact }, name: text, phone: text }
spokes:
  left: { object: Person, fields: { email: Email, name: Name, phone: Phone }, delete: propagate }
  right: { object: Person, fields: { email: Email, name: Name, phone: Phone }, delete: propagate }
`,
  `
entity: visit
fields: { code: { type: text, match: exact }, person: { ref: person } }
spokes:
  left: { object: Visit, fields: { code: Code, person: PersonId } }
`,
];
const Person = { fields: { Email: {}, Name: {}, Phone: {} } };
const Visit = { fields: { Code: {}, PersonId: { type: 'id' as const, references: 'Person' } } };
const of = (fields: Record<string, string>): RemoteFields => fields as RemoteFields;

let wheel: Wheel;
afterEach(() => wheel.end());

const text = async (sql: string): Promise<string> => JSON.stringify(await wheel.sql(sql));
const links = (): Promise<string> =>
  text(`select spoke, external_id, state, (select email from hub.person p where p.id::text = hub_id) as email
          from truespoke.link where entity = 'person' order by spoke, external_id`);

test('a merge moves links and references, fills what is lacking, leaves the second record alone, and can be undone', async () => {
  wheel = await openWheel({
    spokes: { left: { objects: { Person, Visit } }, right: { objects: { Person } } },
    mappings,
  });
  const [left, right] = [wheel.remote('left'), wheel.remote('right')];
  left.create('Person', of({ Email: 'ann@x.test', Name: 'Ann' }));
  const second = left.create('Person', of({ Email: 'ann@old.test', Name: 'Ann', Phone: '123' }));
  const visit = left.create('Visit', of({ Code: 'v1', PersonId: second }));
  wheel.start();
  await wheel.settled();
  const ids = new Map(
    (await wheel.sql('select id::text, email from hub.person')).map((row) => [row['email'], row['id']]),
  );
  const [survivor, loser] = [hubId(ids.get('ann@x.test') ?? ''), hubId(ids.get('ann@old.test') ?? '')];
  const before = {
    links: await links(),
    people: await text('select id, email, name, phone from hub.person order by id'),
  };

  const { mapping } = parseMapping(mappings.map((yaml, i) => ({ file: `${i}.yaml`, text: yaml })));
  const deps: IdentityDeps = { pool: wheel.db.pool, clock: systemClock, mapping, actor: 'tester' };
  const request = { entity: entityName('person'), survivor, loser };
  const joined = await mergeRecords(deps, request);
  expect(joined.references).toBe(1);
  expect(joined.leftAtSpokes.map(([spoke]) => spoke)).toEqual(['left', 'right']);
  await wheel.settled();
  expect(await text('select email, phone from hub.person')).toBe(
    JSON.stringify([{ email: 'ann@x.test', phone: '123' }]),
  );
  expect(left.get('Visit', visit)?.fields).toMatchObject({ PersonId: left.list('Person')[0]?.id });
  // The second record is still there, and an edit of it is nobody's any more.
  left.edit('Person', second, of({ Name: 'Nobody' }));
  await wheel.settled();
  expect([left.list('Person').length, right.list('Person').length]).toEqual([2, 2]);
  expect(await text('select name from hub.person')).toBe(JSON.stringify([{ name: 'Ann' }]));
  left.edit('Person', second, of({ Name: 'Ann' }));

  await undoMerge(deps, joined.id);
  await wheel.settled();
  expect({
    links: await links(),
    people: await text('select id, email, name, phone from hub.person order by id'),
  }).toEqual(before);
  expect(left.get('Visit', visit)?.fields).toMatchObject({ PersonId: second });
  await expect(undoMerge(deps, joined.id)).rejects.toThrow('no merge');
  await expect(mergeRecords(deps, { ...request, loser: survivor })).rejects.toThrow('not two records');
});

const identity = (texts: readonly string[] = mappings): IdentityDeps => {
  const { mapping } = parseMapping(texts.map((yaml, i) => ({ file: `${i}.yaml`, text: yaml })));
  return { pool: wheel.db.pool, clock: systemClock, mapping, actor: 'tester' };
};
const person = entityName('person');
const idOf = async (email: string): Promise<ReturnType<typeof hubId>> =>
  hubId((await wheel.sql('select id::text from hub.person where email = $1', [email]))[0]?.['id'] ?? '');
const reviews = (): Promise<string> =>
  text(`select kind, spoke, key from truespoke.review where state = 'open' order by id`);

/** Ann twice: at the left one, in the hub, at the right one; her visit belongs to the second. */
async function twoAnns(): Promise<{ first: string; second: string; visit: string }> {
  wheel = await openWheel({
    spokes: { left: { objects: { Person, Visit } }, right: { objects: { Person } } },
    mappings,
  });
  const left = wheel.remote('left');
  const first = left.create('Person', of({ Email: 'ann@x.test', Name: 'Ann' }));
  const second = left.create('Person', of({ Email: 'ann@old.test', Name: 'Anna', Phone: '123' }));
  const visit = left.create('Visit', of({ Code: 'v1', PersonId: second }));
  wheel.start();
  await wheel.settled();
  return { first, second, visit };
}

describe('F104 a merge inside a spoke is followed', () => {
  test('the surviving record is another hub record: the two are joined; what is left elsewhere is asked about', async () => {
    const { first, second, visit } = await twoAnns();
    const [left, right] = [wheel.remote('left'), wheel.remote('right')];
    const loser = await idOf('ann@old.test');
    left.merge('Person', { winner: first, loser: second });
    await wheel.until(async () => (await wheel.sql('select 1 from hub.person')).length === 1);
    await wheel.settled();
    expect(await text('select email, name, phone from hub.person')).toBe(
      JSON.stringify([{ email: 'ann@x.test', name: 'Ann', phone: '123' }]),
    );
    expect(left.get('Person', first)?.fields).toMatchObject({ Phone: '123' });
    expect(left.get('Visit', visit)?.fields).toMatchObject({ PersonId: first });
    // Nothing was deleted anywhere by the merge; a person is told of the second record there.
    expect(right.list('Person')).toHaveLength(2);
    const [aside] = await wheel.sql(
      `select external_id from truespoke.link where spoke = 'right' and state = 'merged'`,
    );
    expect(await reviews()).toBe(JSON.stringify([{ kind: 'duplicate', spoke: 'right', key: aside?.['external_id'] }]));
    expect(await text(`select loser, actor from truespoke.merge`)).toBe(
      JSON.stringify([{ loser, actor: 'spoke left' }]),
    );
    // The person merges them there, and keeps the one that we had set aside: it takes the other one's place.
    const [other] = await wheel.sql(`select external_id from truespoke.link where spoke = 'right' and state = 'live'`);
    right.merge('Person', { winner: aside?.['external_id'] ?? '', loser: other?.['external_id'] ?? '' });
    await wheel.until(
      async () =>
        (
          await wheel.sql(`select 1 from truespoke.link where state = 'live' and external_id = $1`, [
            aside?.['external_id'],
          ])
        ).length === 1,
    );
    await wheel.settled();
    await wheel.sql(`update hub.person set name = 'Ann Lee'`);
    await wheel.settled();
    expect(right.list('Person').map((row) => [row.id, row.fields['Name' as never]])).toEqual([
      [aside?.['external_id'], 'Ann Lee'],
    ]);
  });

  test('the surviving record was never seen: the link goes there, and it is not taken for a second one', async () => {
    wheel = await openWheel({
      spokes: { left: { objects: { Person, Visit } }, right: { objects: { Person } } },
      mappings,
    });
    const left = wheel.remote('left');
    const old = left.create('Person', of({ Email: 'ann@x.test', Name: 'Ann' }));
    wheel.start();
    await wheel.settled();
    await wheel.stop();
    const fresh = left.create('Person', of({ Email: 'ann@x.test', Name: 'Ann Lee' }));
    left.merge('Person', { winner: fresh, loser: old });
    await wheel.restart().catch(() => undefined);
    await wheel.until(async () => (await text('select name from hub.person')).includes('Ann Lee'));
    await wheel.settled();
    expect(await text(`select external_id from truespoke.link where spoke = 'left' and state = 'live'`)).toBe(
      JSON.stringify([{ external_id: fresh }]),
    );
    expect([await reviews(), wheel.remote('right').list('Person').length]).toEqual(['[]', 1]);
  });

  test('one after the other in one poll: all are one', async () => {
    const { first, second } = await twoAnns();
    const left = wheel.remote('left');
    const third = left.create('Person', of({ Email: 'ann@third.test', Name: 'A' }));
    await wheel.until(async () => (await wheel.sql('select 1 from hub.person')).length === 3);
    await wheel.settled();
    await wheel.stop();
    left.merge('Person', { winner: first, loser: second });
    left.merge('Person', { winner: third, loser: first });
    await wheel.restart().catch(() => undefined);
    await wheel.until(async () => (await wheel.sql('select 1 from hub.person')).length === 1);
    await wheel.settled();
    expect(await text('select email, phone from hub.person')).toBe(
      JSON.stringify([{ email: 'ann@third.test', phone: '123' }]),
    );
    expect(left.list('Person').map((row) => row.id)).toEqual([third]);
  });
});

describe('undo', () => {
  test('after a restart and later edits: what was changed since stays, the rest goes back, twice merged wants the later first', async () => {
    const { first, second, visit } = await twoAnns();
    const left = wheel.remote('left');
    const later = left.create('Visit', of({ Code: 'v2', PersonId: second }));
    await wheel.until(async () => (await wheel.sql('select 1 from hub.visit')).length === 2);
    await wheel.settled();
    const [survivor, loser] = [await idOf('ann@x.test'), await idOf('ann@old.test')];
    const joined = await mergeRecords(identity(), { entity: person, survivor, loser });
    await wheel.settled();
    await wheel.restart();
    await wheel.sql(`update hub.person set name = 'Ann Lee'`);
    const third = left.create('Person', of({ Email: 'ann@third.test', Name: 'A' }));
    await wheel.until(async () => (await wheel.sql('select 1 from hub.person')).length === 2);
    const other = await idOf('ann@third.test');
    await wheel.sql(`update hub.visit set person = $1 where code = 'v2'`, [other]);
    await wheel.settled();
    const again = await mergeRecords(identity(), { entity: person, survivor: other, loser: survivor });
    await wheel.settled();
    await expect(undoMerge(identity(), joined.id)).rejects.toThrow('merged into another record since');
    await undoMerge(identity(), again.id);
    await undoMerge(identity(), joined.id);
    await wheel.settled();
    expect(await text('select email, name, phone from hub.person order by email')).toBe(
      JSON.stringify([
        { email: 'ann@old.test', name: 'Anna', phone: '123' },
        { email: 'ann@third.test', name: 'A', phone: null },
        { email: 'ann@x.test', name: 'Ann Lee', phone: null },
      ]),
    );
    expect(
      left.list('Person').map((row) => [row.id, row.fields['Email' as never], row.fields['Name' as never]]),
    ).toEqual([
      [first, 'ann@x.test', 'Ann Lee'],
      [second, 'ann@old.test', 'Anna'],
      [third, 'ann@third.test', 'A'],
    ]);
    expect([left.get('Visit', visit)?.fields, left.get('Visit', later)?.fields]).toMatchObject([
      { PersonId: second },
      { PersonId: third },
    ]);
  });

  test('an adopted row comes back whole; policies combine both; a taken unique value and an unmapped reference are told', async () => {
    const adopted = `
entity: person
table: { schema: public, name: people, id: no }
fields: { email: { type: text, match: exact }, score: { type: integer, policy: max }, tags: { type: list, policy: union } }
spokes:
  left: { object: Person, fields: { email: Email } }
`;
    wheel = await openWheel({
      before: async (db) => {
        await db.pool
          .query(`create table public.people (no int generated always as identity primary key, email text unique,
          score int, tags text[], secret text, doubled int generated always as (score * 2) stored, made timestamptz default now())`);
        await db.pool.query(`create table public.notes (id int primary key, person int references public.people)`);
      },
      spokes: { left: { objects: { Person } } },
      mappings: [adopted],
    });
    wheel.start();
    await wheel.settled();
    await wheel.sql(`insert into public.people (email, score, tags, secret)
      values ('a', 3, '{x,y}', 'one'), ('b', 7, '{y,z}', 'two')`);
    await wheel.settled();
    const before = await text('select * from public.people order by no');
    const request = { entity: person, survivor: hubId('1'), loser: hubId('2') };
    await wheel.sql('insert into public.notes values (1, 2)');
    await expect(mergeRecords(identity([adopted]), request)).rejects.toThrow('table notes still refers to it');
    await wheel.sql('delete from public.notes');
    const { id } = await mergeRecords(identity([adopted]), request);
    expect(await text('select no, score, tags from public.people')).toBe(
      JSON.stringify([{ no: '1', score: '7', tags: '{x,y,z}' }]),
    );
    await wheel.sql(`insert into public.people (email) values ('b')`);
    await expect(undoMerge(identity([adopted]), id)).rejects.toThrow('people_email_key');
    await wheel.sql(`delete from public.people where email = 'b'`);
    await undoMerge(identity([adopted]), id);
    expect(await text('select * from public.people order by no')).toBe(before);
    await wheel.settled();
  });
});

test('no two live links of one spoke ever point to one hub record: the database refuses', async () => {
  const { first } = await twoAnns();
  await expect(
    wheel.sql(
      `update truespoke.link set hub_id = (select hub_id from truespoke.link where spoke = 'left' and entity = 'person' and external_id = $1)
        where spoke = 'left' and entity = 'person'`,
      [first],
    ),
  ).rejects.toThrow(/unique constraint .*hub_id/);
});

const two = {
  spokes: { left: { objects: { Person, Visit } }, right: { objects: { Person } } },
  mappings,
};

/** The next write is applied and its answer lost; from then on nobody comes through to look, until the rates are reset. */
function loseAnswers(remote: MemoryRemote): void {
  let lost = false;
  remote.trigger('Person', (fields) => {
    if (!lost) remote.faults.rates = { refused: 1 };
    lost = true;
    return fields;
  });
  remote.faults.next('lostApplied');
}

test('a merge waits while a write to one of the two is not answered for: our own values are nobody’s edit of the other record', async () => {
  wheel = await openWheel(two);
  const [left, right] = [wheel.remote('left'), wheel.remote('right')];
  const loser = left.create('Person', of({ Email: 'ann@old.test', Name: 'Ann' }));
  wheel.start();
  await wheel.settled();
  loseAnswers(right);
  await wheel.sql(`update hub.person set name = 'Anna'`);
  await wheel.until(async () => (await text('select state from truespoke.delivery')).includes('unknown'));
  const winner = left.create('Person', of({ Email: 'ann@x.test', Name: 'Winner' }));
  await wheel.until(async () => (await wheel.sql('select 1 from hub.person')).length === 2);
  left.merge('Person', { winner, loser });
  const postponed = `select 1 from truespoke.inbox where event_id like 'refetch:in_flight:Person:${loser}:%'`;
  await wheel.until(async () => (await wheel.sql(postponed)).length > 0);
  right.faults.rates = {};
  await wheel.until(async () => (await wheel.sql('select 1 from hub.person')).length === 1, 20_000);
  await wheel.settled();
  expect(await text('select name, email from hub.person')).toBe(
    JSON.stringify([{ name: 'Winner', email: 'ann@x.test' }]),
  );
  expect(await text('select * from truespoke.conflict')).toBe('[]');
});

test('F104 the read-back of an unanswered write finds that its record was merged into another: the two are joined, none is deleted', async () => {
  wheel = await openWheel(two);
  const [left, right] = [wheel.remote('left'), wheel.remote('right')];
  const loser = left.create('Person', of({ Email: 'ann@old.test', Name: 'Ann' }));
  const winner = left.create('Person', of({ Email: 'ann@x.test', Name: 'Winner' }));
  wheel.start();
  await wheel.settled();
  // Nobody else tells of the merge.
  await wheel.restart({ roles: ['capture', 'outbound'] });
  loseAnswers(left);
  await wheel.sql(`update hub.person set name = 'Anna' where name = 'Ann'`);
  const states = (): Promise<string> => text(`select state from truespoke.delivery where spoke = 'left'`);
  await wheel.until(async () => (await states()).includes('unknown'));
  left.merge('Person', { winner, loser });
  left.faults.rates = {};
  await wheel.until(async () => (await wheel.sql('select 1 from hub.person')).length === 1, 20_000);
  await wheel.restart();
  await wheel.settled();
  expect(await text('select name, email from hub.person')).toBe(
    JSON.stringify([{ name: 'Winner', email: 'ann@x.test' }]),
  );
  expect(right.list('Person')).toHaveLength(2);
  expect(await text(`select kind, spoke from truespoke.review where state = 'open'`)).toBe(
    JSON.stringify([{ kind: 'duplicate', spoke: 'right' }]),
  );
});

test('a merge into a record that a create of ours has made, which is not answered for: the two hub records are joined', async () => {
  wheel = await openWheel(two);
  const right = wheel.remote('right');
  const loser = right.create('Person', of({ Email: 'ann@old.test', Name: 'Ann', Phone: '123' }));
  wheel.start();
  await wheel.settled();
  loseAnswers(right);
  await wheel.sql(`insert into hub.person (email, name) values ('ann@x.test', 'Winner')`);
  await wheel.until(async () => (await text('select state from truespoke.delivery')).includes('unknown'));
  await wheel.stop();
  right.faults.rates = {};
  const winner = right.list('Person').find(({ id }) => id !== loser)?.id ?? '';
  right.merge('Person', { winner, loser });
  // Nobody reads back what became of our create.
  await wheel.restart({ roles: ['capture', 'inbound'] }).catch(() => undefined);
  const postponed = `select 1 from truespoke.inbox where event_id like 'refetch:in_flight:Person:${loser}:%'`;
  await wheel.until(async () => (await wheel.sql(postponed)).length > 0);
  await wheel.restart();
  await wheel.until(async () => (await wheel.sql('select 1 from hub.person')).length === 1, 20_000);
  await wheel.settled();
  expect(await text('select name, email, phone from hub.person')).toBe(
    JSON.stringify([{ name: 'Winner', email: 'ann@x.test', phone: '123' }]),
  );
  expect(right.list('Person').map(({ id }) => id)).toEqual([winner]);
  expect(await text('select * from truespoke.conflict')).toBe('[]');
});

test('a record linked while ours was being made: the second one is asked about, and holds up nothing', async () => {
  wheel = await openWheel(two);
  const right = wheel.remote('right');
  wheel.start();
  await wheel.settled();
  loseAnswers(right);
  await wheel.sql(`insert into hub.person (email, name) values ('ann@x.test', 'Ann')`);
  await wheel.until(async () => (await text('select state from truespoke.delivery')).includes('unknown'));
  await wheel.sql(
    `insert into truespoke.link (spoke, entity, hub_id, external_id, state, version, base_hub, base_remote, created_at, updated_at)
     select 'right', 'person', id::text, 'elsewhere', 'live', '', '{}', '{}', now(), now() from hub.person`,
  );
  right.faults.rates = {};
  await wheel.until(async () => !(await text('select state from truespoke.delivery')).includes('unknown'));
  const made = right.list('Person')[0]?.id;
  expect(await wheel.sql(`select kind, spoke, key from truespoke.review where state = 'open'`)).toEqual([
    { kind: 'duplicate', spoke: 'right', key: made },
  ]);
});
