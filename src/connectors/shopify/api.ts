// Owns one GraphQL exchange: cost to the limiter, the answer checked and read, throttling honoured, the served version
// compared. Promises that a read is retried only when the shop said wait, and a write never.
import { BadRecord, OutcomeUnknown, RateLimited, Retriable, SpokePaused, Unreachable } from '../../base/errors.js';
import { eitherOf } from '../../base/signals.js';
import type { HttpFailure, HttpResponse } from '../../base/http.js';
import type { CallOptions, ConnectorDeps } from '../connector.js';
import type { Transport } from './client.js';
import type { ShopifyConfig } from './config.js';
import type { Document } from './documents.js';
import { refusedWhole, statusError, unknown } from './errors.js';
import type { GraphqlError } from './errors.js';
import type { JsonObject } from './objects/spec.js';
import { asArray, asNumber, asObject, asText } from './json.js';

export interface Reply {
  readonly data: JsonObject;
  readonly errors: readonly GraphqlError[];
}

/** Nothing ran: the request itself was refused (a value of the wrong kind). The caller may send its parts alone. */
export class RefusedWhole extends BadRecord {
  constructor(
    spoke: string,
    readonly errors: readonly GraphqlError[],
  ) {
    const message = errors[0]?.message ?? 'no reason given';
    super({ spoke, code: errors[0]?.code || 'refused', message: `${spoke}: Shopify refused the request: ${message}` });
  }
}

const throttledAttemptsMax = 8;
/** Codes of waits the shop itself asked for; the limiter's own refusals go to the caller. */
const told = new Set(['THROTTLED', 'http_429']);
const retryAfterMsDefault = 2_000;
const retryAfterMsMax = 120_000;

export class Api {
  /** The shop's clock as its Date header told it, with our monotonic time then: our wall clock may be wrong or step. */
  private heard: { readonly dateMs: number; readonly atMs: number } | null = null;
  private served: string | null = null;

  constructor(
    readonly config: ShopifyConfig,
    readonly deps: ConnectorDeps,
    private readonly transport: Transport,
  ) {}

  /** Now, on the shop's clock as last heard, in ms. */
  nowMs(): number {
    if (this.heard === null) return this.deps.clock.now();
    return this.heard.dateMs + (this.deps.clock.monotonic() - this.heard.atMs);
  }

  get hasHeard(): boolean {
    return this.heard !== null;
  }

  /** The version that answers; differs from the pinned one once that has been retired. */
  get servedVersion(): string {
    return this.served ?? this.config.apiVersion;
  }

  /** For reads. Partial errors: ACCESS_DENIED fields become absent, anything else fails the read. */
  async read(
    document: Document,
    variables: Readonly<Record<string, unknown>>,
    options: CallOptions,
  ): Promise<JsonObject> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const reply = await this.exchange(document, variables, options);
        return this.settleRead(reply);
      } catch (error) {
        if (
          error instanceof RateLimited &&
          told.has(error.code) &&
          attempt < throttledAttemptsMax &&
          options.signal?.aborted !== true
        )
          continue;
        if (error instanceof OutcomeUnknown) {
          throw new Retriable({
            spoke: this.deps.spoke,
            code: error.code,
            message: error.message.replace(/; whether.*/, ''),
            cause: error,
          });
        }
        throw error;
      }
    }
  }

  /** For writes: one attempt. Rejects with RateLimited, RefusedWhole, Unreachable or SpokePaused when nothing ran. */
  async exchange(
    document: Document,
    variables: Readonly<Record<string, unknown>>,
    options: CallOptions,
  ): Promise<Reply> {
    const { spoke, limiter } = this.deps;
    const signal = eitherOf(options.signal, this.deps.signal);
    return limiter.run({ cost: document.cost, lane: options.lane, signal }, async () => {
      let response: HttpResponse;
      try {
        response = await this.transport({ document: document.text, variables, signal });
      } catch (error) {
        const failure = error as HttpFailure;
        if (!failure.sent)
          throw new Unreachable({
            spoke,
            code: 'unreachable',
            message: `${spoke}: ${this.host()} cannot be reached (${failure.message})`,
            cause: failure,
          });
        throw unknown(spoke, 'no_answer', `no complete answer from ${this.host()} (${failure.message})`, failure);
      }
      this.notice(response);
      return this.interpret(response, document);
    });
  }

  private host(): string {
    return this.config.apiUrl ?? this.config.shop;
  }

  private notice(response: HttpResponse): void {
    const date = Date.parse(response.headers['date'] ?? '');
    // The header is cut to whole seconds and has travelled: the shop's clock is a little ahead of it, never behind.
    if (!Number.isNaN(date)) this.heard = { dateMs: date, atMs: this.deps.clock.monotonic() };
    const served = response.headers['x-shopify-api-version'];
    if (served === undefined || served === this.served) return;
    this.served = served;
    if (served !== this.config.apiVersion) {
      const event = {
        spoke: this.deps.spoke,
        pinned: this.config.apiVersion,
        served,
        code: 'api_version_fell_forward',
      };
      this.deps.log.error(event, 'Shopify has retired the pinned API version and answers with another');
    }
  }

  private interpret(response: HttpResponse, document: Document): Reply {
    const { spoke, limiter } = this.deps;
    if (response.status < 200 || response.status > 299) {
      const retryAfterMs = this.retryAfterMs(response.headers['retry-after']);
      const error = statusError(response, spoke, retryAfterMs);
      if (error instanceof RateLimited || response.headers['retry-after'] !== undefined) {
        limiter.backOff(retryAfterMs, `HTTP ${response.status}`);
      }
      throw error;
    }
    const body = parseBody(response);
    if (body === null) throw unknown(spoke, 'broken_answer', 'the answer is not a GraphQL response');
    const errors = asArray(body['errors']).map(toGraphqlError);
    const cost = this.observe(body);
    if (errors.some((error) => error.code === 'THROTTLED')) {
      const ms = Math.min(retryAfterMsMax, Math.max(100, cost.waitMs(document.cost)));
      limiter.backOff(ms, 'THROTTLED');
      throw new RateLimited({ spoke, code: 'THROTTLED', message: `${spoke}: Shopify's points are used up` }, ms);
    }
    const data = asObject(body['data']);
    if (refusedWhole(errors, data !== null)) throw new RefusedWhole(spoke, errors);
    if (errors.some((error) => error.code === 'MAX_COST_EXCEEDED')) throw new RefusedWhole(spoke, errors);
    if (data === null && errors.length > 0 && errors.every((error) => error.code === 'ACCESS_DENIED'))
      throw denied(spoke, errors);
    if (data === null)
      throw unknown(
        spoke,
        errors[0]?.code || 'no_data',
        `Shopify answered without data (${errors[0]?.message ?? 'no reason'})`,
      );
    return { data, errors: hideDenied(data, errors) };
  }

  private observe(body: JsonObject): { waitMs(cost: number): number } {
    const cost = asObject(asObject(body['extensions'])?.['cost']);
    const status = asObject(cost?.['throttleStatus']);
    const limit = asNumber(status?.['maximumAvailable']);
    const remaining = asNumber(status?.['currentlyAvailable']);
    const restorePerSecond = asNumber(status?.['restoreRate']);
    if (limit === null || remaining === null || restorePerSecond === null) return { waitMs: () => 1_000 };
    this.deps.limiter.observe({ remaining, limit, restorePerSecond });
    const requested = asNumber(cost?.['requestedQueryCost']);
    return {
      waitMs: (estimate) =>
        Math.ceil(((Math.min(limit, requested ?? estimate) - remaining) / Math.max(1, restorePerSecond)) * 1000),
    };
  }

  private settleRead(reply: Reply): JsonObject {
    for (const error of reply.errors) {
      if (error.code === 'ACCESS_DENIED') throw denied(this.deps.spoke, [error]);
      const message = `${this.deps.spoke}: Shopify could not answer in full: ${error.message}`;
      throw new Retriable({ spoke: this.deps.spoke, code: error.code || 'partial_answer', message });
    }
    return reply.data;
  }

  /** Seconds (Shopify sends decimals) or an HTTP date; anything else waits the default. */
  private retryAfterMs(header: string | undefined): number {
    const text = header?.trim() ?? '';
    const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - this.nowMs();
    const ms = Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, retryAfterMsMax) : retryAfterMsDefault;
    // A little over what was asked, so that waiting clients do not all come back in the same instant.
    return Math.ceil(ms * (1 + this.deps.random.next() * 0.1));
  }
}

function denied(spoke: string, errors: readonly GraphqlError[]): SpokePaused {
  const message = `${spoke}: Shopify denies access: ${errors[0]?.message ?? ''}`;
  return new SpokePaused({
    spoke,
    code: 'access_denied',
    message,
    hint: 'grant the app the scope that the message names, then resume the spoke',
  });
}

function parseBody(response: HttpResponse): JsonObject | null {
  if (!(response.headers['content-type'] ?? '').includes('json')) return null;
  try {
    const body = asObject(JSON.parse(Buffer.from(response.body).toString('utf8')));
    return body !== null && ('data' in body || Array.isArray(body['errors'])) ? body : null;
  } catch {
    return null;
  }
}

function toGraphqlError(value: unknown): GraphqlError {
  const error = asObject(value) ?? {};
  return {
    message: asText(error['message']) ?? 'unnamed error',
    code: asText(asObject(error['extensions'])?.['code']) ?? '',
    path: asArray(error['path']).filter((step) => typeof step === 'string' || typeof step === 'number'),
  };
}

/** Fields we may not see become absent; the other errors stay. */
function hideDenied(data: JsonObject, errors: readonly GraphqlError[]): readonly GraphqlError[] {
  return errors.filter((error) => error.code !== 'ACCESS_DENIED' || !erase(data, error.path));
}

/**
 * Takes out what the remote nulled because we may not see it: not observed is not null. False where that would take out a
 * whole record, a root or a mutation: a record that we may not see is no record that does not exist.
 */
function erase(data: JsonObject, path: readonly (string | number)[]): boolean {
  let here: unknown = data;
  for (const [n, step] of path.entries()) {
    const below = (here as Record<string | number, unknown>)[step];
    if (n < path.length - 1 && typeof below === 'object' && below !== null) {
      here = below;
      continue;
    }
    // A field that may not be null takes its parent with it.
    if (n === 0 || typeof step === 'number' || containers.has(step)) return false;
    return Reflect.deleteProperty(here as object, step);
  }
  return false;
}

const containers = new Set(['node', 'nodes', 'edges']);
