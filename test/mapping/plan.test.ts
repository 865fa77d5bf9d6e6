import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { loadMapping, parseMapping } from '../../src/mapping/load.js';
import type { FieldType, Mapping } from '../../src/mapping/mapping.js';
import { nameProblem } from '../../src/mapping/names.js';
import { canonicalExpression, planHub, type CatalogueTable, type HubPlan } from '../../src/mapping/plan.js';
import { formatList, fromWal, sameHub, sqlType, toHubText } from '../../src/mapping/values.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db.drop());
beforeEach(async () => {
  await db.pool.query(
    'drop schema if exists hub cascade; drop schema if exists truespoke cascade; create schema truespoke',
  );
  await db.pool.query(
    'create function truespoke.uuid_v7() returns uuid language sql as $$ select gen_random_uuid() $$',
  );
});

/** What the engine will hand in, read the plain way. */
async function catalogue(schemas: readonly string[] = ['hub']): Promise<readonly CatalogueTable[]> {
  const { rows } = await db.pool.query(
    `select n.nspname as schema, c.relname as name,
       (select coalesce(jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'notNull', a.attnotnull) order by a.attnum), '[]')
          from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
       (select coalesce(jsonb_agg(a.attname), '[]') from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = any(i.indkey)
          where i.indrelid = c.oid and i.indisprimary) as "primaryKey",
       (select coalesce(jsonb_agg(x.relname), '[]') from pg_index i join pg_class x on x.oid = i.indexrelid where i.indrelid = c.oid) as indexes,
       (select coalesce(jsonb_agg(k.conname), '[]') from pg_constraint k where k.conrelid = c.oid and k.contype = 'f') as "foreignKeys",
       (select coalesce(jsonb_agg(k.conname), '[]') from pg_constraint k where k.conrelid = c.oid and k.contype = 'c') as checks
     from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and n.nspname = any($1)`,
    [schemas],
  );
  return rows.map((row: Record<string, unknown>) =>
    Object.fromEntries(
      Object.entries(row).map(([key, value]) => [
        key,
        typeof value === 'string' && /^[[]/.test(value) ? (JSON.parse(value) as unknown) : value,
      ]),
    ),
  ) as unknown as CatalogueTable[];
}

async function apply(plan: HubPlan): Promise<void> {
  for (const step of plan.steps) await db.pool.query(step.sql);
}

const mapping = (...texts: string[]): Mapping =>
  parseMapping(texts.map((text, i) => ({ file: `${i}.yaml`, text }))).mapping;
const person = (fields: string, more = ''): string =>
  `entity: person\n${more}fields: ${fields}\nspokes: { crm: { object: C, fields: {}, delete: archive } }`;

async function fails(sql: string, parameters: unknown[] = []): Promise<string> {
  try {
    await db.pool.query(sql, parameters);
    return 'accepted';
  } catch (error) {
    return error instanceof Error ? error.message : 'unknown';
  }
}

describe('tables', () => {
  test('the starter mappings become tables, and a second plan has nothing to do', async () => {
    const { mapping: starter } = await loadMapping('mappings');
    const plan = planHub(starter, await catalogue());
    expect(plan.problems).toEqual([]);
    await apply(plan);
    expect(planHub(starter, await catalogue())).toEqual({ steps: [], problems: [], notes: [] });
    await db.pool.query("insert into hub.customer (email, tier) values ('a@example.com', 'pro')");
    expect(await fails("insert into hub.customer (tier) values ('gold')")).toMatch(/violates check constraint/);
    expect(await fails('insert into hub.sales_order_line (quantity) values (1)')).toMatch(/not-null/);
  });

  test('no table or column of ours needs quotes in SQL', async () => {
    const { rows } = await db.pool.query("select word from pg_get_keywords() where catcode in ('R', 'T')");
    const accepted = rows
      .map((row: Record<string, unknown>) => String(row['word']))
      .filter((word) => nameProblem(word, 'field') === null || nameProblem(word, 'entity') === null);
    expect(rows.length).toBeGreaterThan(90);
    expect(accepted).toEqual([]);
  });

  test('match keys are indexed as they are compared, references as they are joined', async () => {
    const text = person(
      '{ email: { match: case-insensitive }, no: { match: exact }, boss: { ref: person } }',
      'match: [[no, { email: case-insensitive }]]\n',
    );
    await apply(planHub(mapping(text), []));
    const { rows } = await db.pool.query("select indexdef from pg_indexes where schemaname = 'hub' order by indexname");
    const definitions = rows.map((row: Record<string, unknown>) =>
      String(row['indexdef']).replace(/^.* USING btree /, ''),
    );
    expect(definitions.sort()).toEqual(['(boss)', '(id)', '(lower(email))', '(no)', '(no, lower(email))']);
  });

  test('child and parent may come in either order within one transaction', async () => {
    const child = 'entity: child\nfields: { parent: { ref: parent, required: true } }\nspokes: {}';
    await apply(planHub(mapping(child, 'entity: parent\nfields: { a: text }\nspokes: {}'), []));
    const id = '01890000-0000-7000-8000-000000000001';
    await db.pool.query(
      `begin; insert into hub.child (parent) values ('${id}'); insert into hub.parent (id) values ('${id}'); commit`,
    );
    expect(await fails('delete from hub.parent')).toMatch(/foreign key/);
  });

  test('F121 tables that point to each other are made in two steps', async () => {
    const text = (name: string, other: string): string =>
      `entity: ${name}\nfields: { other: { ref: ${other} } }\nspokes: {}`;
    const circle = mapping(text('aa', 'bb'), text('bb', 'aa'));
    await apply(planHub(circle, []));
    expect(planHub(circle, await catalogue()).steps).toEqual([]);
  });

  test('names of 50 characters keep their constraints apart', async () => {
    const long = 'f'.repeat(49);
    const text = person(
      `{ ${long}a: { match: exact, values: [x], max: 3 }, ${long}b: { match: exact, values: [x], max: 3 } }`,
    );
    await apply(planHub(mapping(text), []));
    expect(planHub(mapping(text), await catalogue()).steps).toEqual([]);
  });
});

describe('edits of a mapping', () => {
  test('new fields, keys and archives are added, nothing else is touched', async () => {
    await apply(planHub(mapping(person('{ a: text }').replace('archive', 'unlink')), []));
    await db.pool.query("insert into hub.person (a) values ('kept')");
    const edited = mapping(
      person('{ a: text, b: { type: decimal, scale: 2, required: true }, boss: { ref: person } }'),
    );
    const plan = planHub(edited, await catalogue());
    expect(plan.steps.map(({ kind }) => kind)).toEqual([
      'add column',
      'add column',
      'add column',
      'add key',
      'add index',
    ]);
    expect(plan.notes).toEqual([expect.stringMatching(/hub.person.b is added without NOT NULL/)]);
    await apply(plan);
    expect((await db.pool.query('select a, b from hub.person')).rows).toEqual([{ a: 'kept', b: null }]);
    expect(planHub(edited, await catalogue()).steps).toEqual([]);
  });

  test('a field that left and a type that changed are reported, never dropped or retyped', async () => {
    await apply(planHub(mapping(person('{ a: text, b: text }')), []));
    const plan = planHub(mapping(person('{ b: integer }')), await catalogue());
    expect(plan.steps).toEqual([]);
    expect(plan.notes).toEqual(['hub.person.a is in no mapping; it is left as it is']);
    expect(plan.problems).toEqual([
      {
        message: "hub.person: the column 'b' is text, the mapping wants bigint",
        hint: expect.stringMatching(/never changed silently/) as string,
      },
    ]);
  });

  test('a closed list follows the mapping; rows that are there stay', async () => {
    await apply(planHub(mapping(person('{ a: { values: [x, "it\'s", "b\\\\s"] } }')), []));
    await db.pool.query("insert into hub.person (a) values ('x'), ('it''s'), (E'b\\\\s')");
    const edited = mapping(person('{ a: { values: [y] } }'));
    await apply(planHub(edited, await catalogue()));
    expect(await fails("insert into hub.person (a) values ('y')")).toBe('accepted');
    expect(await fails("insert into hub.person (a) values ('x')")).toMatch(/check constraint/);
    expect(planHub(edited, await catalogue()).steps).toEqual([]);
    await apply(planHub(mapping(person('{ a: text }')), await catalogue()));
    expect(await fails("insert into hub.person (a) values ('x')")).toBe('accepted');
  });
});

describe('adopted tables', () => {
  const adopted = (fields: string): Mapping =>
    mapping(
      `entity: person\ntable: { schema: shop, name: People, id: no }\nfields: ${fields}\nspokes: {}`,
      'entity: pet\nfields: { keeper: { ref: person } }\nspokes: {}',
    );

  beforeEach(() => db.pool.query('drop schema if exists shop cascade; create schema shop'));

  test('the table is used as it is, and references take the type of its key', async () => {
    await db.pool.query(
      'create table shop."People" (no bigint primary key, name varchar(40), tags varchar(9)[], born date)',
    );
    const plan = planHub(adopted('{ name: text, tags: list, born: date }'), await catalogue(['shop', 'hub']));
    expect(plan.problems).toEqual([]);
    await apply(plan);
    const pet = (await catalogue()).find(({ name }) => name === 'pet');
    expect(pet?.columns.find(({ name }) => name === 'keeper')?.type).toBe('bigint');
    expect(await fails('insert into hub.pet (keeper) values (7)')).toMatch(/foreign key/);
  });

  test('what is missing is told, and nothing is altered', async () => {
    expect(planHub(adopted('{ name: text }'), []).problems[0]?.message).toMatch(
      /adopted table shop."People" does not exist/,
    );
    await db.pool.query('create table shop."People" (no bigint, name integer)');
    const plan = planHub(adopted('{ name: text, more: text }'), await catalogue(['shop']));
    expect(plan.problems.map(({ message }) => message)).toEqual([
      expect.stringMatching(/primary key must be the single column 'no'; it has none/),
      expect.stringMatching(/'name' is integer, the mapping wants text/),
      expect.stringMatching(/the column 'more' does not exist/),
    ]);
    expect(plan.steps.every(({ sql }) => !sql.includes('People') || sql.includes('references'))).toBe(true);
  });

  test('F128 identifiers are quoted, whatever they hold', async () => {
    await db.pool.query('create table shop.x ("a""; drop table x; --" text)');
    await db.pool.query(`insert into shop.x values ('still here')`);
    const { rows } = await db.pool.query(`select ${canonicalExpression('a"; drop table x; --', 'x')} as v from shop.x`);
    expect(rows).toEqual([{ v: 'still here' }]);
  });
});

describe('the text of a hub value is what Postgres prints', () => {
  const cases: readonly (readonly [FieldType, fc.Arbitrary<string>])[] = [
    ['text', fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\u0000'))],
    ['integer', fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String)],
    ['decimal', fc.stringMatching(/^-?[1-9][0-9]{0,20}\.[0-9]{1,6}$/)],
    ['boolean', fc.constantFrom('true', 'false')],
    [
      'date',
      fc
        .date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
        .map((at) => at.toISOString().slice(0, 10)),
    ],
    [
      'timestamp',
      fc
        .date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
        .map((at) => at.toISOString()),
    ],
    [
      'list',
      fc
        .array(fc.option(fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\u0000'))), {
          minLength: 0,
          maxLength: 5,
        })
        .map(formatList),
    ],
  ];

  test.each(cases)('%s', async (type, values) => {
    const given = fc.sample(values, { numRuns: 200, seed: 7 });
    const ours = given.map((text) => (type === 'list' ? text : toHubText(type, text, { scale: 2 })));
    const column = sqlType({ type, scale: type === 'decimal' ? 2 : null });
    await db.pool.query(`create schema hub; create table hub.v (n int, v ${column})`);
    await db.pool.query(`insert into hub.v select n, t::${column} from unnest($1::text[]) with ordinality u(t, n)`, [
      ours,
    ]);
    const { rows } = await db.pool.query(`select ${canonicalExpression('v')} as v from hub.v order by n`);
    expect(rows.map((row: Record<string, unknown>) => row['v'])).toEqual(ours);
  });

  test('WAL text becomes the text of a cast', async () => {
    const kinds = [
      ['boolean', 'true'],
      ['boolean', 'false'],
      ['char(5)', 'ab'],
      ['inet', '10.0.0.1'],
      ['inet', '10.0.0.0/8'],
      ['inet', '::1'],
      ['numeric(9,2)', '1.5'],
      ['timestamptz', '2026-01-01 00:00:00.12+02'],
    ] as const;
    for (const [type, text] of kinds) {
      const sql = `select '${text}'::${type}::text as cast, array_to_string(array['${text}'::${type}], '') as output, '${type}'::regtype::oid::int as oid`;
      const { rows } = await db.pool.query(sql);
      const row = rows[0] as { cast: string; output: string; oid: number | string };
      expect(fromWal(Number(row.oid), row.output), type).toBe(row.cast);
    }
  });

  test('sameHub agrees with Postgres on numbers and JSON', async () => {
    const numbers = ['1.50', '1.5', '-0', '0.00', '1e3', '1000', '123456789012345678901234567890.10'];
    const documents = [
      '{"a": 1.0, "b": [1]}',
      '{"b":[1.00],"a":1}',
      '{"a":"1"}',
      '[9007199254740993]',
      '[9007199254740992]',
      'null',
      '{}',
      '{"a":null}',
    ];
    for (const [type, sql, values] of [
      ['decimal', 'numeric', numbers],
      ['json', 'jsonb', documents],
    ] as const) {
      const { rows } = await db.pool.query(
        `select a, b, a::${sql} = b::${sql} as same from unnest($1::text[]) a, unnest($1::text[]) b`,
        [values],
      );
      for (const row of rows as { a: string; b: string; same: boolean | string }[])
        expect(String(sameHub(type, row.a, row.b)), `${row.a} ${row.b}`).toBe(
          /^t/.test(String(row.same)) ? 'true' : 'false',
        );
    }
  });
});
