// Many new records are copied in, few are inserted: the hub, the links and their bases must not tell which.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Tally } from '../../src/inbound/decision.js';
import { parseMapping } from '../../src/mapping/load.js';
import { entityName, externalId, objectName, spokeName, version } from '../../src/model/ids.js';
import type { RemoteFields, RemoteRecord } from '../../src/model/record.js';
import type { Row } from '../../src/store/pool.js';
import { openHub, openInbound } from '../support/inbound.js';
import type { TestDatabase } from '../support/postgres.js';

const { mapping } = parseMapping(
  [
    {
      file: 'part.yaml',
      text: `
entity: part
fields:
  label: text
  code: { type: text, match: exact }
  price: { type: decimal, scale: 2 }
  weight: decimal
  pieces: integer
  sold: boolean
  day: date
  seen_at: timestamp
  tags: list
  more: json
spokes:
  crm:
    object: Part
    fields: { label: Label, code: Code, price: Price, weight: Weight, pieces: Pieces, sold: Sold, day: Day, seen_at: SeenAt, tags: Tags, more: More }
`,
    },
  ],
  { spokes: ['crm'] },
);

const part = entityName('part');
const spoke = spokeName('crm');

const awkward = [
  'plain',
  '',
  'tab\tand\nline',
  'back\\slash \\N \\.',
  '"quoted"',
  "it's ü 🚲",
  '\u0001',
  '  spaces  ',
  null,
];

function partOf(i: number, fields: Readonly<Record<string, unknown>> = {}): RemoteRecord {
  return {
    object: objectName('Part'),
    externalId: externalId(`p\\${i}`),
    version: version(`2026-06-01T00:00:${String(i % 60).padStart(2, '0')}.000Z`),
    deleted: false,
    hubKey: null,
    modifiedBySelf: null,
    mergedInto: null,
    fields: {
      Label: awkward[i % awkward.length],
      Code: `c${i}`,
      Price: i / 7,
      Weight: `${i}.50`,
      Pieces: i % 5 === 0 ? null : i,
      Sold: i % 2 === 0,
      Day: '2026-02-03',
      SeenAt: '2026-01-01T00:00:00.120Z',
      Tags: ['a b', 'c"d'],
      More: { deep: [1, 'x\ty\\'] },
      ...fields,
    } as unknown as RemoteFields,
    children: {},
  };
}

/** What one way makes of the records, ids and times left out. */
interface Made {
  readonly tally: Tally;
  readonly rows: readonly Row[];
  readonly links: readonly Row[];
}

const columns =
  mapping.entities
    .get(part)
    ?.fields.map(({ name }) => `t.${name}::text`)
    .join(', ') ?? '';

async function accept(db: TestDatabase, records: readonly RemoteRecord[], copyFrom: number): Promise<Made> {
  await db.pool.query('truncate hub.part, truespoke.link, truespoke.parked');
  const inbound = await openInbound(db, mapping, { limits: { copyFrom } });
  const object = objectName('Part');
  const tally = await inbound.accept({ spoke, object, records, evidence: 'listing', lane: 'backfill' });
  const { rows } = await db.pool.query<Row>(
    `select l.external_id, ${columns} from hub.part t left join truespoke.link l on l.hub_id = t.id::text order by l.external_id`,
  );
  const { rows: links } = await db.pool.query<Row>(
    `select external_id, state, base_hub, base_remote, version, settled_at, parent_id, overruled, unseen from truespoke.link
      order by external_id`,
  );
  return { tally, rows, links };
}

async function bothWays(db: TestDatabase, records: readonly RemoteRecord[]): Promise<Made> {
  const inserted = await accept(db, records, Number.MAX_SAFE_INTEGER);
  const copied = await accept(db, records, 1);
  expect(copied).toEqual(inserted);
  return copied;
}

describe('many new records, copied in', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await openHub(mapping, spoke);
  });
  afterAll(() => db.drop());
  const parts = Array.from({ length: 60 }, (_, i) => partOf(i));

  test('are the same rows, links and bases as if they were inserted, whatever their texts hold', async () => {
    const { links, tally } = await bothWays(db, parts);
    expect(links).toHaveLength(60);
    expect(tally).toMatchObject({ created: 60, linked: 60, parked: 0 });
  });

  test('a field that the spoke does not show has no base, and is remembered as not seen', async () => {
    const partly = parts.map((record, i) => (i % 3 === 0 ? partOf(i, { Label: undefined }) : record));
    const { links } = await bothWays(db, partly);
    expect(links.filter((link) => link['unseen'] !== null)).toHaveLength(20);
  });

  test('the base is what the hub holds: a trigger rewrites, a column of another type rounds', async () => {
    await db.pool.query(`create function hub.shout() returns trigger language plpgsql as
      $$ begin new.label := upper(new.label); return new; end $$;
      create trigger shout before insert on hub.part for each row execute function hub.shout();
      alter table hub.part alter weight type numeric(12,0)`);
    try {
      const { links, rows } = await bothWays(db, parts);
      expect(rows[0]).toMatchObject({ label: 'PLAIN', weight: '1' });
      expect(JSON.parse(links[0]?.['base_hub'] ?? '{}')).toMatchObject({ label: 'PLAIN', weight: '1' });
    } finally {
      await db.pool.query('drop trigger shout on hub.part; alter table hub.part alter weight type numeric');
    }
  });

  test('one record that the hub refuses is parked alone', async () => {
    await db.pool.query(
      `truncate hub.part; alter table hub.part add constraint few check (pieces is null or pieces <> 17)`,
    );
    try {
      const { tally } = await bothWays(db, parts);
      expect(tally).toMatchObject({ created: 59, parked: 1 });
    } finally {
      await db.pool.query('alter table hub.part drop constraint few');
    }
  });

  test('a column that a cast cuts and COPY refuses, and a table with row security, take the other way', async () => {
    await db.pool.query('truncate hub.part; alter table hub.part alter label type varchar(4)');
    await bothWays(db, parts);
    await db.pool.query('alter table hub.part alter label type text; alter table hub.part enable row level security');
    await bothWays(db, parts);
  });
});
