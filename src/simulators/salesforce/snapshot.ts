// Owns taking a simulated org out of memory and putting it back: records with their ids and stamps, counters, the recycle bin. Ledger,
// sessions, jobs and rules are of one run and stay behind.
import type { Org } from './org.js';
import { blankRow } from './store.js';
import type { Row, Value } from './words.js';

export interface OrgSnapshot {
  readonly orgId: string;
  /** Rows by object; a field that is null is left out. */
  readonly tables: Readonly<Record<string, readonly Row[]>>;
  readonly ids: readonly (readonly [string, number])[];
  readonly autoNumbers: readonly (readonly [string, number])[];
  readonly bin: readonly (readonly [string, string])[];
}

export function snapshotOf(org: Org): OrgSnapshot {
  const tables: Record<string, readonly Row[]> = {};
  for (const object of org.catalogue.objects()) {
    const rows = [...org.store.table(object.name).all()];
    if (rows.length > 0) tables[object.name] = rows.map(bare);
  }
  return { orgId: org.orgId, tables, ids: org.ids.counters(), autoNumbers: [...org.autoNumbers], bin: [...org.bin] };
}

/** Into a fresh org. Throws RangeError for a snapshot of another org. */
export function restore(org: Org, snapshot: OrgSnapshot): void {
  if (snapshot.orgId !== org.orgId) throw new RangeError(`the snapshot is of org ${snapshot.orgId}, not ${org.orgId}`);
  for (const [name, rows] of Object.entries(snapshot.tables)) {
    const object = org.object(name);
    const table = org.store.table(name);
    for (const row of rows) table.put(String(row['Id']), { ...blankRow(object), ...nulls(object.fields), ...row });
  }
  org.ids.restore(snapshot.ids);
  for (const [object, n] of snapshot.autoNumbers) org.autoNumbers.set(object, n);
  for (const [id, root] of snapshot.bin) org.bin.set(id, root);
}

function bare(row: Row): Row {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null));
}

/** A field left out was null, whatever its default for new records is. */
function nulls(fields: readonly { readonly name: string; readonly type: string }[]): Record<string, Value> {
  return Object.fromEntries(fields.filter(({ type }) => type !== 'address').map(({ name }) => [name, null]));
}
