// Owns the words for what inbound decided about one remote record. Data only: pipeline.ts decides, apply.ts writes.
import type { ExternalId, HubId, Version } from '../model/ids.js';
import type { Base } from '../model/link.js';
import type { HubFields, RemoteRecord, RemoteValue } from '../model/record.js';
import type { Candidate } from './match.js';
import type { MergeConflict } from './merge.js';
import type { Missing } from './normalise.js';

/** A remote record on its way in. */
export interface Incoming {
  readonly record: RemoteRecord;
  /** For an embedded child: the record that carries it. */
  readonly parent: ExternalId | null;
  /** The hub record that outbound found this one to be; matching is skipped. */
  readonly belongsTo?: HubId;
  /** A person has said that it is a new one; matching is skipped. */
  readonly alone?: boolean;
}

export type Decision = { readonly incoming: Incoming } & (
  | {
      readonly kind: 'ignore';
      readonly why: 'same' | 'older' | 'out_of_scope' | 'unknown_deleted' | 'merged' | 'deleted_in_hub';
      /** What the hub's deletion overrules. */
      readonly conflicts?: readonly MergeConflict[];
    }
  /** Cannot be judged now: fetch it by id and decide then. */
  | { readonly kind: 'refetch'; readonly delayMs: number; readonly why: 'equal_stamp' | 'in_flight' | 'raced' }
  | { readonly kind: 'park'; readonly code: string; readonly message: string; readonly field: string | null }
  | { readonly kind: 'wait'; readonly missing: readonly Missing[] }
  | { readonly kind: 'ambiguous'; readonly candidates: readonly Candidate[] }
  | { readonly kind: 'duplicate'; readonly of: Candidate }
  | Upsert
  | {
      readonly kind: 'delete';
      readonly hubId: HubId;
      readonly hold: boolean;
      /** Edits of the hub that the spoke never saw. */
      readonly conflicts: readonly MergeConflict[];
    }
  | { readonly kind: 'moved'; readonly hubId: HubId; readonly to: ExternalId; readonly survivor: Survivor }
);

/** What is known of the record that a spoke has merged another one into. */
export type Survivor =
  /** It has no link yet: the loser's goes there. */
  | { readonly kind: 'free' }
  /** It was set aside when the two hub records were joined: it takes the place of the loser. */
  | { readonly kind: 'aside' }
  /** It is another hub record's: the two are one. */
  | { readonly kind: 'linked'; readonly hubId: HubId }
  /** Its link is past: a person must say what it is. */
  | { readonly kind: 'past' };

export interface Upsert {
  readonly kind: 'upsert';
  readonly hubId: HubId;
  readonly row: 'insert' | 'update' | 'unarchive';
  readonly link: 'new' | 'keep' | 'revive';
  readonly set: HubFields;
  readonly base: Base;
  readonly version: Version;
  /** The spoke must get something back. */
  readonly push: boolean;
  readonly conflicts: readonly MergeConflict[];
  readonly blank: Readonly<Record<string, RemoteValue>>;
  /** References that are filled in once their targets are linked. */
  readonly later: readonly Missing[];
  readonly hubChangedAtMs: number | null;
}

export type DecisionOf<K extends Decision['kind']> = Extract<Decision, { readonly kind: K }>;

/** What a batch did, for logs, metrics and progress. */
export interface Tally {
  created: number;
  updated: number;
  linked: number;
  unchanged: number;
  deleted: number;
  parked: number;
  waiting: number;
  reviews: number;
  conflicts: number;
  refetched: number;
}

export const emptyTally = (): Tally => ({
  created: 0,
  updated: 0,
  linked: 0,
  unchanged: 0,
  deleted: 0,
  parked: 0,
  waiting: 0,
  reviews: 0,
  conflicts: 0,
  refetched: 0,
});

export function addTally(total: Tally, part: Tally): void {
  for (const key of Object.keys(total) as (keyof Tally)[]) total[key] += part[key];
}
