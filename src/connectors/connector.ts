// The connector contract. A connector turns one remote system's API into these verbs and promises nothing else:
// no merging, no retries of writes, no knowledge of the hub. Everything it needs comes in through ConnectorDeps.
import type { Clock } from '../base/clock.js';
import type { Http } from '../base/http.js';
import type { Log } from '../base/log.js';
import type { Random } from '../base/random.js';
import type { Budget } from '../model/quota.js';
import type { Cursor, ExternalId, HubId, ObjectName, RemotePath, SpokeName, Version } from '../model/ids.js';
import type { RemoteFields, RemoteRecord, RemoteValue } from '../model/record.js';

export interface Connector<Config> {
  readonly name: string;
  /** Throws `Problems` once, listing every problem. `place` says where in truespoke.yaml a key of `raw` stands. */
  parseConfig(raw: unknown, place: ConfigPlace): Config;
  /** Builds the client; the first network call happens in `identity()`. */
  open(config: Config, deps: ConnectorDeps): Promise<Spoke>;
}

/** Finds file, line and column of a key path inside the spoke's section. */
export type ConfigPlace = (path: readonly (string | number)[]) => { file?: string; line?: number; column?: number };

export interface ConnectorDeps {
  readonly spoke: SpokeName;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly http: Http;
  readonly limiter: Limiter;
  readonly state: ConnectorState;
}

/** Who spends the budget. Interactive goes before repair before backfill. */
export type Lane = 'interactive' | 'repair' | 'backfill';

/** Rate limit, quota ledger and breaker of one spoke, shared by all its calls. */
export interface Limiter {
  /**
   * Runs `call` when spacing, quota and breaker allow. `cost` in the spoke's own units (calls, or GraphQL points).
   * Rejects with RateLimited / SpokePaused when the wait would exceed what the lane tolerates, without calling.
   */
  run<T>(
    request: { readonly cost: number; readonly lane: Lane; readonly signal?: AbortSignal },
    call: () => Promise<T>,
  ): Promise<T>;
  /** What a response header or extension told us about the budget; written to the shared ledger. */
  observe(budget: Budget): void;
  /** The remote said wait. No call starts before then. */
  backOff(ms: number, reason: string): void;
}

/** Small durable memory of a connector: rotated tokens, bulk work in flight. Kept in the hub. */
export interface ConnectorState {
  get(key: string): Promise<string | null>;
  /** Durable when it resolves. null forgets. */
  put(key: string, value: string | null): Promise<void>;
  /** One process at a time holds `key`, across the whole installation. */
  exclusive<T>(key: string, body: () => Promise<T>): Promise<T>;
}

export interface Capabilities {
  /** `Write.expect` is honoured by the remote itself. */
  readonly conditionalWrite: boolean;
  /**
   * A create repeated with the same hub id cannot make a second record. Where the remote can say so it is rejected as a `duplicate` of
   * the first, which it leaves as it is: somebody may have edited that since.
   */
  readonly idempotentCreate: boolean;
  /** `scan` uses a bulk route. */
  readonly bulkScan: boolean;
  /** `write` uses a bulk route from this many records on; null = never. */
  readonly bulkWriteFrom: number | null;
  readonly stream: boolean;
  readonly webhooks: boolean;
  /** `changes` reports deletions. */
  readonly deleteFeed: boolean;
  readonly undelete: boolean;
  /** Most records per call. */
  readonly writeBatch: number;
  readonly fetchBatch: number;
  readonly findBatch: number;
  /** Calls that may be under way at once. */
  readonly lanes: number;
}

export interface SpokeIdentity {
  /** Organisation, shop, database: pinned at first connect; a change stops the spoke. */
  readonly id: string;
  readonly label: string;
  /** Who we are there, for recognising our own edits in `modifiedBySelf`. */
  readonly user: string | null;
}

export interface RemoteField {
  readonly path: RemotePath;
  readonly type: 'text' | 'number' | 'boolean' | 'date' | 'timestamp' | 'id' | 'list' | 'json';
  readonly nullable: boolean;
  readonly createable: boolean;
  readonly updateable: boolean;
  /** A create without it is refused: not nullable, and no default at the remote. Absent = the describe does not tell. */
  readonly required?: boolean | undefined;
  readonly maxLength?: number | undefined;
  readonly scale?: number | undefined;
  /** Closed list of values, where the remote enforces one. */
  readonly values?: readonly string[] | undefined;
  /** Objects an `id` may point to. */
  readonly references?: readonly ObjectName[] | undefined;
}

export interface RemoteObject {
  readonly name: ObjectName;
  readonly fields: readonly RemoteField[];
  /** Embedded children by child name. */
  readonly children: Readonly<Record<string, readonly RemoteField[]>>;
  readonly createable: boolean;
  readonly updateable: boolean;
  readonly deletable: boolean;
}

export interface RemoteSchema {
  readonly objects: readonly RemoteObject[];
  /** Asked-for objects that do not exist or are not visible to us. */
  readonly missing: readonly ObjectName[];
  /** API version in use, for the contract table. */
  readonly apiVersion: string;
}

/** What to read of an object. */
export interface Fields {
  readonly paths: readonly RemotePath[];
  /** Paths of embedded children by child name. */
  readonly children: Readonly<Record<string, readonly RemotePath[]>>;
}

export interface Page {
  readonly records: readonly RemoteRecord[];
  /** Covers this page: starting again after it repeats or continues, never skips. */
  readonly cursor: Cursor;
  /** True on the last page of a scan, or when `changes` has caught up with now − lag. */
  readonly last: boolean;
  /** Total to expect in a scan, where the remote tells. */
  readonly total: number | null;
}

export interface InventoryPage {
  readonly entries: readonly { readonly externalId: ExternalId; readonly version: Version }[];
  /** True only on the final page of a listing that is complete. */
  readonly last: boolean;
}

/** Something may have happened to this record: fetch it. */
export interface Hint {
  readonly object: ObjectName;
  readonly externalId: ExternalId;
  readonly deleted: boolean;
}

/** A stream event, or word that events were lost and `changes` must be polled now. */
export type StreamEvent =
  { readonly kind: 'hint'; readonly hint: Hint } | { readonly kind: 'gap'; readonly reason: string };

export interface ChildWrite {
  readonly hubId: HubId;
  /** null for a new child. */
  readonly externalId: ExternalId | null;
  readonly fields: RemoteFields;
}

export type Write =
  | {
      readonly op: 'create';
      readonly object: ObjectName;
      /** Idempotency key: stored in the remote record where it can be. */
      readonly hubId: HubId;
      readonly fields: RemoteFields;
      readonly children: Readonly<Record<string, readonly ChildWrite[]>>;
    }
  | {
      readonly op: 'update';
      readonly object: ObjectName;
      readonly hubId: HubId;
      readonly externalId: ExternalId;
      /** Only what differs. */
      readonly fields: RemoteFields;
      readonly children: Readonly<Record<string, readonly ChildWrite[]>>;
      /** Where conditional writes exist: apply only if the record is still at this version. */
      readonly expect: Version | null;
    }
  | { readonly op: 'delete'; readonly object: ObjectName; readonly hubId: HubId; readonly externalId: ExternalId }
  | { readonly op: 'undelete'; readonly object: ObjectName; readonly hubId: HubId; readonly externalId: ExternalId };

/** `record`: the record as our write left it (triggers included), or null where that cannot be told from a later edit. */
export type WriteResult =
  | {
      readonly outcome: 'applied';
      readonly externalId: ExternalId;
      readonly version: Version;
      readonly record: RemoteRecord | null;
    }
  | {
      readonly outcome: 'rejected';
      /** The remote's own code. */
      readonly code: string;
      readonly message: string;
      /** park: a person or a later value must help. retry: transient (row lock). gone: the record no longer exists. */
      readonly recovery: 'park' | 'retry' | 'gone' | 'duplicate';
      readonly paths: readonly RemotePath[];
      /** With `duplicate`: the records that already hold the value, where the remote tells. */
      readonly existing?: readonly ExternalId[] | undefined;
    }
  | { readonly outcome: 'unknown'; readonly cause: string }
  | { readonly outcome: 'throttled'; readonly retryAfterMs: number }
  | { readonly outcome: 'stale'; readonly record: RemoteRecord | null };

export interface WebhookRequest {
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export type WebhookVerdict =
  | {
      readonly ok: true;
      readonly eventId: string;
      readonly topic: string;
      readonly hints: readonly Hint[];
      /** A legal request (erase a person's data, …) that must be recorded and answered by a person. */
      readonly compliance: boolean;
    }
  | { readonly ok: false; readonly reason: string };

/** A remote that calls us. */
export interface WebhookDoor {
  /** Pure: checks raw bytes in constant time against every valid secret and the shop bound to this spoke. */
  verify(request: WebhookRequest): WebhookVerdict;
  /** Makes sure every needed subscription exists and points to `address`; returns the topics it had to create. */
  ensure(address: string, objects: readonly ObjectName[]): Promise<{ readonly created: readonly string[] }>;
}

export interface CallOptions {
  readonly lane: Lane;
  readonly signal?: AbortSignal | undefined;
}

export interface Spoke {
  readonly capabilities: Capabilities;
  identity(): Promise<SpokeIdentity>;
  describe(objects: readonly ObjectName[]): Promise<RemoteSchema>;
  /** The position from which `changes` misses nothing that happens after this call. */
  now(object: ObjectName): Promise<Cursor>;
  /** Every existing record; resumable after any page's cursor. */
  scan(object: ObjectName, fields: Fields, after: Cursor | null, options: CallOptions): AsyncIterable<Page>;
  /** What changed in (after − overlap, now − lag], ordered by (stamp, id); ends at `last`. Repeats are expected. */
  changes(object: ObjectName, fields: Fields, after: Cursor, options: CallOptions): AsyncIterable<Page>;
  listen?(objects: readonly ObjectName[], signal: AbortSignal): AsyncIterable<StreamEvent>;
  /** Present records by id. A deleted one comes with `deleted: true`; one that does not exist is left out of the answer. */
  fetch(
    object: ObjectName,
    ids: readonly ExternalId[],
    fields: Fields,
    options: CallOptions,
  ): Promise<readonly RemoteRecord[]>;
  /** One list of matches per key, same order. A key of `{ [hubKeyPath]: id }` finds by idempotency key. */
  find(
    object: ObjectName,
    keys: readonly FindKey[],
    fields: Fields,
    options: CallOptions,
  ): Promise<readonly (readonly RemoteRecord[])[]>;
  inventory(object: ObjectName, options: CallOptions): AsyncIterable<InventoryPage>;
  /** Same length, same order as `writes`. Rejects only when no write can have had an effect, or the spoke must pause. */
  write(writes: readonly Write[], options: CallOptions): Promise<readonly WriteResult[]>;
  readonly webhooks?: WebhookDoor;
  close(): Promise<void>;
}

/** By what we left there ourselves, or by values (compared as the remote compares). */
export type FindKey =
  | { readonly by: 'hubId'; readonly hubId: HubId }
  | { readonly by: 'values'; readonly values: Readonly<Record<RemotePath, RemoteValue>> };
