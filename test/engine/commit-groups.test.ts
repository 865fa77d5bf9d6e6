// What one transaction of the hub changed reaches a spoke parents first, in whatever order its statements ran.
// Proves: Law 9
import { afterEach, expect, test } from 'vitest';
import { openWheel, type Wheel } from '../support/wheel.js';

const mappings = [
  `
entity: company
fields: { code: { type: text, match: exact } }
spokes: { left: { object: Company, fields: { code: Code }, delete: propagate } }
`,
  `
entity: person
fields: { code: { type: text, match: exact }, company: { ref: company } }
spokes: { left: { object: Person, fields: { code: Code, company: CompanyId }, delete: propagate } }
`,
  `
entity: visit
fields: { code: { type: text, match: exact }, person: { ref: person } }
spokes: { left: { object: Visit, fields: { code: Code, person: PersonId }, delete: propagate } }
`,
];
const id = (references: string): { type: 'id'; references: string } => ({ type: 'id', references });
const objects = {
  Company: { fields: { Code: {} } },
  Person: { fields: { Code: {}, CompanyId: id('Company') } },
  Visit: { fields: { Code: {}, PersonId: id('Person') } },
};

let wheel: Wheel;
afterEach(() => wheel.end());

test('a transaction that inserts children before parents: parents first at the spoke, one write a record, none twice', async () => {
  wheel = await openWheel({ spokes: { left: { objects } }, mappings });
  for (const table of ['person', 'visit']) {
    const [row] = await wheel.sql(
      `select conname from pg_constraint where conrelid = 'hub.${table}'::regclass and contype = 'f'`,
    );
    await wheel.sql(`alter table hub.${table} alter constraint ${row?.['conname']} deferrable initially deferred`);
  }
  wheel.start();
  await wheel.settled();
  const uuid = (kind: string, n: number): string => `'00000000-0000-7000-${kind}-${String(n).padStart(12, '0')}'`;
  const client = await wheel.db.pool.connect();
  await client.query('begin');
  for (let n = 0; n < 20; n += 1) {
    await client.query(`insert into hub.visit (code, person) values ('v${n}', ${uuid('8001', n)})`);
    await client.query(
      `insert into hub.person (id, code, company) values (${uuid('8001', n)}, 'p${n}', ${uuid('8002', n % 3)})`,
    );
  }
  for (let n = 0; n < 3; n += 1)
    await client.query(`insert into hub.company (id, code) values (${uuid('8002', n)}, 'c${n}')`);
  await client.query('commit');
  client.release();
  const left = wheel.remote('left');
  await wheel.until(() => left.list('Visit').length === 20);
  await wheel.settled();
  const writes = left.ledger.map(({ op, object }) => `${op} ${object}`);
  expect(writes).toEqual([
    ...Array<string>(3).fill('create Company'),
    ...Array<string>(20).fill('create Person'),
    ...Array<string>(20).fill('create Visit'),
  ]);
  expect(left.list('Visit').every((row) => row.fields['PersonId' as never] !== null)).toBe(true);
  // A child that gets a new parent in the same transaction waits for it.
  await wheel.sql(`with c as (insert into hub.company (id, code) values (${uuid('8002', 9)}, 'new') returning id)
    update hub.person set company = (select id from c) where code = 'p0'`);
  await wheel.settled();
  const [made] = left.list('Company').filter((row) => row.fields['Code' as never] === 'new');
  const [moved] = left.list('Person').filter((row) => row.fields['Code' as never] === 'p0');
  expect(moved?.fields['CompanyId' as never]).toBe(made?.id);
});
