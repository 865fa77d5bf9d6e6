// Owns turning what went wrong with the replication stream into an error that says whether opening again can help.
import { Halt, Retriable, TruespokeError } from '../base/errors.js';
import { sqlState } from '../store/pool.js';
import { UnreadableMessage } from './decode.js';

interface Known {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  /** True: opening the same stream again cannot help. */
  readonly halts: boolean;
}

/**
 * Codes: slot_in_use, slot_missing, slot_lost, slot_name_invalid, publication_missing, source_refused, source_unreadable (a person or a new
 * slot is needed for all but the first), source_broken (open again after a back-off).
 */
export function sourceFailure(cause: unknown, slot: string): TruespokeError {
  if (cause instanceof TruespokeError) return cause;
  const text = cause instanceof Error ? cause.message : String(cause);
  const known = classify(cause, text);
  const options = {
    code: known.code,
    message: `replication slot ${slot}: ${known.message} (${text})`,
    hint: known.hint,
    cause,
  };
  return known.halts ? new Halt(options) : new Retriable(options);
}

function classify(cause: unknown, text: string): Known {
  const state = sqlState(cause);
  if (cause instanceof UnreadableMessage || cause instanceof RangeError) {
    return {
      code: 'source_unreadable',
      message: 'the server sent a message that this version does not understand',
      hint: 'Nothing was lost: the slot keeps it. Update truespoke, or report the message.',
      halts: true,
    };
  }
  if (state === '55006') {
    return {
      code: 'slot_in_use',
      message: 'another process reads it',
      hint: 'This engine stands by and takes over when the other one ends.',
      halts: false,
    };
  }
  if (/publication .* does not exist|skipped loading publication/.test(text)) {
    return {
      code: 'publication_missing',
      message: 'its publication is gone',
      hint: 'It is made again with a new slot, followed by a full reconcile.',
      halts: true,
    };
  }
  if (state === '42704' || /replication slot .* does not exist/.test(text)) {
    return {
      code: 'slot_missing',
      message: 'it does not exist',
      hint: 'Changes since the last durable position are not in the stream: a new slot and a full reconcile follow.',
      halts: true,
    };
  }
  if (
    /can no longer (get changes|access)|cannot read from logical replication slot|has been invalidated|was invalidated|requested WAL segment .* removed/.test(
      text,
    )
  ) {
    return {
      code: 'slot_lost',
      message: 'Postgres removed the WAL that it needs',
      hint: 'Raise max_slot_wal_keep_size; a new slot and a full reconcile follow.',
      halts: true,
    };
  }
  if (state === '42602' || state === '42601') {
    return {
      code: 'slot_name_invalid',
      message: 'Postgres does not take this name',
      hint: 'Slot names have lower-case letters, digits and underscores only, at most 63.',
      halts: true,
    };
  }
  if (state === '42501' || state?.startsWith('28') === true) {
    return {
      code: 'source_refused',
      message: 'the role may not replicate',
      hint: 'As superuser: ALTER ROLE … REPLICATION; and check pg_hba.conf.',
      halts: true,
    };
  }
  return {
    code: 'source_broken',
    message: 'the stream ended',
    hint: 'It is opened again after a short wait; the server sends again what was not acknowledged.',
    halts: false,
  };
}
