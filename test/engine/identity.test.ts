// Two hub records found to be one, and taken apart again.
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { mergeRecords, undoMerge, type IdentityDeps } from '../../src/engine/identity.js';
import { parseMapping } from '../../src/mapping/load.js';
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
