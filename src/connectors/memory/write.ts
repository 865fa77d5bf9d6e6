// Owns the writes of the memory connector. Results are matched to requests by a reference, never by position (F70):
// what has no result of its own is unknown.
import { assert } from '../../base/assert.js';
import { externalId, remotePath } from '../../model/ids.js';
import type { CallOptions, ChildWrite, Write, WriteResult } from '../connector.js';
import type { MemoryClient } from './client.js';
import type { Fault } from './faults.js';
import type { Change, ChildChanges, Effect } from './store.js';

interface Answer {
  readonly reference: number;
  readonly result: WriteResult;
}

export async function memoryWrite(
  client: MemoryClient,
  writes: readonly Write[],
  options: CallOptions,
): Promise<readonly WriteResult[]> {
  const { capabilities } = client.remote.config;
  assert(
    writes.length <= capabilities.writeBatch,
    `write of ${writes.length} records, at most ${capabilities.writeBatch}`,
  );
  if (writes.length === 0) return [];
  const answers = await client.write('write', options, (fault, retryAfterMs) =>
    perform(client, writes, { fault, retryAfterMs }),
  );
  const byReference = new Map(answers.map((answer) => [answer.reference, answer.result]));
  return writes.map(
    (_write, reference) =>
      byReference.get(reference) ?? { outcome: 'unknown', cause: 'the answer held no result for this record' },
  );
}

/** The remote's batch endpoint with its faults. */
function perform(
  client: MemoryClient,
  writes: readonly Write[],
  strike: { readonly fault: Fault | null; readonly retryAfterMs: number },
): readonly Answer[] {
  const { remote } = client;
  const { faults } = remote;
  const apply = (write: Write): WriteResult => toResult(client, write, remote.applySelf(toChange(client, write)));
  const all = (result: (write: Write) => WriteResult): Answer[] =>
    writes.map((write, reference) => ({ reference, result: result(write) }));
  const lost: WriteResult = { outcome: 'unknown', cause: 'the answer was lost' };
  switch (strike.fault) {
    case 'throttled':
      return all(() => ({ outcome: 'throttled', retryAfterMs: strike.retryAfterMs }));
    case 'lostUnapplied':
      faults.unanswered.unapplied += writes.length;
      return all(() => lost);
    case 'lostApplied':
      faults.unanswered.applied += writes.length;
      return all((write) => (apply(write), lost));
    case 'lateApplied':
      return all((write) => (remote.applyLater(toChange(client, write), faults.lateMs), lost));
    case 'rejectSome':
    case 'lockSome': {
      const touched = faults.some(writes.length);
      const result = strike.fault === 'lockSome' ? locked : invalid;
      return writes.map((write, reference) => ({
        reference,
        result: touched[reference] === true ? result : apply(write),
      }));
    }
    case 'reordered':
      return faults.shuffle(all(apply));
    case 'fewer': {
      const touched = faults.some(writes.length);
      faults.unanswered.applied += touched.filter(Boolean).length;
      return all(apply).filter(({ reference }) => touched[reference] !== true);
    }
    default:
      return all(apply);
  }
}

const locked: WriteResult = {
  outcome: 'rejected',
  code: 'UNABLE_TO_LOCK_ROW',
  message: 'unable to obtain exclusive access to this record',
  recovery: 'retry',
  paths: [],
};
const invalid: WriteResult = {
  outcome: 'rejected',
  code: 'FIELD_CUSTOM_VALIDATION_EXCEPTION',
  message: 'a rule of the remote refuses this record',
  recovery: 'park',
  paths: [],
};

function toChange(client: MemoryClient, write: Write): Change {
  const { op, object } = write;
  switch (op) {
    case 'create':
      return { op, object, hubKey: write.hubId, fields: write.fields, children: toChildren(write.children) };
    case 'update': {
      const conditional =
        client.remote.config.capabilities.conditionalWrite && write.expect !== null && write.expect !== '';
      const expect = conditional && write.expect !== null ? client.toStamp(write.expect) : null;
      return {
        op,
        object,
        id: write.externalId,
        fields: write.fields,
        children: toChildren(write.children),
        wholeLists: true,
        expect,
      };
    }
    case 'delete':
      return { op, object, id: write.externalId };
    case 'undelete':
      return { op, object, id: write.externalId };
  }
}

function toChildren(children: Readonly<Record<string, readonly ChildWrite[]>>): ChildChanges {
  const entries = Object.entries(children).map(([name, list]) => [
    name,
    list.map((child) => ({ id: child.externalId, hubKey: child.hubId, fields: child.fields })),
  ]);
  return Object.fromEntries(entries) as ChildChanges;
}

function toResult(client: MemoryClient, write: Write, effect: Effect): WriteResult {
  const { object } = write;
  const shows = client.remote.config.capabilities.returnsRecord;
  switch (effect.outcome) {
    case 'applied':
      return {
        outcome: 'applied',
        // Nothing is left of a record that was deleted for good: its id is the one we named.
        externalId: externalId(effect.row?.id ?? (write.op === 'create' ? '' : write.externalId)),
        version: effect.row === null ? client.toVersion(0) : client.toVersion(effect.row.stamp),
        record: shows && effect.row !== null ? client.toRecord(object, effect.row, null) : null,
      };
    case 'stale':
      return { outcome: 'stale', record: client.toRecord(object, effect.row, null) };
    case 'refused':
      return {
        outcome: 'rejected',
        code: effect.code,
        message: effect.message,
        recovery: effect.recovery,
        paths: effect.paths.map(remotePath),
        ...(effect.existing.length === 0 ? {} : { existing: effect.existing.map(externalId) }),
      };
  }
}
