// A field or an entity that is mapped after its object was scanned is filled for the records that exist, both ways, and once.
// Proves: Law 7
import { isDeepStrictEqual } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { parseMapping } from '../../src/mapping/load.js';
import type { Mapping } from '../../src/mapping/mapping.js';
import type { RemoteFields } from '../../src/model/record.js';
import { openWheel, type Wheel } from '../support/wheel.js';

const Contact = { fields: { Email: {}, Name: {}, Phone: {}, Mobile: {}, Kind: {} } };
const spokes = { left: { objects: { Contact } }, right: { objects: { Contact } } };
const person = (fields: string, more: { hub?: string; left?: string } = {}): string => `
entity: person
fields: { email: { type: text, match: exact }, name: text${more.hub ?? ''} }
spokes:
  left: { object: Contact, fields: { email: Email, name: Name${fields} }, delete: propagate${more.left ?? ''} }
  right: { object: Contact, fields: { email: Email, name: Name${fields} }, delete: propagate }
`;
const phone = { hub: ', phone: text' };
const mapped = (...yaml: string[]): Mapping =>
  parseMapping(
    yaml.map((text, i) => ({ file: `${i}.yaml`, text })),
    { spokes: ['left', 'right'] },
  ).mapping;
const of = (fields: Record<string, string | null>): RemoteFields => fields as RemoteFields;

let wheel: Wheel;
afterEach(() => wheel.end());

const phones = (): Promise<Record<string, string | null>[]> =>
  wheel.sql('select email, phone from hub.person order by email');
const shown = (name: string, field: string): Record<string, unknown> =>
  Object.fromEntries(
    wheel
      .remote(name)
      .list('Contact')
      .map((record) => [record.fields['Email' as never], record.fields[field as never]]),
  );
const scans = async (): Promise<unknown> =>
  wheel.sql(`select spoke, records from truespoke.cursor where kind = 'scan' order by spoke`);

test('a newly mapped field comes in for every existing record and reaches the other spoke; the next start reads nothing again', async () => {
  wheel = await openWheel({ spokes, mappings: [person('')] });
  const left = wheel.remote('left');
  for (let i = 0; i < 30; i += 1) left.create('Contact', of({ Email: `p${i}@x.test`, Name: 'P', Phone: `+1${i}` }));
  wheel.start();
  await wheel.settled();
  await wheel.restart({ mapping: mapped(person(', phone: Phone', phone)) });
  await wheel.until(
    () => Object.values(shown('right', 'Phone')).filter((value) => value !== null && value !== undefined).length === 30,
  );
  await wheel.settled();
  expect((await phones()).every((row) => row['phone']?.startsWith('+1') === true)).toBe(true);
  expect(shown('right', 'Phone')).toEqual(shown('left', 'Phone'));
  const reads = left.calls['scan'];
  const fetches = left.calls['fetch'] ?? 0;
  // The listing was enough: nothing was fetched again one by one.
  expect(fetches).toBeLessThan(30);
  await wheel.restart({ mapping: mapped(person(', phone: Phone', phone)) });
  await wheel.settled();
  expect(left.calls['scan']).toBe(reads);
});

test('values that both sides held before are merged by policy, none is written over unseen', async () => {
  wheel = await openWheel({
    spokes,
    mappings: [person('').replace('name: text', 'name: text, phone: { type: text, authority: hub }')],
  });
  wheel.remote('left').create('Contact', of({ Email: 'a@x.test', Phone: 'left' }));
  wheel.remote('left').create('Contact', of({ Email: 'b@x.test', Phone: 'only left' }));
  wheel.remote('left').create('Contact', of({ Email: 'c@x.test' }));
  wheel.start();
  await wheel.settled();
  await wheel.sql(`update hub.person set phone = 'hub ' || left(email, 1) where email <> 'b@x.test'`);
  await wheel.settled();
  const both = { hub: ', phone: { type: text, authority: hub }' };
  await wheel.restart({ mapping: mapped(person(', phone: Phone', both)) });
  await wheel.until(() => shown('left', 'Phone')['c@x.test'] === 'hub c');
  await wheel.settled();
  const expected = { 'a@x.test': 'hub a', 'b@x.test': 'only left', 'c@x.test': 'hub c' };
  expect(shown('left', 'Phone')).toEqual(expected);
  expect(shown('right', 'Phone')).toEqual(expected);
  expect(await wheel.sql('select hub_value, spoke_value, winner from truespoke.conflict')).toEqual([
    { hub_value: 'hub a', spoke_value: 'left', winner: 'hub' },
  ]);
});

test('a field that was taken out of the mapping and comes back is compared with what was agreed on before', async () => {
  wheel = await openWheel({ spokes, mappings: [person(', phone: Phone', phone)] });
  const left = wheel.remote('left');
  const [a = '', b = ''] = ['a', 'b'].map((key) =>
    left.create('Contact', of({ Email: `${key}@x.test`, Phone: 'old' })),
  );
  wheel.start();
  await wheel.settled();
  await wheel.restart({ mapping: mapped(person('', phone)) });
  await wheel.settled();
  await wheel.sql(`update hub.person set phone = 'hub' where email = 'a@x.test'`);
  left.edit('Contact', b, of({ Phone: 'left' }));
  await wheel.settled();
  await wheel.restart({ mapping: mapped(person(', phone: Phone', phone)) });
  const expected = { 'a@x.test': 'hub', 'b@x.test': 'left' };
  await wheel.until(() => isDeepStrictEqual(shown('right', 'Phone'), expected));
  await wheel.settled();
  expect([shown('left', 'Phone'), await phones()]).toEqual([
    expected,
    [
      { email: 'a@x.test', phone: 'hub' },
      { email: 'b@x.test', phone: 'left' },
    ],
  ]);
  expect(left.get('Contact', a)?.fields).toMatchObject({ Phone: 'hub' });
  expect(await wheel.sql('select 1 from truespoke.conflict')).toEqual([]);
});

test('a field that is read from another place fills that place; its emptiness wipes nothing', async () => {
  wheel = await openWheel({ spokes, mappings: [person(', phone: Phone', phone)] });
  wheel.remote('left').create('Contact', of({ Email: 'a@x.test', Phone: 'old' }));
  wheel.start();
  await wheel.settled();
  await wheel.restart({ mapping: mapped(person(', phone: Mobile', phone)) });
  await wheel.until(
    () => shown('left', 'Mobile')['a@x.test'] === 'old' && shown('right', 'Mobile')['a@x.test'] === 'old',
  );
  await wheel.settled();
  expect(await phones()).toEqual([{ email: 'a@x.test', phone: 'old' }]);
});

test('an entity that is mapped to a scanned object is read; a wider `where` and a spoke that joins later lack nothing', async () => {
  const narrow = person('', { left: `, where: "remote.Kind == 'A'"` });
  const company = `
entity: company
fields: { code: { type: text, match: exact } }
spokes: { left: { object: Contact, where: "remote.Kind == 'C'", fields: { code: Email } } }
`;
  const onlyLeft = narrow.replace(/ {2}right:.*\n/, '');
  wheel = await openWheel({ spokes, mappings: [onlyLeft] });
  const left = wheel.remote('left');
  for (const kind of ['A', 'B', 'C']) left.create('Contact', of({ Email: `${kind}@x.test`, Name: 'N', Kind: kind }));
  wheel.start();
  await wheel.until(async () => (await wheel.sql('select 1 from hub.person')).length === 1);
  await wheel.restart({ mapping: mapped(narrow, company) });
  await wheel.until(async () => (await wheel.sql('select 1 from hub.company')).length === 1);
  // The other spoke was connected all along and mapped only now: it gets what the hub has held for long.
  await wheel.until(() => wheel.remote('right').list('Contact').length === 1);
  await wheel.settled();
  await wheel.restart({ mapping: mapped(person('', { left: `, where: "remote.Kind in ['A', 'B']"` }), company) });
  await wheel.until(() => wheel.remote('right').list('Contact').length === 2);
  await wheel.settled();
  expect((await wheel.sql('select 1 from hub.person')).length).toBe(2);
  expect(await scans()).toEqual([
    { spoke: 'left', records: '3' },
    { spoke: 'right', records: expect.any(String) },
  ]);
});

test('a re-reading that is interrupted goes on; status tells what it is for', async () => {
  wheel = await openWheel({
    spokes: { left: { objects: { Contact }, pageRows: 5 } },
    mappings: [person('').replace(/ {2}right:.*\n/, '')],
  });
  const left = wheel.remote('left');
  for (let i = 0; i < 40; i += 1) left.create('Contact', of({ Email: `p${i}@x.test`, Phone: `+1${i}` }));
  wheel.start();
  await wheel.settled();
  const wider = person(', phone: Phone', phone).replace(/ {2}right:.*\n/, '');
  let pages = 0;
  const crashpoint = (name: string): void => {
    if (name.startsWith('page_merged') && (pages += 1) === 3) throw new Error('interrupted');
  };
  const mapping = parseMapping([{ file: 'p.yaml', text: wider }], { spokes: ['left'] }).mapping;
  await wheel.restart({ mapping, crashpoint });
  await wheel.until(() => pages >= 3);
  const told = await wheel.until(async () => (await wheel.engine.status()).spokes[0]?.backfill[0]?.reason ?? null);
  expect(told).toContain('person.phone');
  await wheel.until(async () => (await phones()).filter((row) => row['phone'] !== null).length === 40);
  await wheel.settled();
  expect(await scans()).toEqual([{ spoke: 'left', records: '40' }]);
  expect((await wheel.engine.status()).spokes[0]?.backfill[0]?.reason ?? null).toBeNull();
});
