// Owns the vendor-neutral messages of the replication source. Nothing downstream knows pgoutput.
import type { Lsn } from './lsn.js';

export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
  readonly columns: readonly RelationColumn[];
  readonly replicaIdentity: 'default' | 'nothing' | 'full' | 'index';
}

export interface RelationColumn {
  readonly name: string;
  readonly typeOid: number;
  readonly key: boolean;
}

/** Column values by position in `relation.columns`: text, null, or undefined = unchanged TOAST (never null). */
export type Tuple = readonly (string | null | undefined)[];

export type SourceMessage =
  | { readonly kind: 'begin'; readonly xid: number; readonly finalLsn: Lsn; readonly committedAtMs: number }
  | { readonly kind: 'insert'; readonly relation: Relation; readonly new: Tuple }
  /** `old` carries the key columns when the key changed, or the whole row under REPLICA IDENTITY FULL. */
  | { readonly kind: 'update'; readonly relation: Relation; readonly old: Tuple | null; readonly new: Tuple }
  | { readonly kind: 'delete'; readonly relation: Relation; readonly old: Tuple }
  | { readonly kind: 'truncate'; readonly relations: readonly Relation[] }
  /** `pg_logical_emit_message`. `transactional: false` messages stand outside begin/commit. */
  | {
      readonly kind: 'message';
      readonly transactional: boolean;
      readonly prefix: string;
      readonly content: string;
      readonly lsn: Lsn;
    }
  | { readonly kind: 'commit'; readonly commitLsn: Lsn; readonly endLsn: Lsn; readonly committedAtMs: number };

export interface SourceBatch {
  readonly messages: readonly SourceMessage[];
  /** The last position the server told us of (keep-alive or data): ack may go here only when nothing is outstanding. */
  readonly serverLsn: Lsn;
}

/**
 * Where captured changes come from. Pull-based: the consumer's pace is the back-pressure.
 * One object per connection; after the first rejection it is dead and a new one is opened.
 */
export interface ReplicationSource {
  /**
   * Waits for at least one message, or a keep-alive that moved `serverLsn`, or `waitMs`; then drains what has arrived,
   * at most about `messagesMax`. A transaction may be split over batches. Rejects when the stream is broken.
   */
  read(limits: { readonly messagesMax: number; readonly waitMs: number }): Promise<SourceBatch>;
  /** Tells the server that everything up to `position` is durable here. Monotone; asserts position ≤ last server LSN. */
  acknowledge(position: Lsn): void;
  close(): Promise<void>;
}
