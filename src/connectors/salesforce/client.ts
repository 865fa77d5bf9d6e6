// Owns every call that leaves this process for Salesforce, and is the only file that knows jsforce. jsforce builds URLs, headers,
// grants and envelopes; its own transport, its session refresh and its hidden retries are replaced: one call is one attempt with
// a total deadline, a checked length and a checked shape, at most one 401 cycle, and no redirects.
import { PassThrough } from 'node:stream';
import { Connection, OAuth2, type HttpRequest, type HttpResponse } from 'jsforce';
import { OutcomeUnknown, RateLimited, Retriable, SpokePaused, TruespokeError } from '../../base/errors.js';
import { eitherOf } from '../../base/signals.js';
import { HttpFailure, type HttpRequest as PortRequest } from '../../base/http.js';
import type { CallOptions, ConnectorDeps } from '../connector.js';
import type { SalesforceConfig } from './config.js';
import { limitWaitMs, parseErrors, recoveryOf, retryAfterMs } from './errors.js';
import { createSession, type Grant, type Session, type SessionToken } from './session.js';

export interface Call extends CallOptions {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** From the version root (`/sobjects/…`) or from the host (`/services/…`, `/cometd/…`). */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly json?: unknown;
  readonly text?: { readonly type: string; readonly body: string } | undefined;
  /** What a 2xx must carry; anything else is a failure. */
  readonly accept: 'json' | 'csv' | 'nothing';
  /** A lost response leaves the effect unknown. */
  readonly effect: boolean;
  readonly deadlineMs?: number | undefined;
  /** False for long polls: they are no API calls and must not hold a lane. */
  readonly limited?: boolean | undefined;
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed body of a JSON answer, else undefined. */
  readonly json: unknown;
  readonly text: string;
}

export interface SalesforceClient {
  /**
   * Resolves with any answer about the request itself (2xx, 300, 4xx). Throws Retriable (no effect, or a read), OutcomeUnknown
   * (an effect is possible), RateLimited, SpokePaused.
   */
  call(call: Call): Promise<Reply>;
  /** One result an id, as the SOAP call gives them: REST has no undelete. */
  undelete(
    ids: readonly string[],
    options: CallOptions,
  ): Promise<readonly { readonly success: boolean; readonly errors: unknown }[]>;
  session(options: CallOptions): Promise<SessionToken>;
  /** The org's clock, never ahead of it; whole seconds. */
  serverNowMs(options: CallOptions): Promise<number>;
  /** A path of the API from the host on: `/services/data/v62.0/…`. */
  dataPath(path: string): string;
  /** Ends calls under way; later ones are refused. Safe to call twice. */
  close(): void;
}

/** Rides through jsforce as its request options; the transport leaves the checked answer here. */
interface Exchange {
  readonly accept: Call['accept'] | 'xml';
  readonly effect: boolean;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly responseType?: string;
  reply?: Reply;
}

const bodyBytesMax = 256 * 1024 * 1024;

export function createClient(config: SalesforceConfig, deps: ConnectorDeps): SalesforceClient {
  const { spoke, clock, limiter } = deps;
  const closing = new AbortController();
  const signal = AbortSignal.any([deps.signal, closing.signal]);
  let seenServer: ServerTime | null = null;

  const transport = createTransport({ http: deps.http, signal }, (reply) => {
    const date = Date.parse(reply.headers['date'] ?? '');
    if (Number.isFinite(date)) seenServer = laterOf(seenServer, { serverMs: date, atMs: clock.monotonic() });
    const usage = /api-usage=(\d+)\/(\d+)/.exec(reply.headers['sforce-limit-info'] ?? '');
    if (usage !== null) {
      const limit = Number(usage[2]);
      limiter.observe({ remaining: Math.max(0, limit - Number(usage[1])), limit, windowMs: 86_400_000 });
    }
  });

  const session = createSession({
    spoke,
    config,
    state: deps.state,
    clock,
    grant: (params, options) =>
      limiter.run({ cost: 1, ...lane(options) }, () => requestGrant({ config, deps, transport, params, options })),
  });

  const connection = (token: SessionToken): Connection => {
    const made = new Connection({
      version: config.apiVersion,
      instanceUrl: token.instanceUrl,
      accessToken: token.accessToken,
      maxRequest: 1,
    });
    made._transport = transport;
    return made;
  };

  /** One attempt with one token; throws for everything that says nothing about the request itself. */
  const attempt = async (call: Call, token: SessionToken): Promise<Reply> => {
    const exchange: Exchange = {
      accept: call.accept,
      effect: call.effect,
      deadlineMs: call.deadlineMs ?? config.requestDeadlineMs,
      signal: call.signal,
      responseType: 'text/plain',
    };
    const body = call.json === undefined ? call.text?.body : JSON.stringify(call.json);
    const type = call.json === undefined ? call.text?.type : 'application/json';
    const headers = { ...(type === undefined ? {} : { 'content-type': type }), ...call.headers };
    const url = call.path.startsWith('/cometd/') ? token.instanceUrl + call.path : call.path;
    const request: HttpRequest = { method: call.method, url, headers, ...(body === undefined ? {} : { body }) };
    try {
      await connection(token).request(request, exchange);
    } catch (error) {
      // jsforce throws for every status from 300 on; the transport has already kept the checked answer.
      if (exchange.reply === undefined) throw failureOf(error, call, deps);
    }
    const reply = exchange.reply;
    if (reply === undefined) throw failureOf(new Error('no answer'), call, deps);
    return classify(reply, call, deps);
  };

  const limited = (call: Call, token: SessionToken): Promise<Reply> =>
    call.limited === false ? attempt(call, token) : limiter.run({ cost: 1, ...lane(call) }, () => attempt(call, token));

  const client: SalesforceClient = {
    async call(call) {
      if (closing.signal.aborted)
        throw new Retriable({ spoke, code: 'closed', message: `${spoke}: the connector is closed` });
      const first = await session.current(call);
      const reply = await limited(call, first);
      if (!refused(reply)) return reply;
      // A 401 says that nothing was done, so the one repetition is safe even for a write.
      const second = await limited(call, await session.renew(first, call));
      if (refused(second)) throw reauthorise(deps, 'a fresh token was refused as well');
      return second;
    },
    session: (options) => session.current(options),
    dataPath: (path) => `/services/data/v${config.apiVersion}${path}`,
    close: () => closing.abort(),
    undelete: (ids, options) => undelete(ids, { session, connection, deps, options }),
    async serverNowMs(options) {
      if (seenServer === null)
        await client.call({ method: 'GET', path: '/limits', accept: 'json', effect: false, ...lane(options) });
      const seen = seenServer as ServerTime | null;
      if (seen === null) {
        throw new Retriable({
          spoke,
          code: 'no_server_time',
          message: `${spoke}: answers carry no Date header`,
          hint: 'a proxy may strip it',
        });
      }
      return seen.serverMs + Math.max(0, Math.floor(clock.monotonic() - seen.atMs));
    },
  };
  return client;
}

interface ServerTime {
  readonly serverMs: number;
  readonly atMs: number;
}

/** A clock that went back further than headers and slow answers explain was set back. */
const setBackMs = 90_000;

/** Each header is a whole second and arrives late, so each is an underestimate: the greatest one is the best. */
function laterOf(known: ServerTime | null, seen: ServerTime): ServerTime {
  if (known === null) return seen;
  const behind = known.serverMs - known.atMs - (seen.serverMs - seen.atMs);
  return behind > 0 && behind < setBackMs ? known : seen;
}

const lane = (options: CallOptions): { readonly lane: CallOptions['lane']; readonly signal?: AbortSignal } =>
  options.signal === undefined ? { lane: options.lane } : { lane: options.lane, signal: options.signal };

function refused(reply: Reply): boolean {
  return (
    reply.status === 401 ||
    parseErrors(reply.json).some((error) => reply.status >= 400 && recoveryOf(error.code) === 'relogin')
  );
}

function reauthorise(deps: ConnectorDeps, why: string, cause?: unknown): SpokePaused {
  return new SpokePaused({
    spoke: deps.spoke,
    code: 'reauthorise',
    message: `${deps.spoke}: Salesforce refuses our credential (${why})`,
    hint: 'authorise the app again, put the new credential in place, then run: truespoke resume ' + deps.spoke,
    cause,
  });
}

/** What jsforce sends requests through. Keeps no connection state; every check happens before jsforce sees a byte. */
function createTransport(
  deps: Pick<ConnectorDeps, 'http' | 'signal'>,
  observe: (reply: Reply) => void,
): Connection['_transport'] {
  const exchangeOnce = async (request: HttpRequest, exchange: Exchange): Promise<HttpResponse> => {
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(request.headers ?? {})) {
      if (name.toLowerCase() !== 'content-length') headers[name.toLowerCase()] = value;
    }
    headers['accept'] ??=
      exchange.accept === 'csv' ? 'text/csv' : exchange.accept === 'xml' ? 'text/xml' : 'application/json';
    const port: PortRequest = {
      method: request.method,
      url: request.url,
      headers,
      body: typeof request.body === 'string' ? request.body : undefined,
      deadlineMs: exchange.deadlineMs,
      bodyBytesMax,
      signal: eitherOf(exchange.signal, deps.signal),
    };
    const response = await deps.http.request(port);
    const reply = checked(response, exchange);
    observe(reply);
    exchange.reply = reply;
    return { statusCode: reply.status, headers: { ...reply.headers }, body: reply.text };
  };
  return {
    // jsforce wants a promise that also has a stream; it reads the promise only.
    httpRequest: (request: HttpRequest, options: object = {}) =>
      Object.assign(exchangeOnce(request, options as Exchange), { stream: () => new PassThrough() }),
    getRequestStreamCreator: () => {
      throw new TypeError('streams of jsforce are not used');
    },
  } as unknown as Connection['_transport'];
}

/** Length and shape. Throws BadAnswer for a 2xx that is not what was asked for. */
function checked(
  response: { status: number; headers: Readonly<Record<string, string>>; body: Uint8Array },
  exchange: Exchange,
): Reply {
  const { status, headers, body } = response;
  const length = headers['content-length'];
  if (length !== undefined && headers['content-encoding'] === undefined && Number(length) !== body.byteLength) {
    throw new BadAnswer(`the body has ${body.byteLength} of ${length} bytes`);
  }
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
  const type = headers['content-type'] ?? '';
  const good = status >= 200 && status < 300;
  if (!good) return { status, headers, json: /json/.test(type) ? parsed(text) : undefined, text };
  const empty = text.trim() === '';
  switch (exchange.accept) {
    case 'nothing':
      return { status, headers, json: /json/.test(type) && !empty ? parsed(text) : undefined, text };
    case 'json': {
      if (status === 204 && empty) return { status, headers, json: undefined, text };
      const json = /json/.test(type) ? parsed(text) : undefined;
      if (typeof json !== 'object' || json === null)
        throw new BadAnswer(`status ${status} without a JSON body (${type || 'no content type'})`);
      return { status, headers, json, text };
    }
    case 'csv':
      if (!/^text\/csv/.test(type))
        throw new BadAnswer(`status ${status} without a CSV body (${type || 'no content type'})`);
      return { status, headers, json: undefined, text };
    case 'xml':
      if (!/xml/.test(type)) throw new BadAnswer(`status ${status} without an XML body (${type || 'no content type'})`);
      return { status, headers, json: undefined, text };
    default:
      return exchange.accept satisfies never;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // undefined means "not JSON"; the caller decides whether that is a failure.
    return undefined;
  }
}

class BadAnswer extends Error {
  override readonly name = 'BadAnswer';
}

function failureOf(
  error: unknown,
  call: { method: string; path: string; effect: boolean },
  deps: ConnectorDeps,
): TruespokeError {
  if (error instanceof TruespokeError) return error;
  // A defect of ours is not an accident of the network.
  if (error instanceof TypeError || error instanceof ReferenceError) throw error;
  const sent = !(error instanceof HttpFailure) || error.sent;
  const why = error instanceof Error ? error.message : 'unknown failure';
  const options = {
    spoke: deps.spoke,
    code: sent ? 'response_lost' : 'unreachable',
    message: `${deps.spoke}: ${call.method} ${call.path.split('?')[0] ?? ''} failed: ${why}`,
    hint: sent ? undefined : 'check loginUrl/instanceUrl and the network',
    cause: error,
  };
  return sent && call.effect ? new OutcomeUnknown(options) : new Retriable(options);
}

/** Passes on what the request itself earned; throws what concerns the spoke as a whole. */
function classify(reply: Reply, call: Call, deps: ConnectorDeps): Reply {
  const { status } = reply;
  if (status < 300 || status === 300 || status === 304 || status === 401) return reply;
  const place = {
    spoke: deps.spoke,
    message: `${deps.spoke}: ${call.method} ${call.path.split('?')[0] ?? ''} answered ${status}`,
  };
  if (status < 400) {
    throw new SpokePaused({
      ...place,
      code: 'redirected',
      hint: 'the org has moved: set loginUrl or instanceUrl to its My Domain address',
    });
  }
  const errors = parseErrors(reply.json);
  const first = errors[0];
  if (status === 429 || errors.some((error) => recoveryOf(error.code) === 'wait')) {
    const daily =
      first !== undefined && recoveryOf(first.code) === 'wait' && reply.headers['retry-after'] === undefined;
    const waitMs = daily
      ? limitWaitMs(first.message)
      : retryAfterMs(
          reply.headers['retry-after'],
          Date.parse(reply.headers['date'] ?? '') || deps.clock.now(),
          deps.random,
        );
    const code = first?.code ?? 'TOO_MANY_REQUESTS';
    deps.limiter.backOff(waitMs, code);
    if (daily) deps.log.warn({ spoke: deps.spoke, code, waitMs }, 'the org refuses further API calls for now');
    throw new RateLimited({ ...place, code: 'rate_limited', message: `${place.message} ${code}` }, waitMs);
  }
  const pausing = errors.find((error) => recoveryOf(error.code) === 'pause');
  if (pausing !== undefined && status !== 400) {
    throw new SpokePaused({
      ...place,
      code: pausing.code.toLowerCase(),
      message: `${place.message}: ${pausing.code}`,
      hint: pausing.message,
    });
  }
  if (status === 503) {
    if (reply.headers['retry-after'] !== undefined) {
      deps.limiter.backOff(
        retryAfterMs(reply.headers['retry-after'], deps.clock.now(), deps.random),
        'SERVER_UNAVAILABLE',
      );
    }
    // The service says that it did not take the request in.
    throw new Retriable({ ...place, code: 'unavailable' });
  }
  if (status >= 500) throw failureOf(new Error(first?.code ?? `status ${status}`), call, deps);
  return reply;
}

/** Salesforce's words for "this credential will not do"; anything else may pass by itself. */
const credential =
  /^(invalid_(grant|client|client_id|client_credentials|request|scope|app_access)|unauthorized_client|inactive_(user|org)|app_not_found|unsupported_grant_type|OAUTH_)/;

async function requestGrant(parts: {
  config: SalesforceConfig;
  deps: ConnectorDeps;
  transport: Connection['_transport'];
  params: Readonly<Record<string, string>>;
  options: CallOptions;
}): Promise<Grant> {
  const { config, deps, transport, params } = parts;
  const oauth = new OAuth2({ loginUrl: config.loginUrl });
  const exchange: Exchange = {
    accept: 'json',
    effect: true,
    deadlineMs: Math.min(30_000, config.requestDeadlineMs),
    signal: parts.options.signal,
  };
  // jsforce's grant calls give the transport no options: hand it ours.
  oauth._transport = {
    httpRequest: (request: HttpRequest) => transport.httpRequest(request, exchange as object),
  } as unknown as Connection['_transport'];
  const call = { method: 'POST', path: '/services/oauth2/token', effect: false };
  let answer: unknown;
  try {
    answer = await oauth.requestToken({ grant_type: params['grant_type'] ?? '', ...params });
  } catch (error) {
    const reply = exchange.reply;
    if (reply === undefined) throw failureOf(error, call, deps);
    const code = parseErrors(reply.json)[0]?.code ?? '';
    if (reply.status < 500 && reply.status !== 429 && (credential.test(code) || reply.status === 401))
      throw reauthorise(deps, code);
    if (reply.status === 429)
      throw new RateLimited(
        { spoke: deps.spoke, code: 'rate_limited', message: `${deps.spoke}: login answered 429` },
        retryAfterMs(reply.headers['retry-after'], deps.clock.now(), deps.random),
      );
    throw failureOf(new Error(`login answered ${reply.status} ${code}`), call, deps);
  }
  const status = exchange.reply?.status ?? 0;
  if (status >= 300) {
    throw new SpokePaused({
      spoke: deps.spoke,
      code: 'redirected',
      message: `${deps.spoke}: login answered ${status}`,
      hint: 'set loginUrl to the My Domain address',
    });
  }
  const given = answer as Record<string, unknown>;
  const text = (key: string): string | null =>
    typeof given[key] === 'string' && given[key] !== '' ? given[key] : null;
  const accessToken = text('access_token');
  if (accessToken === null) throw failureOf(new Error('login gave no access token'), call, deps);
  return {
    accessToken,
    instanceUrl: text('instance_url') ?? config.loginUrl,
    identityUrl: text('id'),
    refreshToken: text('refresh_token'),
  };
}

/** SOAP wants the token in its envelope and answers 500 where REST answers 401: one renewal here as well. */
async function undelete(
  ids: readonly string[],
  parts: {
    session: Session;
    connection: (token: SessionToken) => Connection;
    deps: ConnectorDeps;
    options: CallOptions;
  },
): Promise<readonly { success: boolean; errors: unknown }[]> {
  const { session, options } = parts;
  const first = await session.current(options);
  const results = await undeleteOnce(ids, first, parts);
  if (results !== 'refused') return results;
  const again = await undeleteOnce(ids, await session.renew(first, options), parts);
  if (again === 'refused') throw reauthorise(parts.deps, 'a fresh token was refused as well');
  return again;
}

async function undeleteOnce(
  ids: readonly string[],
  token: SessionToken,
  parts: { connection: (token: SessionToken) => Connection; deps: ConnectorDeps; options: CallOptions },
): Promise<readonly { success: boolean; errors: unknown }[] | 'refused'> {
  const { deps, options } = parts;
  const call = { method: 'POST', path: '/services/Soap/u', effect: true };
  const connection = parts.connection(token);
  const exchange: Exchange = { accept: 'xml', effect: true, deadlineMs: 60_000, signal: options.signal };
  const inner = connection._transport;
  connection._transport = {
    httpRequest: (request: HttpRequest) => inner.httpRequest(request, exchange as object),
  } as unknown as Connection['_transport'];
  return deps.limiter.run({ cost: 1, ...lane(options) }, async () => {
    try {
      const results = (await connection.soap.undelete([...ids])) as unknown as { success: boolean; errors: unknown }[];
      if (!Array.isArray(results) || results.length !== ids.length)
        throw new BadAnswer('undelete gave another number of results');
      return results;
    } catch (error) {
      const reply = exchange.reply;
      if (reply === undefined || reply.status < 400) throw failureOf(error, call, deps);
      if (reply.status === 401 || reply.text.includes('INVALID_SESSION_ID')) return 'refused';
      // A SOAP fault is an answer: nothing was undeleted.
      throw new Retriable({
        spoke: deps.spoke,
        code: 'undelete_failed',
        message: `${deps.spoke}: undelete answered ${reply.status}`,
        cause: error,
      });
    }
  });
}
