// Owns the judgement of a slot: a row of pg_replication_slots in, a named status out. Pure; who asks decides how often.
import type { SlotRow } from '../store/slots.js';

export type SlotStatus =
  | 'healthy'
  /** Nobody reads it: WAL piles up. */
  | 'inactive'
  /** Half of max_slot_wal_keep_size is used (F37). */
  | 'lagging'
  /** WAL that it needs may go at the next checkpoint. */
  | 'endangered'
  /** WAL that it needs is gone: a new slot and a full reconcile are due (F35). */
  | 'lost'
  | 'missing';

export interface SlotHealth {
  readonly status: SlotStatus;
  /** WAL written and not yet acknowledged. */
  readonly lagBytes: number;
  /** WAL that the server keeps for the slot; more than the lag while a transaction is open. */
  readonly retainedBytes: number;
  /** Share of max_slot_wal_keep_size that is used, 0..1; null without a limit. */
  readonly used: number | null;
  /** An open transaction older than `longTransactionMs`: nothing after it can be released (F42). */
  readonly longTransaction: { readonly pid: number; readonly ageMs: number } | null;
  /** For people: cause and next step; null when healthy. */
  readonly advice: string | null;
}

export interface HealthLimits {
  /** Of max_slot_wal_keep_size. */
  readonly alarmShare?: number;
  /** Alarm without a limit on the server, in bytes. */
  readonly alarmBytes?: number;
  readonly longTransactionMs?: number;
}

const gibibyte = 1024 ** 3;

export function slotHealth(slot: SlotRow | null, limits: HealthLimits = {}): SlotHealth {
  if (slot === null) {
    return {
      status: 'missing',
      lagBytes: 0,
      retainedBytes: 0,
      used: null,
      longTransaction: null,
      advice: 'the slot does not exist: a new one and a full reconcile are due',
    };
  }
  const lagBytes = distance(slot.confirmedLsn, slot.currentLsn);
  const retainedBytes = distance(slot.restartLsn, slot.currentLsn);
  const used = slot.keepBytesMax === null || slot.keepBytesMax === 0 ? null : retainedBytes / slot.keepBytesMax;
  const oldest = slot.oldestTransaction;
  const longTransaction = oldest !== null && oldest.ageMs >= (limits.longTransactionMs ?? 300_000) ? oldest : null;
  const status = statusOf(slot, retainedBytes, used, limits);
  return { status, lagBytes, retainedBytes, used, longTransaction, advice: adviceFor(status, slot, longTransaction) };
}

function distance(from: bigint | null, to: bigint): number {
  return from === null || from >= to ? 0 : Number(to - from);
}

function statusOf(slot: SlotRow, retainedBytes: number, used: number | null, limits: HealthLimits): SlotStatus {
  if (slot.walStatus === 'lost' || slot.invalidation !== null) return 'lost';
  if (slot.walStatus === 'unreserved' || (slot.safeWalBytes !== null && slot.safeWalBytes <= 0)) return 'endangered';
  const lagging =
    used === null ? retainedBytes >= (limits.alarmBytes ?? 4 * gibibyte) : used >= (limits.alarmShare ?? 0.5);
  if (lagging) return 'lagging';
  return slot.active ? 'healthy' : 'inactive';
}

function adviceFor(status: SlotStatus, slot: SlotRow, long: SlotHealth['longTransaction']): string | null {
  const held =
    long === null
      ? null
      : `backend ${long.pid} has had a transaction open for ${Math.round(long.ageMs / 1000)} s, which holds the slot: ` +
        `end it, or SELECT pg_terminate_backend(${long.pid})`;
  switch (status) {
    case 'healthy':
      return held;
    case 'inactive':
      return held ?? 'nobody reads the slot: start the engine, or drop the slot if it is not used any more';
    case 'lagging':
      return held ?? `WAL is kept faster than it is acknowledged${slot.active ? '' : ', and nobody reads the slot'}`;
    case 'endangered':
      return 'the next checkpoint may remove WAL that the slot needs: raise max_slot_wal_keep_size at once';
    case 'lost':
      return `Postgres invalidated the slot (${slot.invalidation ?? 'wal_removed'}): a new one and a full reconcile are due`;
    case 'missing':
      return null;
    default:
      return status satisfies never;
  }
}
