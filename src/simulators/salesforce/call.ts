// Owns what a route handler gets and gives back: one API call within a version, its parsed parts, and small replies.
import type { Reply } from '../faults.js';
import type { App } from './app.js';
import { ApiError } from './errors.js';
import type { Transaction } from './transaction.js';
import type { Actor, ObjectDef } from './words.js';

export interface Call {
  readonly app: App;
  readonly method: string;
  /** Path below `/services/data/vNN.0`, still encoded, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** `60.0` */
  readonly version: string;
  readonly actor: Actor;
  /** The transaction of an all-or-none composite request around this call. */
  readonly joined: Transaction | null;
  /** Path parameters by name, decoded. */
  readonly params: Readonly<Record<string, string>>;
}

export type Handler = (call: Call) => Reply | Promise<Reply>;

export interface Route {
  readonly method: string;
  /** `/sobjects/:object/:id`; a last segment `*` takes the rest of the path. */
  readonly pattern: string;
  readonly handle: Handler;
}

export function json(status: number, body: unknown): Reply {
  return { status, headers: { 'content-type': 'application/json;charset=UTF-8' }, body: JSON.stringify(body) };
}

export const noContent: Reply = { status: 204, headers: {}, body: '' };

export function param(call: Call, name: string): string {
  const value = call.params[name];
  if (value === undefined) throw new Error(`route has no parameter ${name}`);
  return value;
}

/** The body as a JSON object. */
export function jsonBody(call: Call): Record<string, unknown> {
  const value = parseJson(call);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ApiError('JSON_PARSER_ERROR', 'The HTTP entity body is required, but this request has no entity body.');
  }
  return value as Record<string, unknown>;
}

function parseJson(call: Call): unknown {
  if (call.body.length === 0) {
    throw new ApiError('JSON_PARSER_ERROR', 'The HTTP entity body is required, but this request has no entity body.');
  }
  const type = call.headers['content-type'] ?? 'application/json';
  if (!type.includes('json'))
    throw new ApiError('UNSUPPORTED_MEDIA_TYPE', `Content type ${type} is not supported for this resource`);
  try {
    return JSON.parse(Buffer.from(call.body).toString('utf8')) as unknown;
  } catch (error) {
    throw new ApiError(
      'JSON_PARSER_ERROR',
      `${error instanceof Error ? error.message : 'Unexpected character'} at [line:1, column:1]`,
    );
  }
}

/** The object named in the path. */
export function pathObject(call: Call): ObjectDef {
  const object = call.app.org.catalogue.object(param(call, 'object'));
  if (object === undefined) throw new ApiError('NOT_FOUND', 'The requested resource does not exist');
  return object;
}

/** API versions compare as numbers. */
export const versionOf = (call: Call): number => Number(call.version);
