// Owns whether the stream can be trusted to carry every change: makes publication and slot, and compares what the server
// has now with what was stored when the last position became durable. Verdicts are named; nothing is repaired in silence.
import { must } from '../base/assert.js';
import { ConfigError, Retriable, type TruespokeError } from '../base/errors.js';
import { formatLsn, type Lsn } from '../model/lsn.js';
import {
  addToPublication,
  createPublication,
  type PublicationFacts,
  type PublishedTable,
  readDatabaseName,
  readPublication,
  readTables,
  readVersionNumber,
  type TableFacts,
  type TableName,
} from '../store/catalogue.js';
import { type Pool, type Queryable, sqlState } from '../store/pool.js';
import { createSlot, dropSlot, readSlot, readSystem, type SlotRow } from '../store/slots.js';

export interface CaptureTable extends TableName {
  /** The column that identifies a record. */
  readonly key: string;
  /** Columns that the mapping needs in the stream; empty = only the key. */
  readonly columns: readonly string[];
}

/** What was true when the position became durable (a row of truespoke.position). */
export interface StoredPosition {
  readonly slot: string;
  readonly publication: string;
  readonly systemIdentifier: string;
  readonly timeline: number;
  readonly publicationOid: number;
  readonly durableLsn: Lsn;
  /** From `membershipsOf`, when known: finds a table that left the publication and came back between two checks. */
  readonly memberships?: string;
}

/** Everything is as stored: reading may start at `from`. Any other verdict stops intake until a reconcile is planned. */
export type SourceCheck =
  | { readonly kind: 'ok'; readonly slot: SlotRow; readonly memberships: string }
  /** The hub is another cluster: a dump was restored or hub.url changed (F32, F33). */
  | { readonly kind: 'otherSystem'; readonly stored: string; readonly found: string }
  /** A standby was promoted and everything else holds (F31): go on from the slot, repeats are recognised; store the timeline. */
  | { readonly kind: 'otherTimeline'; readonly stored: number; readonly found: number }
  /** The hub was restored to a moment before the stored position (F33). */
  | { readonly kind: 'serverBehind'; readonly stored: Lsn; readonly found: Lsn }
  | { readonly kind: 'slotMissing' }
  /** Postgres removed WAL that the slot needs (F35). */
  | { readonly kind: 'slotLost'; readonly reason: string }
  /** The slot starts behind what we stored, or in another database: somebody made it anew (F34). */
  | { readonly kind: 'slotAhead'; readonly stored: Lsn; readonly found: Lsn }
  | { readonly kind: 'slotForeign'; readonly reason: string }
  | { readonly kind: 'publicationMissing' }
  /** Same name, other object: changes made in between are not in the stream (F44). */
  | { readonly kind: 'recreated'; readonly stored: number; readonly found: number }
  /** The publication leaves out kinds of change. */
  | { readonly kind: 'partial'; readonly missing: readonly string[] }
  /** Mapped tables left the publication and came back, or their row filter or column list was set anew (F45, F47). */
  | { readonly kind: 'tableRejoined'; readonly tables: readonly TableName[]; readonly memberships: string }
  /** A mapped table is gone or no longer published (F45). */
  | { readonly kind: 'tableMissing'; readonly tables: readonly TableName[] }
  /** Row filter or column list: some changes do not arrive (F47), or columns are generated and never do (F54). */
  | { readonly kind: 'tableFiltered'; readonly tables: readonly FilteredTable[] };

export interface FilteredTable extends TableName {
  readonly filter: string | null;
  readonly missingColumns: readonly string[];
}

export interface CheckInput {
  readonly stored: StoredPosition;
  readonly tables: readonly CaptureTable[];
  readonly system: { readonly systemId: string; readonly timeline: number; readonly currentLsn: Lsn };
  readonly slot: SlotRow | null;
  readonly publication: PublicationFacts | null;
  readonly facts: readonly TableFacts[];
  readonly database: string;
}

/** Looks at the catalogue: at start before opening the stream, then at least every 60 s, and after every failure. */
export async function checkSource(
  db: Queryable,
  stored: StoredPosition,
  tables: readonly CaptureTable[],
): Promise<SourceCheck> {
  const version = await readVersionNumber(db);
  const [system, slot, publication, facts, database] = [
    await readSystem(db),
    await readSlot(db, stored.slot, version),
    await readPublication(db, stored.publication, version),
    await readTables(db, tables),
    await readDatabaseName(db),
  ];
  return judgeSource({ stored, tables, system, slot, publication, facts, database });
}

/** Pure. The gravest finding first: what makes the stored position meaningless, then gaps, then partial streams. */
export function judgeSource(input: CheckInput): SourceCheck {
  return (
    judgePlace(input) ??
    judgePublication(input) ??
    judgeTimeline(input) ?? {
      kind: 'ok',
      slot: must(input.slot, 'slot'),
      memberships: membershipsOf(must(input.publication, 'publication')),
    }
  );
}

function judgePlace({ stored, system, slot, database }: CheckInput): SourceCheck | null {
  if (system.systemId !== stored.systemIdentifier) {
    return { kind: 'otherSystem', stored: stored.systemIdentifier, found: system.systemId };
  }
  if (system.currentLsn < stored.durableLsn) {
    return { kind: 'serverBehind', stored: stored.durableLsn, found: system.currentLsn };
  }
  if (slot === null) return { kind: 'slotMissing' };
  if (slot.walStatus === 'lost' || slot.invalidation !== null) {
    return { kind: 'slotLost', reason: slot.invalidation ?? 'wal_removed' };
  }
  if (slot.plugin !== 'pgoutput')
    return { kind: 'slotForeign', reason: `its plugin is ${slot.plugin ?? 'none (physical)'}` };
  if (slot.database !== database)
    return { kind: 'slotForeign', reason: `it belongs to database ${slot.database ?? '?'}` };
  if (slot.confirmedLsn !== null && slot.confirmedLsn > stored.durableLsn) {
    return { kind: 'slotAhead', stored: stored.durableLsn, found: slot.confirmedLsn };
  }
  return null;
}

/** Asked last: with everything else in place, a promotion alone loses nothing. */
function judgeTimeline({ stored, system }: CheckInput): SourceCheck | null {
  if (system.timeline === stored.timeline) return null;
  return { kind: 'otherTimeline', stored: stored.timeline, found: system.timeline };
}

function judgePublication({ stored, tables, publication, facts }: CheckInput): SourceCheck | null {
  if (publication === null) return { kind: 'publicationMissing' };
  if (publication.oid !== stored.publicationOid) {
    return { kind: 'recreated', stored: stored.publicationOid, found: publication.oid };
  }
  const missing = (['inserts', 'updates', 'deletes', 'truncates'] as const).filter((what) => !publication[what]);
  if (missing.length > 0) return { kind: 'partial', missing };
  const published = new Map(publication.tables.map((table) => [nameOf(table), table]));
  const absent = tables.filter((table) => !published.has(nameOf(table)));
  if (absent.length > 0) return { kind: 'tableMissing', tables: absent };
  const generated = new Map(facts.map((table) => [nameOf(table), table.generated]));
  const filtered = tables.flatMap((table) => {
    const name = nameOf(table);
    const found = published.get(name);
    const unsent = publication.listsGenerated ? [] : (generated.get(name) ?? []);
    return found === undefined ? [] : filteredBy(table, found, unsent);
  });
  if (filtered.length > 0) return { kind: 'tableFiltered', tables: filtered };
  const memberships = membershipsOf(publication);
  if (stored.memberships === undefined || stored.memberships === memberships) return null;
  const before = new Set(stored.memberships.split(','));
  const rejoined = tables.filter((table) => {
    const found = published.get(nameOf(table));
    return found !== undefined && !before.has(membershipOf(found));
  });
  return rejoined.length === 0 ? null : { kind: 'tableRejoined', tables: rejoined, memberships };
}

const membershipOf = (table: PublishedTable): string => `${nameOf(table)}=${table.membership}`;

/** Which tables are published, and since which ALTER PUBLICATION; compares as text. */
export const membershipsOf = (publication: PublicationFacts): string => publication.tables.map(membershipOf).join(',');

function filteredBy(table: CaptureTable, found: PublishedTable, unsent: readonly string[]): FilteredTable[] {
  const missingColumns = [table.key, ...table.columns].filter(
    (column) => unsent.includes(column) || (found.columns !== null && !found.columns.includes(column)),
  );
  if (found.filter === null && missingColumns.length === 0) return [];
  return [
    { schema: table.schema, table: table.table, filter: found.filter, missingColumns: [...new Set(missingColumns)] },
  ];
}

const nameOf = ({ schema, table }: TableName): string => `${schema}.${table}`;

/**
 * F46: publishing a table whose rows have no identity makes the application's own UPDATE and DELETE fail. One error a
 * table, with the command that helps; empty when all may be published.
 */
export function identityProblems(tables: readonly CaptureTable[], facts: readonly TableFacts[]): TruespokeError[] {
  return tables.flatMap((table) => {
    const found = facts.find((fact) => nameOf(fact) === nameOf(table));
    const problem = found === undefined ? absent(table) : identityProblem(table, found);
    if (problem === null) return [];
    const [code, cause, hint] = problem;
    return [new ConfigError({ code, message: `table ${nameOf(table)}: ${cause}`, hint })];
  });
}

type IdentityProblem = readonly [code: string, cause: string, hint: string];

const absent = (table: TableName): IdentityProblem => [
  'table_missing',
  'does not exist',
  `Run truespoke migrate, or correct the table that the mapping adopts (schema ${table.schema}).`,
];

function identityProblem(table: CaptureTable, found: TableFacts): IdentityProblem | null {
  const name = nameOf(table);
  if (!found.publishable) {
    return [
      'table_not_publishable',
      'is a view, a foreign or an unlogged table: its changes are not in the WAL',
      'Map the table behind it, or ALTER TABLE … SET LOGGED.',
    ];
  }
  if (found.replicaIdentity === 'full') return null;
  const identity = found.replicaIdentity === 'index' ? found.identityKey : found.primaryKey;
  if (found.replicaIdentity === 'nothing' || identity.length === 0) {
    return [
      'table_without_identity',
      found.primaryKey.length === 0
        ? 'has no primary key: once published, UPDATE and DELETE by applications would fail'
        : 'has REPLICA IDENTITY NOTHING: once published, UPDATE and DELETE by applications would fail',
      found.primaryKey.length === 0
        ? `ALTER TABLE ${name} ADD PRIMARY KEY (${table.key}); or ALTER TABLE ${name} REPLICA IDENTITY FULL;`
        : `ALTER TABLE ${name} REPLICA IDENTITY DEFAULT;`,
    ];
  }
  // A delete carries only the identity columns: without the key it could not be matched to a record.
  if (!identity.includes(table.key)) {
    return [
      'table_identity_without_key',
      `deletes would carry (${identity.join(', ')}) and not the mapped key ${table.key}`,
      `ALTER TABLE ${name} REPLICA IDENTITY FULL; or map ${identity.join(', ')} as the key.`,
    ];
  }
  return null;
}

export interface Prepared {
  readonly position: StoredPosition;
  /** Tables that joined an existing publication: their existing rows need a backfill. */
  readonly added: readonly TableName[];
}

/**
 * Makes the publication and the slot where they do not exist: publication first, since a slot decodes with the catalogue
 * of its moment. The position starts at the slot's consistent point: everything committed later is in the stream.
 */
export async function prepareSource(
  pool: Pool,
  names: { readonly slot: string; readonly publication: string },
  tables: readonly CaptureTable[],
): Promise<Prepared> {
  await refuseUnidentified(pool, tables);
  const version = await readVersionNumber(pool);
  const before = await readPublication(pool, names.publication, version);
  if (before === null) await createPublication(pool, names.publication, tables);
  const added = before === null ? [] : await publishMore(pool, names.publication, tables, before);
  const consistent = await freshSlot(pool, names.slot);
  const [system, publication] = [await readSystem(pool), await readPublication(pool, names.publication, version)];
  return {
    position: {
      ...names,
      systemIdentifier: system.systemId,
      timeline: system.timeline,
      publicationOid: publication?.oid ?? 0,
      durableLsn: consistent,
    },
    added,
  };
}

/** A slot that a killed start left behind has no stored position: nothing says what it has missed, so it goes. */
async function freshSlot(pool: Pool, name: string): Promise<Lsn> {
  try {
    await dropSlot(pool, name);
    return await createSlot(pool, name);
  } catch (cause) {
    const state = sqlState(cause);
    if (state === '55006') {
      throw new Retriable({
        code: 'slot_in_use',
        message: `replication slot ${name}: another process reads it (${(cause as Error).message})`,
        hint: 'Stop the other engine, or give this one its own slot name.',
        cause,
      });
    }
    if (state !== '57014') throw cause;
    throw new Retriable({
      code: 'slot_waits',
      message: `replication slot ${name}: cannot be made while older transactions are open`,
      hint: `Find them: SELECT pid, xact_start, query FROM pg_stat_activity WHERE backend_xid IS NOT NULL ORDER BY xact_start;`,
      cause,
    });
  }
}

/** Publishes tables that joined the mapping; returns them. Their changes arrive from now on. */
export async function extendPublication(
  pool: Pool,
  publication: string,
  tables: readonly CaptureTable[],
): Promise<readonly TableName[]> {
  await refuseUnidentified(pool, tables);
  const found = await readPublication(pool, publication, await readVersionNumber(pool));
  return found === null ? [] : publishMore(pool, publication, tables, found);
}

async function publishMore(
  pool: Pool,
  name: string,
  tables: readonly CaptureTable[],
  found: PublicationFacts,
): Promise<readonly TableName[]> {
  const published = new Set(found.tables.map(nameOf));
  const missing = tables.filter((table) => !published.has(nameOf(table)));
  await addToPublication(pool, name, missing);
  return missing.map(({ schema, table }) => ({ schema, table }));
}

async function refuseUnidentified(pool: Pool, tables: readonly CaptureTable[]): Promise<void> {
  const [first, ...more] = identityProblems(tables, await readTables(pool, tables));
  if (first === undefined) return;
  if (more.length === 0) throw first;
  const all = [first, ...more];
  throw new ConfigError({
    code: first.code,
    message: all.map(({ message }) => message).join('\n'),
    hint: all.map(({ hint }) => hint ?? '').join('\n'),
  });
}

/** One sentence for people: what was found and what it means. */
export function explainCheck(check: SourceCheck): string {
  const list = (tables: readonly TableName[]): string => tables.map(nameOf).join(', ');
  switch (check.kind) {
    case 'ok':
      return 'the stream carries every change since the stored position';
    case 'otherSystem':
      return `the hub is another cluster (system identifier ${check.found}, stored ${check.stored})`;
    case 'otherTimeline':
      return `the hub was promoted (timeline ${check.found}, stored ${check.stored})`;
    case 'serverBehind':
      return `the hub was restored to ${formatLsn(check.found)}, before the stored position ${formatLsn(check.stored)}`;
    case 'slotMissing':
      return 'the replication slot does not exist: changes since the stored position are not retained';
    case 'slotLost':
      return `the replication slot was invalidated (${check.reason}): changes are missing from the stream`;
    case 'slotAhead':
      return `the slot starts at ${formatLsn(check.found)}, after the stored position ${formatLsn(check.stored)}: changes in between are missing`;
    case 'slotForeign':
      return `the replication slot is not ours: ${check.reason}`;
    case 'publicationMissing':
      return 'the publication does not exist';
    case 'recreated':
      return `the publication was dropped and made again (oid ${check.found}, stored ${check.stored}): changes in between are missing`;
    case 'partial':
      return `the publication leaves out ${check.missing.join(', ')}`;
    case 'tableRejoined':
      return `left the publication and came back: ${list(check.tables)}; changes in between are missing`;
    case 'tableMissing':
      return `not published: ${list(check.tables)}`;
    case 'tableFiltered':
      return `published with a row filter or without mapped columns: ${list(check.tables)}`;
    default:
      return check satisfies never;
  }
}
