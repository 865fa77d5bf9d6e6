// What does a write's result mean for its delivery? Pure. Law 5: unknown is never retried blindly.
import type { WriteResult } from '../connectors/connector.js';
import type { SpokeMapping } from '../mapping/mapping.js';
import { sameRemote } from '../mapping/values.js';
import type { ExternalId, FieldName, RemotePath, Version } from '../model/ids.js';
import type { HubFields, HubValue, RemoteFields, RemoteRecord, RemoteValue } from '../model/record.js';
import type { Intent } from '../model/intent.js';
import { resembles } from '../mapping/resemble.js';

export type Outcome =
  | {
      readonly kind: 'applied';
      readonly externalId: ExternalId;
      readonly version: Version;
      readonly record: RemoteRecord | null;
    }
  /** A person, or a later value, must help. */
  | { readonly kind: 'park'; readonly code: string; readonly message: string; readonly field: RemotePath | null }
  | { readonly kind: 'later'; readonly delayMs: number; readonly reason: string; readonly counts: boolean }
  | { readonly kind: 'unknown'; readonly reason: string }
  /** The spoke shows something newer, or has it already: inbound must look first, then diff again. */
  | {
      readonly kind: 'observe';
      readonly ids: readonly ExternalId[];
      readonly belongsHere: boolean;
      /** As the answer itself shows it. */
      readonly shown: RemoteRecord | null;
      readonly reason: string;
      /** Until it is tried again: none the first time, then more and more, or a record that inbound cannot take would be hammered. */
      readonly delayMs: number;
    };

export interface OutcomeRules {
  readonly attempt: number;
  readonly attemptsMax: number;
  /** Delay before another attempt, already jittered. */
  readonly backoffMs: number;
}

export function outcomeOf(result: WriteResult, externalId: ExternalId | null, rules: OutcomeRules): Outcome {
  switch (result.outcome) {
    case 'applied':
      return { kind: 'applied', externalId: result.externalId, version: result.version, record: result.record };
    case 'unknown':
      return { kind: 'unknown', reason: result.cause };
    case 'throttled':
      return { kind: 'later', delayMs: result.retryAfterMs, reason: 'throttled', counts: false };
    case 'stale':
      return externalId === null
        ? { kind: 'later', delayMs: rules.backoffMs, reason: 'stale', counts: true }
        : { ...observe([externalId], false, 'stale', rules), shown: result.record };
    case 'rejected':
      return rejected(result, externalId, rules);
    default:
      return result satisfies never;
  }
}

function rejected(
  result: Extract<WriteResult, { outcome: 'rejected' }>,
  externalId: ExternalId | null,
  rules: OutcomeRules,
): Outcome {
  const parked: Outcome = { kind: 'park', code: result.code, message: result.message, field: result.paths[0] ?? null };
  switch (result.recovery) {
    case 'park':
      return parked;
    case 'retry':
      return rules.attempt >= rules.attemptsMax
        ? parked
        : { kind: 'later', delayMs: rules.backoffMs, reason: result.code, counts: true };
    case 'gone':
      return externalId === null || isLast(rules) ? parked : observe([externalId], false, 'gone', rules);
    case 'duplicate': {
      const [only, second] = result.existing ?? [];
      return only !== undefined && second === undefined && !isLast(rules)
        ? observe([only], true, 'duplicate', rules)
        : parked;
    }
    default:
      return result.recovery satisfies never;
  }
}

const isLast = (rules: OutcomeRules): boolean => rules.attempt >= rules.attemptsMax;

function observe(
  ids: readonly ExternalId[],
  belongsHere: boolean,
  reason: string,
  rules: OutcomeRules,
): Extract<Outcome, { kind: 'observe' }> {
  const delayMs = rules.attempt <= 2 ? 0 : rules.backoffMs;
  return { kind: 'observe', ids, belongsHere, shown: null, reason, delayMs };
}

/** What reading a record back says about a write whose answer was lost. */
export type ReadBack =
  | { readonly kind: 'applied'; readonly record: RemoteRecord | null }
  | { readonly kind: 'not_applied' }
  /** It shows neither what was nor what we sent: someone, or something, else wrote. */
  | { readonly kind: 'changed'; readonly record: RemoteRecord }
  /** It shows nothing of what we sent, neither as it was nor as we sent it: that proves nothing (F78). */
  | { readonly kind: 'not_shown'; readonly record: RemoteRecord }
  | { readonly kind: 'gone' };

/** `stood`: what each path showed when both sides last agreed. */
export function judge(intent: Intent, found: RemoteRecord | null, before: Version, stood: RemoteFields = {}): ReadBack {
  const present = found !== null && !found.deleted;
  if (intent.op === 'delete') return present ? { kind: 'not_applied' } : { kind: 'applied', record: null };
  if (intent.op === 'undelete') return present ? { kind: 'applied', record: found } : { kind: 'not_applied' };
  if (!present) return intent.op === 'create' ? { kind: 'not_applied' } : { kind: 'gone' };
  if (intent.op === 'update' && isHidden(found, intent)) return { kind: 'not_shown', record: found };
  const stamped = found.version === '' || found.version > before;
  // A record that nobody touched since shows what was there before, however near to what we sent that is: 124.50 is not 124.51 rounded.
  const spelling = (path: RemotePath): boolean =>
    intent.op === 'create' || stamped || isOther(stood[path], found.fields[path]);
  if (shows(found, intent, spelling)) return { kind: 'applied', record: found };
  // Ours by its key, and edited by someone before we came to look: that edit must not pass for what we wrote.
  if (intent.op === 'create') return { kind: 'changed', record: found };
  // An equal stamp is no proof of rest (law 4): what looks like ours and was not there before has come since.
  const entries = Object.entries(intent.fields) as [RemotePath, RemoteValue][];
  const moved = stamped || entries.some(([path, sent]) => spelling(path) && isShown(found, path, sent, true));
  if (!moved) return { kind: 'not_applied' };
  // Normalised by the spoke on the way in: ours all the same when we were the last to write.
  return found.modifiedBySelf === true ? { kind: 'applied', record: found } : { kind: 'changed', record: found };
}

function isHidden(record: RemoteRecord, { fields }: Intent): boolean {
  const paths = Object.keys(fields) as RemotePath[];
  return paths.length > 0 && paths.every((path) => record.fields[path] === undefined);
}

/** Something is known to have stood there, and it is not what is shown. */
const isOther = (stood: RemoteValue | undefined, shown: RemoteValue | undefined): boolean =>
  stood !== undefined && shown !== undefined && !sameRemote(stood, shown);

/** `spelling`: where a value that the spoke may have made of ours counts too. */
function shows(record: RemoteRecord, intent: Intent, spelling: (path: RemotePath) => boolean): boolean {
  const sent = (Object.entries(intent.fields) as [RemotePath, RemoteValue][]).every(([path, value]) =>
    isShown(record, path, value, spelling(path)),
  );
  // A create leaves out what is empty.
  const others = intent.op === 'create' ? Object.entries(record.fields) : [];
  return sent && others.every(([path, value]) => path in intent.fields || resembles(null, value));
}

/** Absent is not observed, which says nothing against it. */
function isShown(record: RemoteRecord, path: RemotePath, sent: RemoteValue, spelling: boolean): boolean {
  const shown = record.fields[path];
  return shown === undefined || sameRemote(shown, sent) || (spelling && resembles(sent, shown));
}

/**
 * Of a record that someone changed after our write: the hub values whose every path still shows what we sent. They were agreed on; taking
 * them for the other one's edits would turn back what the hub has changed since.
 */
export function stillShown(
  mapping: SpokeMapping,
  intent: Intent,
  record: RemoteRecord,
  stood: RemoteFields,
): HubFields {
  const fields: Record<FieldName, HubValue> = {};
  for (const { field, writes } of mapping.fields) {
    const value = intent.hub[field.name];
    const seen = writes.every((path) => {
      const sent = intent.fields[path] ?? (intent.op === 'create' ? null : undefined);
      const shown = record.fields[path];
      const [known, isCreate] = [stood[path], intent.op === 'create'];
      // What stands there as before is not ours, however near.
      const spelling = isCreate || known === undefined || isOther(known, shown);
      return sent !== undefined && shown !== undefined && isShown(record, path, sent, spelling);
    });
    if (value !== undefined && writes.length > 0 && seen) fields[field.name] = value;
  }
  return fields;
}
