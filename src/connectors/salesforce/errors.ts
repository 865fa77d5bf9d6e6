// Owns the meaning of every error code of the Salesforce APIs: what the caller should do. Total: an unknown code parks the
// record, because a person must look before anything is tried again.
import { backoffMs } from '../../base/backoff.js';
import type { Random } from '../../base/random.js';
import { externalId, remotePath, type ExternalId } from '../../model/ids.js';
import type { WriteResult } from '../connector.js';

/**
 * retry: transient · wait: the org asks us to come back later · park: this record needs a person or a later value ·
 * pause: the spoke needs a person · relogin: the session ended · gone: no such record · deleted: it is in the recycle bin ·
 * duplicate: another record holds the value · stale: a precondition failed.
 */
export type CodeRecovery = 'retry' | 'wait' | 'park' | 'pause' | 'relogin' | 'gone' | 'deleted' | 'duplicate' | 'stale';

/** One entry of a REST error list or of a collections result. */
export interface ApiError {
  readonly code: string;
  readonly message: string;
  readonly fields: readonly string[];
  readonly existing: readonly string[];
}

const exact: Readonly<Record<string, CodeRecovery>> = {
  UNABLE_TO_LOCK_ROW: 'retry',
  SERVER_UNAVAILABLE: 'retry',
  QUERY_TIMEOUT: 'retry',
  OPERATION_TOO_LARGE: 'retry',
  REQUEST_RUNNING_TOO_LONG: 'retry',
  INVALID_QUERY_LOCATOR: 'retry',
  TXN_SECURITY_METERING_ERROR: 'retry',
  PROCESSING_HALTED: 'retry',
  ALL_OR_NONE_OPERATION_ROLLED_BACK: 'retry',
  RECORD_IN_USE_BY_WORKFLOW: 'retry',
  OPERATION_CONFLICT: 'retry',
  CONFLICT: 'retry',
  COLLISION_DETECTED: 'retry',
  PENDING_COMMIT: 'retry',
  BAD_GATEWAY: 'retry',
  INTERNAL_ERROR: 'retry',
  UNKNOWN_EXCEPTION: 'retry',
  REQUEST_LIMIT_EXCEEDED: 'wait',
  API_TASK_LIMIT_REACHED: 'wait',
  TOO_MANY_REQUESTS: 'wait',
  EXCEEDED_ID_LIMIT: 'park',
  INVALID_SESSION_ID: 'relogin',
  INVALID_AUTH_HEADER: 'relogin',
  INVALID_ACCESS_TOKEN: 'relogin',
  SESSION_EXPIRED: 'relogin',
  API_CURRENTLY_DISABLED: 'pause',
  API_DISABLED_FOR_ORG: 'pause',
  INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE: 'wait',
  INVALID_LOGIN: 'pause',
  ORG_LOCKED: 'pause',
  PASSWORD_LOCKOUT: 'pause',
  INVALID_REFRESH_TOKEN: 'pause',
  NO_ACCESS_TOKEN_FROM_REFRESH: 'pause',
  UNSUPPORTED_API_VERSION: 'pause',
  STORAGE_LIMIT_EXCEEDED: 'pause',
  ENTITY_IS_DELETED: 'deleted',
  NOT_FOUND: 'gone',
  RECORD_NOT_FOUND: 'gone',
  MISSING_RECORD: 'gone',
  DUPLICATE_EXTERNAL_ID: 'duplicate',
  DUPLICATE_VALUE: 'duplicate',
  DUPLICATES_DETECTED: 'duplicate',
  DUPLICATE_USERNAME: 'duplicate',
  MULTIPLE_CHOICES: 'duplicate',
  ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE: 'stale',
  MATCH_PRECONDITION_FAILED: 'stale',
  PRECONDITION_FAILED: 'stale',
};

const shapes: readonly (readonly [RegExp, CodeRecovery])[] = [
  [/_TOO_MANY_REQUESTS_ERROR$|_REQUEST_RATE_EXCEEDED$/, 'wait'],
  [/_TIMED_OUT$|_SERVICE_UNAVAILABLE|^RECOVERABLE_/, 'retry'],
];

export function recoveryOf(code: string): CodeRecovery {
  return (
    (Object.hasOwn(exact, code) ? exact[code] : undefined) ?? shapes.find(([shape]) => shape.test(code))?.[1] ?? 'park'
  );
}

/** Reads a REST error list, one error, an OAuth error, or the `errors` of a collections result. Never throws. */
export function parseErrors(json: unknown): ApiError[] {
  const list: unknown[] = Array.isArray(json) ? json : [json];
  return list.flatMap((entry) => {
    if (typeof entry !== 'object' || entry === null) return [];
    const error = entry as Record<string, unknown>;
    const code = text(error['errorCode']) ?? text(error['statusCode']) ?? text(error['error']);
    if (code === null) return [];
    const message = text(error['message']) ?? text(error['error_description']) ?? code;
    const fields = Array.isArray(error['fields']) ? error['fields'].filter((name) => typeof name === 'string') : [];
    return [{ code, message: message.slice(0, 1_000), fields, existing: existingOf(code, message, error) }];
  });
}

const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);

/** Ids of the records that already hold the value: in the message for unique fields, in a nested result for duplicate rules. */
function existingOf(code: string, message: string, error: Record<string, unknown>): string[] {
  if (recoveryOf(code) !== 'duplicate') return [];
  const found = new Set<string>();
  for (const id of message.match(/\b[a-zA-Z0-9]{18}\b|\b[a-zA-Z0-9]{15}\b/g) ?? []) {
    if (/\d/.test(id)) found.add(id);
  }
  const visit = (value: unknown, depth: number): void => {
    if (depth > 8 || typeof value !== 'object' || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      if (key === 'Id' && typeof inner === 'string') found.add(inner);
      else visit(inner, depth + 1);
    }
  };
  visit(error['duplicateResult'] ?? error['duplicateResut'], 0);
  return [...found];
}

/** The outcome of one write from the errors the remote gave for it. `prefix` goes before paths of a companion's fields. */
export function rejection(errors: readonly ApiError[], prefix = ''): WriteResult {
  const first = errors[0] ?? { code: 'UNKNOWN', message: 'Salesforce gave no reason', fields: [], existing: [] };
  const recovery = recoveryOf(first.code);
  const base = {
    outcome: 'rejected',
    code: first.code,
    message:
      errors
        .map((error) => error.message)
        .join('; ')
        .slice(0, 2_000) || first.message,
    paths: errors.flatMap((error) => error.fields.map((field) => remotePath(prefix + field))),
  } as const;
  switch (recovery) {
    case 'retry':
    case 'relogin':
      return { ...base, recovery: 'retry' };
    case 'wait':
      return { outcome: 'throttled', retryAfterMs: 60_000 };
    case 'gone':
    case 'deleted':
      return { ...base, recovery: 'gone' };
    case 'duplicate':
      return { ...base, recovery: 'duplicate', existing: first.existing.map((id): ExternalId => externalId(id18(id))) };
    case 'stale':
      return { outcome: 'stale', record: null };
    case 'park':
    case 'pause':
      return { ...base, recovery: 'park' };
    default:
      return recovery satisfies never;
  }
}

const waitMaxMs = 15 * 60_000;

/** F59: Retry-After as seconds, as a date, as garbage or absent, never beyond 15 minutes; jitter keeps callers apart. */
export function retryAfterMs(header: string | undefined, serverNowMs: number, random: Random): number {
  const jitter = Math.round(random.next() * 1_000);
  const given = header?.trim() ?? '';
  if (/^\d+(\.\d+)?$/.test(given)) return Math.min(waitMaxMs, Number(given) * 1_000) + jitter;
  const date = given === '' ? Number.NaN : Date.parse(given);
  if (Number.isFinite(date)) return Math.min(waitMaxMs, Math.max(0, date - serverNowMs)) + jitter;
  return backoffMs({ firstMs: 30_000, maxMs: 30_000 }, 1, random);
}

/** Concurrency limits clear in seconds; the daily limit only as the rolling day moves on. */
export function limitWaitMs(message: string): number {
  return /concurrent/i.test(message) ? 10_000 : waitMaxMs;
}

/** 15 characters → 18: the suffix encodes the case of each block of five. Anything else comes back as it was. */
export function id18(id: string): string {
  if (!/^[a-zA-Z0-9]{15}$/.test(id)) return id;
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ012345';
  let suffix = '';
  for (let block = 0; block < 3; block += 1) {
    let bits = 0;
    for (let at = 0; at < 5; at += 1) if (/[A-Z]/.test(id.charAt(block * 5 + at))) bits |= 1 << at;
    suffix += alphabet.charAt(bits);
  }
  return id + suffix;
}

export const isId = (text: string): boolean => /^[a-zA-Z0-9]{15}([a-zA-Z0-9]{3})?$/.test(text);
