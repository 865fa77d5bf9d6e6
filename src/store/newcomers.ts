// Owns bringing in many new records at once, as a backfill does: hub rows and their links by COPY, then one look at what the hub made of
// the values. Measured, a record of 12 fields: 29 µs of Postgres's CPU instead of 48 by `unnest` (rows 8 instead of 12, links 20 instead of
// 34), and on our side neither arrays, nor rows that come back, nor bases built as objects.
// Promises what `insertRows` and `saveLinks` promise for new records, but for one thing: a link that exists already fails the batch (23505).
import type { EntityName, ExternalId, HubId, SpokeName, Version } from '../model/ids.js';
import type { Base } from '../model/link.js';
import type { HubFields } from '../model/record.js';
import { copyPieces, copyText, textArray } from './copy.js';
import type { HubColumn, HubTable } from './hub.js';
import { quoteText } from './identifier.js';
import type { Tx } from './pool.js';

export interface Newcomer {
  readonly hubId: HubId;
  readonly externalId: ExternalId;
  /** What the new row gets. */
  readonly set: HubFields;
  readonly base: Base;
  readonly version: Version;
  /** For an embedded child: the hub record that embeds it. */
  readonly parent: HubId | null;
}

interface Feed {
  readonly spoke: SpokeName;
  readonly entity: EntityName;
}

/** A cast cuts a text to its column's length, COPY refuses it: such columns take the other way. */
const cutsByCast = (type: string): boolean => type.includes('(') && !/^(numeric|time)/.test(type);

/** How a table takes COPY; `exactly`: no trigger rewrites what goes in. null: not at all. */
export type CopyWay = 'exactly' | 'maybe rewritten';

/** COPY knows no views, no rules and no row security. Asked in the transaction: an adopted table changes without us. */
export async function copyWay(tx: Tx, table: HubTable): Promise<CopyWay | null> {
  if (table.columns.some(({ type }) => cutsByCast(type))) return null;
  const { rows } = await tx.query({
    name: 'hub_copy_way',
    // 7: a trigger before the insert of a row. Partitions may have their own.
    text: `select (c.relkind = 'r' and not exists (
                     select 1 from pg_trigger g where g.tgrelid = c.oid and g.tgtype & 7 = 7 and g.tgenabled <> 'D'))::text as exactly
             from pg_class c
            where c.oid = to_regclass($1) and c.relkind in ('r', 'p') and not c.relrowsecurity and not c.relhasrules`,
    values: [table.sql],
  });
  const [found] = rows;
  if (found === undefined) return null;
  return found['exactly'] === 'true' ? 'exactly' : 'maybe rewritten';
}

/** Hub values are written as Postgres prints them; a column of the field's own type shows them as they went in. */
function keepsText({ field, type }: HubColumn): boolean {
  switch (field.type) {
    case 'integer':
      return type === 'integer' || type === 'bigint';
    case 'boolean':
    case 'date':
      return type === field.type;
    case 'timestamp':
      return type === 'timestamp with time zone';
    case 'decimal':
      return field.scale !== null && type.endsWith(`,${field.scale})`);
    case 'text':
      return type === 'text';
    default:
      return false;
  }
}

export async function copyNewcomers(
  tx: Tx,
  table: HubTable,
  feed: Feed,
  newcomers: readonly Newcomer[],
  options: { readonly way: CopyWay; readonly atMs: number },
): Promise<void> {
  const { way, atMs } = options;
  if (newcomers.length === 0) return;
  const columns = columnsOf(table, newcomers);
  const names = [table.id.sql, ...columns.map(({ sql }) => sql)].join(', ');
  const { rows, links } = linesOf(columns, feed, newcomers, new Date(atMs).toISOString());
  await copyPieces(tx, `copy ${table.sql} (${names}) from stdin`, rows);
  await copyPieces(
    tx,
    `copy truespoke.link (hub_id, external_id, base_hub, base_remote, version, parent_id, spoke, entity, state, created_at, updated_at)
     from stdin`,
    links,
  );
  const unsure = way === 'exactly' ? columns.filter((column) => !keepsText(column)) : columns;
  if (unsure.length > 0) await correctBases(tx, table, feed, newcomers, unsure);
}

function columnsOf(table: HubTable, newcomers: readonly Newcomer[]): readonly HubColumn[] {
  const used = new Set<string>();
  for (const { set } of newcomers) for (const name in set) used.add(name);
  return table.columns.filter(({ field }) => used.has(field.name));
}

/** About 60 kB of each. */
const pieceRecords = 200;

/** What JSON or COPY would escape. */
const special = /["\\\u0000-\u001f\ud800-\udfff]/;

/**
 * Written by hand, each text looked at once: an object of each half, JSON.stringify of it and quoting that once more were a third of what a
 * record took on our side. (Parts in an array, joined once, were slower than strings that grow.)
 */
function linesOf(
  columns: readonly HubColumn[],
  { spoke, entity }: Feed,
  newcomers: readonly Newcomer[],
  at: string,
): { readonly rows: readonly string[]; readonly links: readonly string[] } {
  const pieces: { rows: string[]; links: string[] } = { rows: [], links: [] };
  const keys = columns.map(({ field }) => ({ name: field.name, json: `${JSON.stringify(field.name)}:` }));
  const end = `\t${copyText(spoke)}\t${copyText(entity)}\tlive\t${at}\t${at}\n`;
  let [rows, links] = ['', ''];
  for (const [i, { hubId, externalId, set, base, version, parent }] of newcomers.entries()) {
    const id = copyText(hubId);
    let [row, hub, remote, comma, escapes] = [id, '{', '{', '', false];
    for (const { name, json } of keys) {
      const value = set[name] ?? null;
      const plain = value === null || !special.test(value);
      row += `\t${plain && value !== null ? value : copyText(value)}`;
      const pair = base[name];
      if (pair === undefined) continue;
      const written = value === null ? 'null' : plain ? `"${value}"` : JSON.stringify(value);
      hub += `${comma}${json}${written}`;
      const shown = pair.remote;
      if (shown === value) remote += `${comma}${json}${written}`;
      else if (typeof shown === 'number' || typeof shown === 'boolean') remote += `${comma}${json}${shown}`;
      else {
        remote += `${comma}${json}${JSON.stringify(shown)}`;
        escapes = true;
      }
      escapes ||= !plain;
      comma = ',';
    }
    rows += `${row}\n`;
    hub = escapes ? copyText(hub) : hub;
    remote = escapes ? copyText(remote) : remote;
    links += `${id}\t${copyText(externalId)}\t${hub}}\t${remote}}\t${copyText(version)}\t${copyText(parent)}${end}`;
    if ((i + 1) % pieceRecords > 0 && i + 1 < newcomers.length) continue;
    pieces.rows.push(rows);
    pieces.links.push(links);
    [rows, links] = ['', ''];
  }
  return pieces;
}

/** A trigger rewrites, another type prints otherwise: the base's half is what the hub holds. 5 µs a record where nothing is to correct. */
async function correctBases(
  tx: Tx,
  table: HubTable,
  feed: Feed,
  newcomers: readonly Newcomer[],
  columns: readonly HubColumn[],
): Promise<void> {
  const differs = columns.map(({ field, sql }) => {
    const key = quoteText(field.name);
    return `t.${sql}::text is distinct from l.base_hub ->> ${key} and l.base_hub ? ${key}`;
  });
  const held = columns.map(
    ({ field, sql }, i) =>
      `case when ${differs[i]} then jsonb_build_object(${quoteText(field.name)}, t.${sql}::text) else '{}' end`,
  );
  await tx.query(
    `update truespoke.link l set base_hub = l.base_hub || ${held.join(' || ')}
       from ${table.sql} t
      where t.${table.id.sql} = any($3::text[]::${table.id.type}[]) and l.hub_id = t.${table.id.sql}::text
        and l.spoke = $1 and l.entity = $2 and l.external_id = any($4::text[])
        and ((${differs.join(') or (')}))`,
    [
      feed.spoke,
      feed.entity,
      textArray(newcomers.map(({ hubId }) => hubId)),
      textArray(newcomers.map(({ externalId }) => externalId)),
    ],
  );
}
