// Owns the SQL that reads and changes what the server publishes: publications, their tables, columns and row filters,
// primary keys and replica identities. Reads in one statement, so that an answer is of one moment.
import { quoteName, quoteTable } from './identifier.js';
import type { Queryable } from './pool.js';

export interface TableName {
  readonly schema: string;
  readonly table: string;
}

/** A table as the catalogue has it. */
export interface TableFacts extends TableName {
  readonly oid: number;
  readonly replicaIdentity: 'default' | 'nothing' | 'full' | 'index';
  /** Columns of the primary key in key order; empty without one. */
  readonly primaryKey: readonly string[];
  /** Columns of the index of REPLICA IDENTITY USING INDEX; empty otherwise. */
  readonly identityKey: readonly string[];
  /** Generated columns: not sent unless asked for (F54). */
  readonly generated: readonly string[];
  /** False for views, foreign and unlogged tables: they cannot be published. */
  readonly publishable: boolean;
}

export interface PublicationFacts {
  readonly oid: number;
  readonly allTables: boolean;
  readonly inserts: boolean;
  readonly updates: boolean;
  readonly deletes: boolean;
  readonly truncates: boolean;
  /** From Postgres 18 on a generated column is sent when the column list has it; before, never. */
  readonly listsGenerated: boolean;
  readonly tables: readonly PublishedTable[];
}

export interface PublishedTable extends TableName {
  /** Another number after the table left the publication and came back; 0 where a whole schema is published. */
  readonly membership: number;
  /** The columns that are sent; null = not told (Postgres 14), every one. */
  readonly columns: readonly string[] | null;
  /** WHERE of the publication; null = every row. */
  readonly filter: string | null;
}

const tablesText = `
SELECT w.schema, w.name AS table, c.oid, c.relreplident AS identity, c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AS publishable,
       ARRAY(SELECT a.attname::text FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place), pg_attribute a
              WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum
              ORDER BY k.place)::text[] AS primary_key,
       ARRAY(SELECT a.attname::text FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place), pg_attribute a
              WHERE i.indrelid = c.oid AND i.indisreplident AND a.attrelid = c.oid AND a.attnum = k.attnum
              ORDER BY k.place)::text[] AS identity_key,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attgenerated <> '' AND NOT a.attisdropped
              ORDER BY a.attnum)::text[] AS generated
  FROM json_to_recordset($1::json) AS w (schema text, name text)
  JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
 ORDER BY w.schema, w.name`;

const identities: Readonly<Record<string, TableFacts['replicaIdentity']>> = {
  d: 'default',
  n: 'nothing',
  f: 'full',
  i: 'index',
};

/** Facts of those of the tables that exist. */
export async function readTables(db: Queryable, tables: readonly TableName[]): Promise<TableFacts[]> {
  const wanted = JSON.stringify(tables.map(({ schema, table }) => ({ schema, name: table })));
  const { rows } = await db.query(tablesText, [wanted]);
  return rows.map((row) => ({
    schema: row['schema'] ?? '',
    table: row['table'] ?? '',
    oid: Number(row['oid']),
    replicaIdentity: identities[row['identity'] ?? ''] ?? 'nothing',
    primaryKey: textArray(row['primary_key']),
    identityKey: textArray(row['identity_key']),
    generated: textArray(row['generated']),
    publishable: row['publishable'] === 't',
  }));
}

const publicationText = `
SELECT p.oid, p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate
  FROM pg_publication p WHERE p.pubname = $1`;

/** Column lists and row filters exist from Postgres 15 on; 14 publishes whole tables. */
const publishedText = (versionNumber: number): string => `
SELECT t.schemaname AS schema, t.tablename AS table, r.oid AS membership,
       ${versionNumber >= 150_000 ? 't.rowfilter AS filter, to_json(t.attnames)::text' : 'NULL::text AS filter, NULL::text'} AS columns
  FROM pg_publication p
  JOIN pg_publication_tables t ON t.pubname = p.pubname
  LEFT JOIN pg_publication_rel r
    ON r.prpubid = p.oid AND r.prrelid = format('%I.%I', t.schemaname, t.tablename)::regclass
 WHERE p.pubname = $1
 ORDER BY 1, 2`;

/** Null when there is no such publication. */
export async function readPublication(
  db: Queryable,
  name: string,
  versionNumber: number,
): Promise<PublicationFacts | null> {
  const { rows } = await db.query(publicationText, [name]);
  const row = rows[0];
  if (row === undefined) return null;
  const published = await db.query(publishedText(versionNumber), [name]);
  return {
    oid: Number(row['oid']),
    allTables: row['puballtables'] === 't',
    inserts: row['pubinsert'] === 't',
    updates: row['pubupdate'] === 't',
    deletes: row['pubdelete'] === 't',
    truncates: row['pubtruncate'] === 't',
    listsGenerated: versionNumber >= 180_000,
    tables: published.rows.map((found) => ({
      schema: found['schema'] ?? '',
      table: found['table'] ?? '',
      membership: Number(found['membership'] ?? 0),
      filter: found['filter'] ?? null,
      columns: typeof found['columns'] === 'string' ? (JSON.parse(found['columns']) as string[]) : null,
    })),
  };
}

/** Makes the publication of exactly these tables, root tables of partitioned ones standing for their partitions. */
export async function createPublication(db: Queryable, name: string, tables: readonly TableName[]): Promise<void> {
  const list = tables.length === 0 ? '' : ` FOR TABLE ${tables.map(quoteTable).join(', ')}`;
  await db.query(`CREATE PUBLICATION ${quoteName(name)}${list} WITH (publish_via_partition_root = true)`);
}

/** Adds tables that have joined the mapping. Removing is left to a person: changes of it would be missing in silence. */
export async function addToPublication(db: Queryable, name: string, tables: readonly TableName[]): Promise<void> {
  if (tables.length === 0) return;
  await db.query(`ALTER PUBLICATION ${quoteName(name)} ADD TABLE ${tables.map(quoteTable).join(', ')}`);
}

export async function readVersionNumber(db: Queryable): Promise<number> {
  const { rows } = await db.query(`SELECT current_setting('server_version_num') AS version`);
  return Number(rows[0]?.['version']);
}

/** Names only (no NULLs, no nesting), as `to_json` would be costlier in the statement than this is here. */
function textArray(text: string | null | undefined): string[] {
  const names: string[] = [];
  for (const match of (text ?? '').slice(1, -1).matchAll(/"((?:[^"\\]|\\.)*)"|([^,]+)/g)) {
    names.push(match[1]?.replace(/\\(.)/g, '$1') ?? match[2] ?? '');
  }
  return names;
}

export async function readDatabaseName(db: Queryable): Promise<string> {
  const { rows } = await db.query(`SELECT current_database()::text AS name`);
  return rows[0]?.['name'] ?? '';
}
