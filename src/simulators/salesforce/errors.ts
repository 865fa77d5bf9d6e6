// Owns how the org says no: error codes, HTTP statuses and the JSON the real API answers with.
import type { Reply } from '../faults.js';

export class ApiError extends Error {
  override readonly name = 'ApiError';
  constructor(
    readonly errorCode: string,
    message: string,
    readonly fields: readonly string[] = [],
    readonly status = statusOf(errorCode),
    /** Answered instead of the usual list of errors. */
    readonly body: unknown = undefined,
  ) {
    super(message);
  }
}

export interface ErrorBody {
  readonly message: string;
  readonly errorCode: string;
  readonly fields?: readonly string[];
}

const statuses: Readonly<Record<string, number>> = {
  NOT_FOUND: 404,
  ENTITY_IS_DELETED: 404,
  INVALID_SESSION_ID: 401,
  REQUEST_LIMIT_EXCEEDED: 403,
  INSUFFICIENT_ACCESS: 403,
  METHOD_NOT_ALLOWED: 405,
  PRECONDITION_FAILED: 412,
  URI_TOO_LONG: 414,
  UNSUPPORTED_MEDIA_TYPE: 415,
  SERVER_UNAVAILABLE: 503,
  UNKNOWN_EXCEPTION: 500,
};

function statusOf(errorCode: string): number {
  return statuses[errorCode] ?? 400;
}

export function errorBody(error: ApiError): ErrorBody {
  // Only errors about a record carry `fields`; the real API leaves it out elsewhere.
  const plain = [
    'NOT_FOUND',
    'INVALID_SESSION_ID',
    'REQUEST_LIMIT_EXCEEDED',
    'MALFORMED_QUERY',
    'INVALID_FIELD',
    'INVALID_TYPE',
  ];
  const base = { message: error.message, errorCode: error.errorCode };
  return plain.includes(error.errorCode) && error.fields.length === 0 ? base : { ...base, fields: error.fields };
}

/** The error inside a list of record results: `statusCode` instead of `errorCode`. */
export function resultError(error: ApiError): { statusCode: string; message: string; fields: readonly string[] } {
  return { statusCode: error.errorCode, message: error.message, fields: error.fields };
}

export function errorReply(error: unknown): Reply {
  const known =
    error instanceof ApiError
      ? error
      : new ApiError(
          'UNKNOWN_EXCEPTION',
          `An unexpected error occurred. ${error instanceof Error ? error.message : ''}`,
        );
  const body = known.body ?? [errorBody(known)];
  return {
    status: known.status,
    headers: { 'content-type': 'application/json;charset=UTF-8' },
    body: JSON.stringify(body),
  };
}

export const notFound = (message = 'The requested resource does not exist'): ApiError =>
  new ApiError('NOT_FOUND', message);
export const deleted = (): ApiError => new ApiError('ENTITY_IS_DELETED', 'entity is deleted');
export const badReference = (): ApiError => new ApiError('INVALID_CROSS_REFERENCE_KEY', 'invalid cross reference id');
