// Puts planned writes on the wire and reads back what was left unknown. Owns the calls to the spoke; decides nothing about bases.
// What is about to be sent is recorded first: a crash after that is `unknown`, never a blind second try (F7–F9).
import type { CallOptions, Fields, FindKey, Spoke, Write, WriteResult } from '../connectors/connector.js';
import { OutcomeUnknown, RateLimited, Retriable, SpokePaused, TruespokeError } from '../base/errors.js';
import { externalId, type ExternalId, type HubId, type RemotePath, type Version } from '../model/ids.js';
import type { RemoteFields, RemoteRecord, RemoteValue } from '../model/record.js';
import type { Entity, SpokeMapping } from '../mapping/mapping.js';
import type { Intent } from '../model/intent.js';

export interface Outgoing {
  readonly hubId: HubId;
  readonly intent: Intent;
  readonly expect: Version | null;
}

/** Creates get the mapping's defaults underneath their own fields. */
export function toWrite(mapping: SpokeMapping, outgoing: Outgoing, defaults: RemoteFields): Write {
  const { hubId, intent, expect } = outgoing;
  const { object } = mapping;
  switch (intent.op) {
    case 'create':
      return {
        op: 'create',
        object,
        hubId,
        fields: { ...defaults, ...intent.fields },
        children: intent.children ?? {},
      };
    case 'update':
      return {
        op: 'update',
        object,
        hubId,
        externalId: externalId(intent.externalId ?? ''),
        fields: intent.fields,
        children: intent.children ?? {},
        expect,
      };
    case 'delete':
    case 'undelete':
      return { op: intent.op, object, hubId, externalId: externalId(intent.externalId ?? '') };
    default:
      return intent.op satisfies never;
  }
}

/** What a whole call came to: results, or why nothing can have happened, or that nothing is known. */
export type Called =
  | { readonly kind: 'results'; readonly results: readonly WriteResult[] }
  | { readonly kind: 'not_sent'; readonly delayMs: number | null; readonly reason: string; readonly counts: boolean }
  | { readonly kind: 'pause'; readonly error: SpokePaused };

export async function send(spoke: Spoke, writes: readonly Write[], options: CallOptions): Promise<Called> {
  try {
    const results = await spoke.write(writes, options);
    if (results.length === writes.length) return { kind: 'results', results };
    return unknown(writes, `the connector answered ${results.length} results for ${writes.length} writes`);
  } catch (error) {
    if (error instanceof SpokePaused) return { kind: 'pause', error };
    if (error instanceof RateLimited)
      return { kind: 'not_sent', delayMs: error.retryAfterMs, reason: error.code, counts: false };
    if (error instanceof Retriable) return { kind: 'not_sent', delayMs: null, reason: error.code, counts: true };
    if (error instanceof OutcomeUnknown) return unknown(writes, error.code);
    // Not foreseen by the connector: whether it was sent is not known, so it counts as sent.
    return unknown(writes, error instanceof TruespokeError ? error.code : 'unexpected_error');
  }
}

function unknown(writes: readonly Write[], cause: string): Called {
  return { kind: 'results', results: writes.map(() => ({ outcome: 'unknown', cause })) };
}

/** Reads back records whose write was never answered: creates by our key, the others by id. */
export async function readBack(
  spoke: Spoke,
  mapping: SpokeMapping,
  fields: Fields,
  pending: readonly { readonly hubId: HubId; readonly intent: Intent }[],
  options: CallOptions,
): Promise<Map<HubId, readonly RemoteRecord[]>> {
  const found = new Map<HubId, readonly RemoteRecord[]>();
  const creates = pending.filter(({ intent }) => intent.op === 'create');
  const { findBatch, fetchBatch } = spoke.capabilities;
  for (let from = 0; from < creates.length; from += findBatch) {
    const slice = creates.slice(from, from + findBatch);
    const keys = slice.map(({ hubId }): FindKey => ({ by: 'hubId', hubId }));
    const matches = await spoke.find(mapping.object, keys, fields, options);
    for (const [i, { hubId }] of slice.entries()) found.set(hubId, matches[i] ?? []);
  }
  const others = pending.filter(({ intent }) => intent.op !== 'create' && intent.externalId !== null);
  for (let from = 0; from < others.length; from += fetchBatch) {
    const slice = others.slice(from, from + fetchBatch);
    const ids = slice.map(({ intent }) => externalId(intent.externalId ?? ''));
    const records = new Map(
      (await spoke.fetch(mapping.object, ids, fields, options)).map((one) => [one.externalId, one]),
    );
    for (const [i, { hubId }] of slice.entries()) {
      const record = records.get(ids[i] as ExternalId);
      found.set(hubId, record === undefined ? [] : [record]);
    }
  }
  return found;
}

/**
 * Looks in the spoke for records that a create would double (F119): by the first match rule whose fields this record has.
 * Returns the records per hub id; an empty list means free to create.
 */
export async function findTwins(
  spoke: Spoke,
  mapping: SpokeMapping,
  entity: Entity,
  read: Fields,
  creating: readonly { readonly hubId: HubId; readonly fields: RemoteFields }[],
  options: CallOptions,
): Promise<Map<HubId, readonly RemoteRecord[]>> {
  const found = new Map<HubId, readonly RemoteRecord[]>();
  const keyed = creating.flatMap(({ hubId, fields }) => {
    const values = twinKey(mapping, entity, fields);
    return values === null ? [] : [{ hubId, values }];
  });
  for (let from = 0; from < keyed.length; from += spoke.capabilities.findBatch) {
    const slice = keyed.slice(from, from + spoke.capabilities.findBatch);
    const keys = slice.map(({ values }): FindKey => ({ by: 'values', values }));
    const matches = await spoke.find(mapping.object, keys, read, options);
    for (const [i, { hubId }] of slice.entries())
      found.set(
        hubId,
        (matches[i] ?? []).filter((one) => !one.deleted),
      );
  }
  return found;
}

/** Remote values of the first match rule that can be asked of this spoke, or null. */
function twinKey(mapping: SpokeMapping, entity: Entity, fields: RemoteFields): Record<RemotePath, RemoteValue> | null {
  for (const rule of entity.match) {
    const values: Record<RemotePath, RemoteValue> = {};
    const complete = rule.keys.every(({ field }) => {
      const mapped = mapping.fields.find((one) => one.field.name === field);
      const path = mapped?.writes.length === 1 && mapped.reads[0] === mapped.writes[0] ? mapped.writes[0] : undefined;
      const value = path === undefined ? null : (fields[path] ?? null);
      if (path === undefined || value === null || value === '') return false;
      values[path] = value;
      return true;
    });
    if (complete) return values;
  }
  return null;
}
