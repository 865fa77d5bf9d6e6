// Owns the form of a catalogue entry: for each path of an object its type, where it stands in a read, where it goes in
// a write. Promises that only what is listed here can reach a GraphQL document (identifier injection ends here).
import type { ExternalId, HubId, RemotePath } from '../../../model/ids.js';
import type { RemoteField } from '../../connector.js';
import type { ChildWrite, Write, WriteResult } from '../../connector.js';

export type JsonObject = Readonly<Record<string, unknown>>;

export interface PathSpec {
  readonly path: string;
  readonly type: RemoteField['type'];
  /** Dotted place in the selection and in the answer: `defaultEmailAddress.emailAddress`. */
  readonly at: string;
  readonly nullable?: boolean;
  /** Dotted place in the create's arguments: `input.email`; absent = not createable. */
  readonly create?: string;
  /** Dotted place in the update's arguments; absent = not updateable. */
  readonly update?: string;
  readonly maxLength?: number;
  readonly scale?: number;
  readonly values?: readonly string[];
  readonly references?: readonly string[];
  /** Key of the search syntax that filters by this path. */
  readonly search?: string;
  /** Exact and immediate look-up by this value, in the object's identifier input. */
  readonly identifier?: string;
  /** How the remote compares values of this path. */
  readonly compare?: 'exact' | 'lower' | 'digits';
  /** Sent as a string whatever the hub gave (Money and Decimal scalars). */
  readonly decimal?: boolean;
}

export interface ChildSpec {
  /** Connection field of the parent, and its child name. */
  readonly field: string;
  readonly gid: string;
  /** Children read along with the parent in one call; further ones are paged. */
  readonly first: number;
  readonly paths: readonly PathSpec[];
}

/** One aliased mutation. Values travel as variables. */
export interface Mutation {
  readonly field: string;
  readonly args: readonly { readonly name: string; readonly type: string; readonly value: unknown }[];
  /** Payload key that holds the record, or the deleted id. */
  readonly payload: string;
  readonly returns: 'record' | 'deletedId';
  /** The payload's user errors carry codes. */
  readonly coded: boolean;
  /** How many children the record will have at most, for the cost of reading it back. */
  readonly children: number;
}

export type Rejected = Extract<WriteResult, { outcome: 'rejected' }>;
export type Planned =
  { readonly ok: true; readonly mutations: readonly Mutation[] } | { readonly ok: false; readonly rejected: Rejected };

export interface HubKeyPlace {
  readonly namespace: string;
  readonly key: string;
}

/** What planning a write may need to know beyond the write itself. */
export interface PlanContext {
  readonly hubKey: HubKeyPlace;
  /** The first variant of a record, where known. */
  readonly variantOf: ReadonlyMap<string, string>;
  readonly currency: string;
}

export interface Writer {
  /** Ids whose first variant must be known before this write can be planned. */
  variantsNeeded(write: Write): readonly string[];
  /** A create is preceded by a look-up by hub id, because the create itself is not an upsert. */
  readonly lookupBeforeCreate: boolean;
  create(write: Extract<Write, { op: 'create' }>, context: PlanContext): Planned;
  update(write: Extract<Write, { op: 'update' }>, context: PlanContext): Planned;
  remove(write: Extract<Write, { op: 'delete' }>): Planned;
}

export interface ObjectSpec {
  readonly name: string;
  /** Type name inside ids: gid://shopify/<gid>/1 */
  readonly gid: string;
  readonly collection: string;
  /** `stamp`: the collection sorts by update time. `id`: only by id, so a window is read in full before it counts. */
  readonly order: 'stamp' | 'id';
  readonly byIdentifier: { readonly field: string; readonly input: string } | null;
  readonly ownerType: string;
  readonly scopes: { readonly read: string; readonly write: string };
  /** Places of the stamps; the version is the latest of them. The first is what the collection is filtered by. */
  readonly stamps: readonly string[];
  readonly paths: readonly PathSpec[];
  readonly children: Readonly<Record<string, ChildSpec>>;
  /** A connection read for its first node only (the default variant), by field name. */
  readonly single: { readonly field: string; readonly gid: string } | null;
  readonly writer: Writer | null;
  readonly deletable: boolean;
  /** Webhook topics (as in the header) that hint at this object. */
  readonly topics: readonly { readonly topic: string; readonly deleted: boolean }[];
}

export function rejected(code: string, message: string, paths: readonly string[] = []): Planned {
  return {
    ok: false,
    rejected: { outcome: 'rejected', code, message, recovery: 'park', paths: paths as readonly RemotePath[] },
  };
}

/** Puts each field's value where its catalogue entry says. Unknown or unwritable paths are listed, none is dropped. */
export function arrange(
  paths: readonly PathSpec[],
  fields: Readonly<Record<string, unknown>>,
  op: 'create' | 'update',
): { readonly args: Record<string, unknown>; readonly refused: readonly string[] } {
  const args: Record<string, unknown> = {};
  const refused: string[] = [];
  for (const [path, value] of Object.entries(fields)) {
    const spec = paths.find((candidate) => candidate.path === path);
    const place = spec?.[op];
    if (spec === undefined || place === undefined) refused.push(path);
    else put(args, place.split('.'), encode(spec, value));
  }
  return { args, refused };
}

function encode(spec: PathSpec, value: unknown): unknown {
  // Where Shopify has no null, its empty value says the same.
  if (value === null && spec.nullable === false && spec.type === 'text') return '';
  if (value === null && spec.type === 'list') return [];
  if (spec.decimal === true && typeof value === 'number') return String(value);
  return value;
}

function put(target: Record<string, unknown>, steps: readonly string[], value: unknown): void {
  const [step, ...rest] = steps;
  if (step === undefined) return;
  if (rest.length === 0) {
    target[step] = value;
    return;
  }
  const below = (target[step] ?? (/^\d+$/.test(rest[0] ?? '') ? [] : {})) as Record<string, unknown>;
  target[step] = below;
  put(below, rest, value);
}

export function refusedPaths(object: string, op: 'create' | 'update', refused: readonly string[]): Planned {
  const what = op === 'create' ? 'set on a new' : 'changed on an existing';
  return rejected('unsupported_change', `Shopify does not let ${refused.join(', ')} be ${what} ${object}.`, refused);
}

export const gidOf = (type: string, id: string): boolean => new RegExp(`^gid://shopify/${type}/[0-9]+$`).test(id);

export interface HubKeyed {
  readonly hubId: HubId;
  readonly externalId: ExternalId | null;
}

export const hasChildren = (children: Readonly<Record<string, readonly ChildWrite[]>>): boolean =>
  Object.values(children).some((list) => list.length > 0);
