// What does a fresh read of a linked record say? Pure. Drift is a difference that no captured change explains; what it is decides
// through which door it is repaired.
import type { SpokeMapping } from '../mapping/mapping.js';
import { sameRemote } from '../mapping/values.js';
import type { FieldName } from '../model/ids.js';
import { imageOf, type Link } from '../model/link.js';
import type { RemoteRecord, RemoteValue } from '../model/record.js';

export type Classified =
  | { readonly kind: 'agrees' }
  /** Something under way will settle it. */
  | { readonly kind: 'explained' }
  /** The spoke changed and told nobody, or we missed it: inbound looks at it. */
  | { readonly kind: 'missed'; readonly fields: readonly FieldName[] }
  /** The spoke shows other values under the same version: no edit of anyone. The hub's values are written again. */
  | { readonly kind: 'damaged'; readonly shown: Readonly<Record<FieldName, RemoteValue>> }
  | { readonly kind: 'gone' };

export interface ClassifyInput {
  readonly mapping: SpokeMapping;
  readonly link: Link;
  /** null: not found by id. */
  readonly record: RemoteRecord | null;
  readonly explained: boolean;
  /** Fields that a person must decide: what they show is known. */
  readonly open?: ReadonlySet<string> | undefined;
}

export function classify({ mapping, link, record, explained, open }: ClassifyInput): Classified {
  if (record === null || record.deleted) return explained ? { kind: 'explained' } : { kind: 'gone' };
  const shown: Record<FieldName, RemoteValue> = {};
  const unseen: FieldName[] = [];
  let writable = true;
  const stamped = record.version !== '' && record.version !== link.version;
  for (const field of mapping.fields) {
    if (field.fromParent || field.reads.length === 0) continue;
    const base = link.base[field.field.name];
    const values = field.reads.map((path) => record.fields[path]);
    // Not observed is not different.
    if (values.some((value) => value === undefined)) continue;
    if (!stamped && open?.has(field.field.name) === true) continue;
    if (base === undefined || link.unseen?.[field.field.name] !== undefined) {
      // Never agreed on, or hidden from us since (F78): inbound takes its first look.
      if (field.direction !== 'out' && mapping.direction !== 'out') unseen.push(field.field.name);
      continue;
    }
    const image = imageOf(values.map((value) => value ?? null));
    if (sameRemote(image, base.remote)) continue;
    shown[field.field.name] = image;
    if (field.direction === 'in' || field.writes.length === 0) writable = false;
  }
  const fields = Object.keys(shown) as FieldName[];
  if (fields.length === 0 && unseen.length === 0) return { kind: 'agrees' };
  if (explained) return { kind: 'explained' };
  const missed = stamped || !writable || mapping.direction === 'in' || unseen.length > 0;
  return missed ? { kind: 'missed', fields: [...fields, ...unseen] } : { kind: 'damaged', shown };
}
