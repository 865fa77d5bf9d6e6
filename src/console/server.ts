// Owns the HTTP server: webhooks, health, metrics, the small API and the status page. Promises that a webhook is answered 2xx only
// after the intake stored it, and that every route but health and webhooks wants a token wherever tokens are configured.
// Never holds state of the engine: it asks for snapshots and passes orders on.
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../base/clock.js';
import { ConfigError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { EngineStatus } from '../model/status.js';
import { BodyRefused, readBody } from './body.js';
import { crossSite, isLoopback, localHost, securityHeaders } from './guard.js';
import type { Metrics } from './metrics.js';
import { page, pagePolicy } from './page.js';
import { notReady } from './readiness.js';
import { allows, findToken, type AccessToken, type Role } from './tokens.js';

/** Verifies and stores a webhook. 2xx only when it is durable; 401 for a bad signature; 404 for a spoke that takes none; 503 before it is connected. */
export interface WebhookIntake {
  receive(
    spoke: string,
    headers: Readonly<Record<string, string>>,
    rawBody: Uint8Array,
  ): Promise<{ readonly status: number }>;
}

/** Orders from a person. Resolves to false when there is no such spoke. */
export interface SpokeControl {
  pause(spoke: string, by: string): Promise<boolean>;
  resume(spoke: string, by: string): Promise<boolean>;
}

export interface ConsoleOptions {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  readonly tokens: readonly AccessToken[];
  /** Where the world reaches us, when that is not host and port. */
  readonly publicUrl?: string | undefined;
  readonly webhooks: WebhookIntake;
  readonly control: SpokeControl;
  status(): Promise<EngineStatus>;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Log;
  readonly bodyBytesMax?: number;
  readonly bodyMs?: number;
}

export interface Route {
  readonly method: string;
  readonly path: string;
  /** null: open to everyone. */
  readonly role: Role | null;
}

export interface ConsoleServer {
  readonly url: string;
  readonly port: number;
  readonly routes: readonly Route[];
  /** Takes no new request, ends open ones, at most about a second. */
  close(): Promise<void>;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call this route; null: everyone. A route without it is for admins. */
    role?: Role | null;
  }
  interface FastifyRequest {
    caller: string;
  }
}

const bodyBytesMaxDefault = 5 * 1024 * 1024;
const bodyMsDefault = 5_000;

/**
 * Starts listening. Throws ConfigError for an address that would be open without tokens, a port in use or one we may not have.
 */
export async function startConsole(options: ConsoleOptions): Promise<ConsoleServer> {
  refuseOpenDoor(options);
  const bodyMs = options.bodyMs ?? bodyMsDefault;
  const app = fastify({
    logger: false,
    // Ends a request whose headers or body never finish even where no parser reads it.
    requestTimeout: bodyMs + 2_000,
    http: { connectionsCheckingInterval: 1_000, headersTimeout: bodyMs },
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 100 },
  });
  const routes = collectRoutes(app);
  app.decorateRequest('caller', 'anonymous');
  readRawBodies(app, options);
  guard(app, options);
  answerErrors(app, options.log);
  openRoutes(app, options);
  tokenRoutes(app, options);
  await listen(app, options);
  const { port } = app.server.address() as AddressInfo;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  return { url: `http://${host}:${port}`, port, routes, close: () => app.close() };
}

function refuseOpenDoor({ host, tokens }: ConsoleOptions): void {
  if (isLoopback(host) || tokens.length > 0) return;
  throw new ConfigError({
    code: 'server_open_without_tokens',
    message: `the server would listen on ${host}, where others can reach it, and no access token is configured`,
    hint: 'Make one with `truespoke token <name> --role viewer` and put its hash under server.tokens, or set server.host to 127.0.0.1.',
  });
}

function collectRoutes(app: FastifyInstance): Route[] {
  const routes: Route[] = [];
  app.addHook('onRoute', (route) => {
    const role = route.config?.role === undefined ? 'admin' : route.config.role;
    for (const method of [route.method].flat()) routes.push({ method, path: route.url, role });
  });
  return routes;
}

/** Bodies stay bytes: no parser of the framework sees them. */
function readRawBodies(app: FastifyInstance, options: ConsoleOptions): void {
  const limits = { bytesMax: options.bodyBytesMax ?? bodyBytesMaxDefault, totalMs: options.bodyMs ?? bodyMsDefault };
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', async (request: FastifyRequest, payload: FastifyRequest['raw']) => {
    const encoding = request.headers['content-encoding'] ?? 'identity';
    if (encoding !== 'identity') throw new BodyRefused(415, 'compressed bodies are not taken');
    if (Number(request.headers['content-length'] ?? 0) > limits.bytesMax) {
      throw new BodyRefused(413, `body is larger than ${limits.bytesMax} bytes`);
    }
    return readBody(payload, limits, options.clock);
  });
}

function guard(app: FastifyInstance, options: ConsoleOptions): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(securityHeaders);
    const role = request.routeOptions.config.role;
    if (role === null) return undefined;
    if (options.tokens.length === 0) {
      // Without tokens the loopback address is the fence; a page elsewhere must not reach through a rebound name.
      if (!localHost(request.headers.host, options))
        return refuse(reply, 421, 'unknown_host', 'this server does not answer to that host name');
      request.caller = 'local';
    } else {
      const token = findToken(request.headers.authorization, options.tokens);
      if (token === null) {
        reply.header('www-authenticate', 'Basic realm="truespoke", charset="UTF-8"');
        return refuse(reply, 401, 'token_required', 'send `Authorization: Bearer <token>`');
      }
      if (!allows(token.role, role ?? 'admin'))
        return refuse(reply, 403, 'role_too_low', `this needs the role ${role ?? 'admin'}`);
      request.caller = token.name;
    }
    const reads = request.method === 'GET' || request.method === 'HEAD';
    if (!reads && crossSite(request.headers))
      return refuse(reply, 403, 'cross_site', 'requests from other sites are refused');
    return undefined;
  });
}

function refuse(reply: FastifyReply, status: number, code: string, message: string): FastifyReply {
  return reply.code(status).send({ error: { code, message } });
}

/** No stack and no text of an unforeseen error leaves the process; the log has it under the request's id. */
function answerErrors(app: FastifyInstance, log: Log): void {
  app.setNotFoundHandler({}, (_request, reply) => refuse(reply, 404, 'not_found', 'no such route'));
  app.setErrorHandler((error, request, reply) => {
    if (error instanceof BodyRefused) {
      log.warn({ route: request.routeOptions.url, status: error.statusCode }, 'request body refused');
      if (error.statusCode === 408) reply.header('connection', 'close');
      return refuse(reply, error.statusCode, 'body_refused', error.message);
    }
    const status = statusOf(error);
    if (status < 500) return refuse(reply, status, 'bad_request', 'the request could not be understood');
    log.error({ err: error, route: request.routeOptions.url, request: request.id }, 'request failed');
    return refuse(reply, status, 'internal', `something failed here; the log has it as request ${request.id}`);
  });
}

function statusOf(error: unknown): number {
  const status: unknown =
    typeof error === 'object' && error !== null && 'statusCode' in error ? error.statusCode : undefined;
  return typeof status === 'number' && status >= 400 && status < 600 ? status : 500;
}

function openRoutes(app: FastifyInstance, options: ConsoleOptions): void {
  const open = { config: { role: null } };
  const status = snapshot(options);
  app.get('/healthz', open, () => ({ status: 'ok' }));
  app.get('/readyz', open, async (_request, reply) => {
    const reasons = await status().then(notReady, () => ['the hub does not answer']);
    return reply.code(reasons.length === 0 ? 200 : 503).send({ ready: reasons.length === 0, reasons });
  });
  app.post<{ Params: { spoke: string } }>('/webhooks/:spoke', open, async (request, reply) => {
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const { status } = await options.webhooks.receive(request.params.spoke, flatHeaders(request), body);
    return reply.code(status).send();
  });
}

function flatHeaders(request: FastifyRequest): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) flat[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return flat;
}

function tokenRoutes(app: FastifyInstance, options: ConsoleOptions): void {
  const view = { config: { role: 'viewer' as const } };
  const operate = { config: { role: 'operator' as const } };
  const status = snapshot(options);
  app.get('/', view, (_request, reply) =>
    reply.header('content-security-policy', pagePolicy).type('text/html; charset=utf-8').send(page),
  );
  app.get('/api/status', view, () => status());
  app.get('/metrics', view, async (_request, reply) => {
    // A hub that is down must not hide the counters: what is known without it is still told.
    const known = await status().catch(() => null);
    if (known !== null) options.metrics.observe(known);
    const { contentType, body } = await options.metrics.render();
    return reply.type(contentType).send(body);
  });
  for (const order of ['pause', 'resume'] as const) {
    app.post<{ Params: { spoke: string } }>(`/api/spokes/:spoke/${order}`, operate, async (request, reply) => {
      const { spoke } = request.params;
      const done = await options.control[order](spoke, request.caller);
      return done
        ? { spoke, [order === 'pause' ? 'paused' : 'resumed']: true }
        : refuse(reply, 404, 'no_such_spoke', 'no spoke of that name');
    });
  }
}

const snapshotMs = 500;

/** One question to the engine at a time, its answer kept for a moment: open routes must not become a way to load the hub. */
function snapshot(options: ConsoleOptions): () => Promise<EngineStatus> {
  let asked = -Infinity;
  let answer: Promise<EngineStatus> | null = null;
  return () => {
    const now = options.clock.monotonic();
    if (answer === null || now - asked > snapshotMs) {
      asked = now;
      answer = options.status();
      answer.catch(() => (answer = null));
    }
    return answer;
  };
}

async function listen(app: FastifyInstance, { host, port }: ConsoleOptions): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    await app.close();
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    const known: Readonly<Record<string, readonly [string, string]>> = {
      EADDRINUSE: [
        `port ${port} on ${host} is already in use`,
        'Set server.port to a free port, or stop the process that holds it.',
      ],
      EACCES: [`this user may not listen on port ${port}`, 'Set server.port to 1024 or higher.'],
      EADDRNOTAVAIL: [
        `${host} is no address of this machine`,
        'Set server.host to 127.0.0.1 or an address of this machine.',
      ],
      ENOTFOUND: [`${host} is not a known host name`, 'Set server.host to 127.0.0.1 or an address of this machine.'],
    };
    const [message, hint] = known[code] ?? [`the server cannot listen on ${host}:${port}`, 'See the cause.'];
    throw new ConfigError({ code: code === 'EADDRINUSE' ? 'port_in_use' : 'cannot_listen', message, hint, cause });
  }
}
