// Owns the way of a request through the simulated org's front door: control endpoint, counting, faults, sessions, budget,
// versions; then the routes. Nothing here knows what a record is.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { control, isControl, readBody, type Controlled } from '../control.js';
import { respond, type FaultRule, type Reply } from '../faults.js';
import type { App } from './app.js';
import { json } from './call.js';
import { dispatch, labelOf } from './dispatch.js';
import { ApiError, errorReply, notFound } from './errors.js';
import { soap } from './soap.js';
import { newestVersion, versions } from './version-routes.js';
import type { Actor } from './words.js';

const uriBytesMax = 16_384;

/** Answers one request of any kind. Never rejects. */
export async function handle(
  app: App,
  controlled: Controlled,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // A client that goes away mid-answer is ordinary here: faults break connections all the time.
  response.on('error', () => undefined);
  request.on('error', () => undefined);
  const url = URL.canParse(request.url ?? '/', 'http://localhost')
    ? new URL(request.url ?? '/', 'http://localhost')
    : null;
  if (url === null) {
    response.writeHead(400).end();
    return;
  }
  const method = methodOf(request, url);
  if (isControl(url.pathname)) {
    await respond({
      response,
      fault: null,
      handle: () => control(controlled, request),
      throttled: () => json(503, {}),
    });
    return;
  }
  const label = nameOf(app, method, url.pathname);
  const startedAt = app.clock.monotonic();
  app.calls.called(label);
  const fault = app.faults.decide([label, `${method} ${url.pathname}`]);
  if (url.pathname.startsWith('/cometd/')) {
    await comet(app, fault, request, response);
    return;
  }
  const body = await readBody(request).catch(() => null);
  if (body === null) {
    response.destroy();
    return;
  }
  const status = await respond({
    response,
    fault,
    clock: app.clock,
    closing: app.closing,
    handle: () => answer(app, method, url, request, body).then((reply) => dated(app, reply)),
    throttled: (rule) => throttled(app, rule),
  });
  app.calls.ended(status);
  app.options.log?.(
    `${label} ${status === null ? 'broken' : String(status)} ${String(Math.round(app.clock.monotonic() - startedAt))} ms`,
  );
}

/** CometD answers are written by its own adapter, so only faults that need no answer of ours apply as such. */
async function comet(
  app: App,
  fault: FaultRule | null,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (fault?.kind === 'delay') await app.clock.sleep(fault.ms ?? 1000, app.closing);
  if (fault === null || fault.kind === 'delay') {
    app.cometd.handle(request, response);
    return;
  }
  const own = ['status', 'throttle', 'html', 'hang'].includes(fault.kind)
    ? fault
    : { ...fault, kind: 'refuse' as const };
  const nothing = (): Promise<Reply> => Promise.resolve(json(200, []));
  app.calls.ended(await respond({ response, fault: own, handle: nothing, throttled: (rule) => throttled(app, rule) }));
}

/** Clients that cannot send PATCH write `POST …?_HttpMethod=PATCH`. */
function methodOf(request: IncomingMessage, url: URL): string {
  const method = request.method ?? 'GET';
  return method === 'POST' ? (url.searchParams.get('_HttpMethod') ?? method).toUpperCase() : method;
}

/** The org's own clock, so that a client which trusts the Date header sees the time that stamps are made of. */
function dated(app: App, reply: Reply): Reply {
  return { ...reply, headers: { ...reply.headers, date: new Date(app.clock.now()).toUTCString() } };
}

const versioned = /^\/services\/data\/v(\d+\.\d)(\/.*)?$/;

function nameOf(app: App, method: string, path: string): string {
  const match = versioned.exec(path);
  if (match === null) return `${method} ${path.replace(/^\/id\/.*/, '/id')}`;
  return labelOf(app, method, match[2] ?? '/');
}

async function answer(app: App, method: string, url: URL, request: IncomingMessage, body: Uint8Array): Promise<Reply> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers))
    headers[name] = Array.isArray(value) ? value.join(', ') : (value ?? '');
  try {
    const path = url.pathname.replace(/\/+$/, '');
    if ((request.url ?? '').length > uriBytesMax) throw new ApiError('URI_TOO_LONG', 'URI Too Long');
    if (path === '/services/oauth2/token' && method === 'POST')
      return app.auth.token(form(url, body), headers['authorization']);
    if (path === '/services/oauth2/revoke') return app.auth.revoke(form(url, body));
    if (path === '/services/data' && method === 'GET') return json(200, versions);
    if (path.startsWith('/services/Soap/u/'))
      return await soap(app, Buffer.from(body).toString('utf8'), nextRequestId());
    return await authenticated(app, method, url, headers, body);
  } catch (error) {
    return errorReply(error);
  }
}

async function authenticated(
  app: App,
  method: string,
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): Promise<Reply> {
  const oauth = url.searchParams.get('oauth_token');
  const session = app.auth.session(oauth === null ? headers['authorization'] : `Bearer ${oauth}`);
  if (url.pathname === '/services/oauth2/userinfo') return app.auth.userInfo(session);
  if (/^\/id\/\w{18}\/\w{18}$/.test(url.pathname)) return app.auth.identity(session);
  const match = versioned.exec(url.pathname);
  if (match === null) throw notFound();
  checkVersion(app, Number(match[1]));
  app.limits.spend();
  const actor = actorOf(session, headers, match[1] ?? '');
  const reply = await dispatch({
    app,
    method,
    path: match[2] ?? '/',
    query: url.searchParams,
    headers,
    body,
    version: match[1] ?? '',
    actor,
    joined: null,
  });
  return { ...reply, headers: { ...reply.headers, 'sforce-limit-info': app.limits.header() } };
}

/** Versions retire: older ones answer 410, ones that do not exist yet 404. */
function checkVersion(app: App, version: number): void {
  if (version > newestVersion) throw notFound();
  if (version < (app.options.oldestVersion ?? 31)) {
    throw new ApiError('UNSUPPORTED_API_VERSION', 'The requested API version is no longer supported', [], 410);
  }
}

let requests = 0;

function nextRequestId(): string {
  requests += 1;
  return `r${String(requests)}`;
}

function actorOf(
  session: { userId: string; username: string },
  headers: Readonly<Record<string, string>>,
  version: string,
): Actor {
  return {
    userId: session.userId,
    name: session.username,
    route: '',
    requestId: headers['x-request-id'] ?? nextRequestId(),
    client: /client=([^,;\s]+)/.exec(headers['sforce-call-options'] ?? '')?.[1] ?? null,
    apiVersion: version,
    allowDuplicates: /allowsave=true/i.test(headers['sforce-duplicate-rule-header'] ?? ''),
  };
}

/** Parameters of a form body and of the URL; the body wins. */
function form(url: URL, body: Uint8Array): URLSearchParams {
  return new URLSearchParams([...new URLSearchParams(Buffer.from(body).toString('utf8')), ...url.searchParams]);
}

function throttled(app: App, rule: FaultRule): Reply {
  const reply = errorReply(
    new ApiError('REQUEST_LIMIT_EXCEEDED', 'ConcurrentRequests (Concurrent API Requests) Limit exceeded.'),
  );
  const retry = rule.retryAfter === undefined ? {} : { 'retry-after': String(rule.retryAfter) };
  return { ...reply, headers: { ...reply.headers, ...retry, 'sforce-limit-info': app.limits.header() } };
}
