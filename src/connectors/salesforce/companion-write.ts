// Owns writing the fields that live in a companion row, after the record itself is in place: change the row that is there, create
// the missing one. Safe to repeat: Salesforce allows one row for each record and container.
import type { CallOptions, WriteResult } from '../connector.js';
import type { SalesforceClient } from './client.js';
import type { Catalogue, CatalogueObject } from './catalogue.js';
import {
  collectionRows,
  conditionalRows,
  notSent,
  writeIfUnmodified,
  writeRows,
  type RowOutcome,
} from './collections.js';
import type { Companion } from './companions.js';
import { id18, recoveryOf, rejection } from './errors.js';
import { refusal, type Body } from './prepare.js';
import type { Query } from './query.js';
import { groups, quoted, soqlUrlMax } from './soql.js';

export interface CompanionWrite {
  readonly at: number;
  /** The record that the companion belongs to. */
  readonly id: string;
  readonly fields: Body;
  /** Change a row that is there only if nobody changed it after this time. */
  readonly expectMs: number | null;
}

export interface CompanionParts {
  readonly client: SalesforceClient;
  readonly catalogue: Catalogue;
  readonly query: Query;
  readonly scopeId: (companion: Companion, options: CallOptions) => Promise<string | null>;
}

interface CompanionRow {
  readonly at: number;
  readonly id: string | null;
  readonly body: Body;
  readonly expectMs: number | null;
}

/** What went wrong, by position; a position that is absent is in place. Rejects only before any call with an effect. */
export async function writeCompanions(
  parts: CompanionParts,
  companion: Companion,
  writes: readonly CompanionWrite[],
  options: CallOptions,
): Promise<Map<number, WriteResult>> {
  const failed = new Map<number, WriteResult>();
  const scope = await parts.scopeId(companion, options);
  const object = await parts.catalogue.object(companion.companion, options);
  const ids = writes.map((one) => one.id);
  const there = scope === null ? new Map<string, string>() : await existing(parts, { companion, scope, ids, options });
  const rows: CompanionRow[] = [];
  for (const write of writes) {
    const planned = planRow({ companion, object, scope, row: there.get(write.id) ?? null }, write);
    if (planned === null) continue;
    if ('outcome' in planned) failed.set(write.at, planned);
    else rows.push(planned);
  }
  let touched = false;
  for (const call of callsOf(parts.client, companion.companion, rows, options)) {
    let outcomes: RowOutcome[];
    try {
      outcomes = await call.send();
    } catch (error) {
      if (!touched) throw error;
      // The main record is written and earlier rows are too: these are simply not done yet.
      outcomes = call.rows.map(() => ({ settled: notSent(error) }));
    }
    touched = true;
    for (const [n, outcome] of outcomes.entries()) {
      const result = failure(outcome, companion.prefix);
      const at = call.rows[n]?.at;
      if (result !== null && at !== undefined) failed.set(at, result);
    }
  }
  return failed;
}

interface RowCall {
  readonly rows: readonly CompanionRow[];
  send(): Promise<RowOutcome[]>;
}

function callsOf(
  client: SalesforceClient,
  object: string,
  rows: readonly CompanionRow[],
  options: CallOptions,
): RowCall[] {
  const conditional = rows.flatMap(({ at, id, body, expectMs }) =>
    id === null || expectMs === null ? [] : [{ at, object, id, body, expectMs }],
  );
  const plain = rows.filter((row) => row.id !== null && row.expectMs === null);
  const fresh = rows.filter((row) => row.id === null);
  const collected = (op: 'update' | 'create', list: readonly CompanionRow[]): RowCall[] =>
    groups(list, () => 0, 1, collectionRows).map((group) => ({
      rows: group,
      send: () => writeRows(client, { op, object }, group, options),
    }));
  return [
    ...groups(conditional, () => 0, 1, conditionalRows).map((group) => ({
      rows: group,
      send: () => writeIfUnmodified(client, group, options),
    })),
    ...collected('update', plain),
    ...collected('create', fresh),
  ];
}

interface RowPlace {
  readonly companion: Companion;
  readonly object: CatalogueObject;
  readonly scope: string | null;
  /** Id of the row that is there. */
  readonly row: string | null;
}

/** The row to send, the refusal, or null where there is nothing to do. */
function planRow(place: RowPlace, write: CompanionWrite): CompanionRow | WriteResult | null {
  const { companion, object, scope, row } = place;
  const path = (name: string): string => `${companion.prefix}.${name}`;
  const names = Object.keys(write.fields);
  if (scope === null) {
    const message = `there is no ${companion.scope.object} to put ${companion.companion} into`;
    return refusal('NO_CONTAINER', message, names.map(path));
  }
  const fixed = names.find((name) => object.fields.get(name)?.[row === null ? 'createable' : 'updateable'] !== true);
  if (fixed !== undefined) {
    return refusal('FIELD_NOT_WRITABLE', `${companion.companion}.${fixed} cannot be set`, [path(fixed)]);
  }
  if (row !== null) return { at: write.at, id: row, body: write.fields, expectMs: write.expectMs };
  if (Object.values(write.fields).every((value) => value === null)) return null;
  const missing = companion.requires.filter((name) => (write.fields[name] ?? null) === null);
  if (missing.length > 0) {
    const message = `the record has no ${companion.companion} yet, and one cannot be made without ${missing.join(', ')}`;
    return refusal('REQUIRED_FIELD_MISSING', message, missing.map(path));
  }
  const keys = { [companion.parentField]: write.id, [companion.scope.field]: scope };
  return { at: write.at, id: null, body: { ...companion.defaults, ...write.fields, ...keys }, expectMs: null };
}

function failure(outcome: RowOutcome, prefix: string): WriteResult | null {
  if ('done' in outcome) return null;
  if ('settled' in outcome) return outcome.settled;
  // Somebody made the row between our look and our call: the next try finds it and changes it.
  if (outcome.errors.some((error) => recoveryOf(error.code) === 'duplicate')) {
    return {
      outcome: 'rejected',
      code: 'COMPANION_EXISTS',
      message: outcome.errors[0]?.message ?? '',
      recovery: 'retry',
      paths: [],
    };
  }
  return rejection(outcome.errors, `${prefix}.`);
}

async function existing(
  parts: CompanionParts,
  given: { companion: Companion; scope: string; ids: readonly string[]; options: CallOptions },
): Promise<Map<string, string>> {
  const { companion } = given;
  const found = new Map<string, string>();
  const select = `SELECT Id, ${companion.parentField} FROM ${companion.companion} WHERE ${companion.scope.field} = ${quoted(given.scope)}`;
  for (const group of groups(given.ids, () => 27, soqlUrlMax - 500, 400)) {
    const soql = `${select} AND ${companion.parentField} IN (${group.map(quoted).join(',')}) ORDER BY Id DESC`;
    for (const row of await parts.query.all(soql, given.options)) {
      found.set(id18(String(row[companion.parentField])), id18(String(row['Id'])));
    }
  }
  return found;
}
