// Owns one call to a memory remote: abort, limiter, latency, budget and the faults that strike whole calls.
import { ConfigError, RateLimited, Retriable, SpokePaused } from '../../base/errors.js';
import { externalId, objectName, remotePath, version, type ObjectName, type Version } from '../../model/ids.js';
import type { RemoteFields, RemoteRecord, RemoteValue } from '../../model/record.js';
import type { CallOptions, ConnectorDeps, Fields } from '../connector.js';
import type { Fault } from './faults.js';
import type { MemoryRemote } from './remote.js';
import type { Row } from './table.js';

export interface MemoryClient {
  readonly remote: MemoryRemote;
  readonly deps: ConnectorDeps;
  /** A read: rejects with RateLimited or Retriable. */
  read<T>(verb: string, options: CallOptions, body: () => T): Promise<T>;
  /** A write: `body` learns which fault strikes and answers for it. */
  write<T>(verb: string, options: CallOptions, body: (fault: Fault | null, retryAfterMs: number) => T): Promise<T>;
  /** All records made from rows pass here: asked-for and visible paths only. */
  toRecord(object: string, row: Row, fields: Fields | null): RemoteRecord;
  toVersion(stamp: number): Version;
  toStamp(version: Version): number;
  /** Aborts when the spoke is closed: calls reject from then on, streams end. */
  readonly closed: AbortSignal;
  close(): void;
}

export function memoryClient(remote: MemoryRemote, deps: ConnectorDeps): MemoryClient {
  const { spoke, clock, limiter } = deps;
  const mode = remote.config.versions;
  const closing = new AbortController();

  const call = async <T>(verb: string, options: CallOptions, body: () => T): Promise<T> => {
    const signal = options.signal ?? deps.signal;
    for (const each of [signal, deps.signal, closing.signal]) each.throwIfAborted();
    return limiter.run({ cost: 1, lane: options.lane, signal }, async () => {
      if (remote.faults.latencyMs > 0) await clock.sleep(remote.faults.latencyMs, signal);
      signal.throwIfAborted();
      remote.calls[verb] = (remote.calls[verb] ?? 0) + 1;
      return body();
    });
  };

  /** Returns the wait that the remote's own budget demands, or null. */
  const overBudget = (): number | null => {
    const spent = remote.spend();
    const { budget } = remote.config;
    if (!spent.ok) return spent.retryAfterMs;
    if (budget !== undefined)
      limiter.observe({ remaining: spent.remaining, limit: budget.limit, restorePerSecond: budget.restorePerSecond });
    return null;
  };

  return {
    remote,
    deps,
    closed: closing.signal,
    close: () =>
      closing.abort(
        new SpokePaused({ spoke, code: 'closed', message: `${spoke} has been closed`, hint: 'open it again' }),
      ),
    read: (verb, options, body) =>
      call(verb, options, () => {
        const fault = remote.faults.draw('read');
        const waitMs = fault === 'throttled' ? remote.faults.retryAfterMs : overBudget();
        if (waitMs !== null) {
          limiter.backOff(waitMs, 'the remote is throttling');
          throw new RateLimited(
            {
              spoke,
              code: 'throttled',
              message: `${verb}: the remote asks us to wait`,
              hint: 'it is tried again by itself',
            },
            waitMs,
          );
        }
        if (fault === 'unauthorised') throw refusedCredential(spoke, verb);
        if (fault !== null)
          throw new Retriable({
            spoke,
            code: fault,
            message: `${verb}: no answer from the remote`,
            hint: 'it is tried again by itself',
          });
        return body();
      }),
    write: (verb, options, body) =>
      call(verb, options, () => {
        const fault = remote.faults.draw('write');
        const waitMs = fault === 'throttled' ? remote.faults.retryAfterMs : overBudget();
        if (waitMs !== null) {
          limiter.backOff(waitMs, 'the remote is throttling');
          return body('throttled', waitMs);
        }
        if (fault === 'unauthorised') throw refusedCredential(spoke, verb);
        if (fault === 'refused')
          throw new Retriable({
            spoke,
            code: fault,
            message: `${verb}: no connection to the remote`,
            hint: 'it is tried again by itself',
          });
        return body(fault, 0);
      }),
    toRecord: (object, row, fields) => toRecord({ remote, object, row, fields, version: toVersion(mode, row.stamp) }),
    toVersion: (stamp) => toVersion(mode, stamp),
    toStamp: (text) => (mode === 'clock' ? Date.parse(text) : Number(text)),
  };
}

const refusedCredential = (spoke: ConnectorDeps['spoke'], verb: string): SpokePaused =>
  new SpokePaused({
    spoke,
    code: 'unauthorised',
    message: `${verb}: the remote refuses our credential`,
    hint: 'give it a new one, then `truespoke resume`',
  });

function toVersion(mode: MemoryRemote['config']['versions'], stamp: number): Version {
  if (mode === 'none') return version('');
  return version(mode === 'clock' ? new Date(stamp).toISOString() : String(stamp).padStart(16, '0'));
}

interface RecordParts {
  readonly remote: MemoryRemote;
  readonly object: string;
  readonly row: Row;
  /** null = every path. */
  readonly fields: Fields | null;
  readonly version: Version;
}

function toRecord({ remote, object, row, fields, version: shown }: RecordParts): RemoteRecord {
  const pick = (values: RemoteFields, paths: readonly string[] | null, within: string): RemoteFields => {
    const chosen = paths ?? Object.keys(values);
    const entries = chosen
      .filter((path) => Object.hasOwn(values, path) && !remote.isHidden(within, path))
      .map((path): [string, RemoteValue] => [path, values[remotePath(path)] ?? null]);
    return Object.fromEntries(entries);
  };
  const names = fields === null ? Object.keys(row.children) : Object.keys(fields.children);
  const children = names
    .filter((name) => row.children[name] !== undefined)
    .map((name): [string, RemoteRecord[]] => [
      name,
      (row.children[name] ?? []).map((child) => ({
        object: objectName(`${object}.${name}`),
        externalId: externalId(child.id),
        version: shown,
        deleted: row.deleted,
        hubKey: child.hubKey,
        modifiedBySelf: null,
        mergedInto: null,
        fields: pick(child.fields, fields?.children[name] ?? null, `${object}.${name}`),
        children: {},
      })),
    ]);
  return {
    object: objectName(object),
    externalId: externalId(row.id),
    version: shown,
    deleted: row.deleted,
    hubKey: row.hubKey,
    modifiedBySelf: remote.config.capabilities.tellsAuthor ? row.bySelf : null,
    mergedInto: row.mergedInto === null ? null : externalId(row.mergedInto),
    fields: pick(row.fields, fields === null ? null : fields.paths, object),
    children: Object.fromEntries(children),
  };
}

export function mustKnow(client: MemoryClient, object: string): void {
  if (client.remote.spec(object) !== undefined) return;
  throw new ConfigError({
    spoke: client.deps.spoke,
    code: 'unknown_object',
    message: `the remote has no object ${object}`,
    hint: 'declare it under objects of the memory connector, or correct the mapping',
  });
}

/** What to read, and for whom. */
export interface Reading {
  readonly object: ObjectName;
  readonly fields: Fields;
  readonly options: CallOptions;
}
