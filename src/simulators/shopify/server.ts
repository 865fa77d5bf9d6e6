// Owns the simulated shop as a running server: the Admin GraphQL endpoint of each served version, files of bulk operations,
// staged uploads and the control endpoint. Binds to loopback only; delivers webhooks to loopback only.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock, type Clock } from '../../base/clock.js';
import { silentLog, type Log } from '../../base/log.js';
import { seeded, seededIds, type Ids } from '../../base/random.js';
import { control, isControl, readBody, json, type Edit, type EditResult } from '../control.js';
import { Faults, respond, type Reply } from '../faults.js';
import { Ledger } from '../ledger.js';
import { CallCounter, type CallStats } from '../stats.js';
import { actions } from './actions.js';
import { Bucket } from './bucket.js';
import { Bulk } from './bulk.js';
import type { Call, Quirks } from './call.js';
import { callNames, Documents, execute, throttledByFault, type GraphqlBody, type Prepared } from './execute.js';
import { idOf } from './gid.js';
import { compliancePayload, type ComplianceTopic } from './payloads-shop.js';
import { edit, load, recordOf, records } from './people.js';
import { sharedSchema } from './schema/schema.js';
import { Shop } from './shop.js';
import { restore, snapshotOf, type ShopSnapshot } from './snapshot.js';
import { Webhooks } from './webhooks.js';

export const servedVersions: readonly string[] = ['2026-01', '2026-04', '2026-07', '2026-10'];

const defaultScopes: readonly string[] = [
  'read_customers',
  'write_customers',
  'read_products',
  'write_products',
  'read_orders',
  'write_orders',
  'read_all_orders',
];

export interface ShopifyOptions {
  /** 0 or absent: a free port. */
  readonly port?: number;
  /** Seeds ids and the draws of delivery plans. */
  readonly seed?: number;
  readonly clock?: Clock;
  /** Default `truespoke-demo.myshopify.com`. */
  readonly shop?: string;
  readonly shopName?: string;
  readonly currency?: string;
  readonly accessToken?: string;
  /** Further tokens and the names under which the ledger knows them. */
  readonly otherTokens?: Readonly<Record<string, string>>;
  /** The first one signs. */
  readonly webhookSecrets?: readonly string[];
  readonly scopes?: readonly string[];
  readonly log?: Log;
  /** Points. Default: the standard plan, 2,000 and 100 a second. */
  readonly throttle?: { readonly max: number; readonly restorePerSecond: number };
  readonly searchLagMs?: number;
  readonly bulk?: { readonly delayMs?: number; readonly concurrent?: number };
  /** Waits between tries of a webhook; default 0.1, 0.4, 1.6, 5 s. */
  readonly webhookRetryMs?: readonly number[];
  readonly webhookTimeoutMs?: number;
  /** Failed tries in a row after which a subscription is removed; default 8. */
  readonly webhookFailuresMax?: number;
}

export interface ShopifySimulator {
  /** `http://127.0.0.1:port`, to be used in place of `https://{shop}`. */
  readonly url: string;
  readonly port: number;
  readonly domain: string;
  readonly accessToken: string;
  readonly webhookSecrets: readonly string[];
  readonly ledger: Ledger;
  readonly faults: Faults;
  readonly webhooks: Webhooks;
  readonly throttle: Bucket;
  /** Switches of behaviour; may be changed at any time. */
  readonly quirks: Quirks;
  /** What the app may do; a merchant can take a scope away at any time. */
  scopes: readonly string[];
  load(object: string, rows: readonly Readonly<Record<string, unknown>>[]): readonly string[];
  edit(edit: Edit): EditResult;
  /** A buyer's order: `{ customer: email or gid, lines: [{ sku | variantId, quantity, price? }], … }`. */
  placeOrder(order: Readonly<Record<string, unknown>>): EditResult & { readonly name: string };
  records(object: string): readonly Readonly<Record<string, unknown>>[];
  /** One live record by gid, as `records` shows it, or undefined. */
  record(object: string, id: string): Readonly<Record<string, unknown>> | undefined;
  /** All records with their ids and stamps, to be restored into a fresh simulator of the same shop. */
  snapshot(): ShopSnapshot;
  restore(snapshot: ShopSnapshot): void;
  stats(): CallStats;
  resetStats(): void;
  /** Versions that are still served; a request for another one falls forward. */
  serve(versions: readonly string[]): void;
  /** The app is uninstalled: subscribers hear of it, the token is worth nothing. */
  uninstall(): void;
  /** A legal request, sent to the address that the app's configuration would name. */
  compliance(topic: ComplianceTopic, uri: string, customerId?: string): void;
  /** Resolves when no webhook is waiting or under way. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

const requestBytesMax = 10 * 1024 * 1024;

export async function startShopify(options: ShopifyOptions = {}): Promise<ShopifySimulator> {
  const running = new Running(options);
  await running.listen(options.port ?? 0);
  return running;
}

class Running implements ShopifySimulator {
  readonly domain: string;
  readonly accessToken: string;
  readonly ledger: Ledger;
  readonly faults = new Faults();
  readonly webhooks: Webhooks;
  readonly throttle: Bucket;
  readonly quirks: Quirks;
  scopes: readonly string[];
  readonly calls: CallCounter;
  private readonly shop: Shop;
  private readonly bulk: Bulk;
  private readonly documents = new Documents(sharedSchema());
  private readonly clock: Clock;
  private readonly log: Log;
  private readonly ids: Ids;
  private readonly closing = new AbortController();
  private readonly tokens: Map<string, string>;
  private readonly server: Server;
  private versions = servedVersions;
  private boundPort = 0;

  constructor(options: ShopifyOptions) {
    const seed = options.seed ?? 1;
    this.clock = options.clock ?? systemClock;
    this.log = options.log ?? silentLog;
    this.ids = seededIds(this.clock, seeded(seed));
    this.domain = options.shop ?? 'truespoke-demo.myshopify.com';
    this.accessToken = options.accessToken ?? 'shpat_simulated_access_token';
    this.tokens = new Map([[this.accessToken, 'app'], ...Object.entries(options.otherTokens ?? {})]);
    this.scopes = options.scopes ?? defaultScopes;
    this.ledger = new Ledger(this.clock);
    this.calls = new CallCounter(this.clock);
    this.quirks = { searchLagMs: options.searchLagMs ?? 0, staleBodies: false, greaterActsAsGreaterOrEqual: false };
    const { max, restorePerSecond } = options.throttle ?? { max: 2000, restorePerSecond: 100 };
    this.throttle = new Bucket(max, restorePerSecond, this.clock);
    this.shop = new Shop(facts(options, this.domain, this.clock), this.clock, this.ledger, (event) => {
      this.webhooks.announce(event);
    });
    this.webhooks = new Webhooks(
      {
        shop: this.shop,
        clock: this.clock,
        // Draws of their own: how many ids were needed before must not change what happens to a delivery.
        random: seeded(seed + 1),
        ids: this.ids,
        closing: this.closing.signal,
        version: servedVersions.at(-1) ?? '',
        retryMs: options.webhookRetryMs ?? [100, 400, 1600, 5000],
        timeoutMs: options.webhookTimeoutMs ?? 5000,
        failuresMax: options.webhookFailuresMax ?? 8,
      },
      options.webhookSecrets ?? ['simulated-webhook-secret'],
    );
    this.bulk = new Bulk({
      schema: this.documents.schema,
      shop: this.shop,
      clock: this.clock,
      closing: this.closing.signal,
      delayMs: options.bulk?.delayMs ?? 10,
      concurrent: options.bulk?.concurrent ?? 5,
      baseUrl: () => this.url,
    });
    this.server = createServer((request, response) => void this.answer(request, response));
    this.server.keepAliveTimeout = 30_000;
  }

  get port(): number {
    return this.boundPort;
  }

  get url(): string {
    return `http://127.0.0.1:${String(this.boundPort)}`;
  }

  get webhookSecrets(): readonly string[] {
    return this.webhooks.secrets;
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, '127.0.0.1', () => {
        this.boundPort = (this.server.address() as AddressInfo).port;
        this.server.off('error', reject);
        this.log.info({ url: this.url, shop: this.domain }, 'shopify simulator listens');
        resolve();
      });
    });
  }

  load(object: string, rows: readonly Readonly<Record<string, unknown>>[]): readonly string[] {
    return load(this.shop, object, rows);
  }

  edit(wish: Edit): EditResult {
    return edit(this.shop, wish);
  }

  placeOrder(order: Readonly<Record<string, unknown>>): EditResult & { readonly name: string } {
    const { id } = edit(this.shop, { op: 'create', object: 'Order', fields: order, actor: 'buyer' });
    const row = this.shop.orders.get(Number(id.split('/').at(-1)));
    return { id, name: row?.name ?? '' };
  }

  records(object: string): readonly Readonly<Record<string, unknown>>[] {
    return records(this.shop, object);
  }

  record(object: string, id: string): Readonly<Record<string, unknown>> | undefined {
    return recordOf(this.shop, object, id);
  }

  snapshot(): ShopSnapshot {
    return snapshotOf(this.shop);
  }

  restore(snapshot: ShopSnapshot): void {
    restore(this.shop, snapshot);
  }

  stats(): CallStats {
    return this.calls.read();
  }

  resetStats(): void {
    this.calls.reset();
  }

  serve(versions: readonly string[]): void {
    this.versions = [...versions].sort();
  }

  uninstall(): void {
    this.shop.ripple(
      { name: 'person', route: 'admin', requestId: null, quiet: false },
      { topics: ['APP_UNINSTALLED'], kind: 'Shop', id: this.shop.facts.id },
    );
    this.tokens.delete(this.accessToken);
  }

  compliance(topic: ComplianceTopic, uri: string, customerId?: string): void {
    const id = customerId === undefined ? null : idOf('Customer', customerId);
    this.webhooks.send(uri, topic, compliancePayload(this.shop, topic, id));
  }

  settled(): Promise<void> {
    return this.webhooks.settled();
  }

  close(): Promise<void> {
    this.closing.abort();
    return new Promise((resolve) => {
      this.server.close(() => {
        resolve();
      });
      this.server.closeAllConnections();
    });
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.route(request, response);
    } catch (error) {
      if (error instanceof RangeError && !response.headersSent) {
        response.writeHead(413, { 'content-type': 'application/json' }).end('{"errors":"Payload too large"}');
        return;
      }
      this.log.error({ err: error }, 'shopify simulator failed');
      if (response.headersSent) response.destroy();
      else response.writeHead(500, { 'content-type': 'application/json' }).end('{"errors":"Internal Server Error"}');
    }
  }

  private async route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname;
    if (isControl(path)) {
      const { status, headers, body } = await control({ ...this.controlled() }, request);
      response.writeHead(status, { ...headers }).end(body);
      return;
    }
    const place = `${request.method ?? 'GET'} ${path}`;
    const version = /^POST \/admin\/api\/([^/]+)\/graphql\.json$/.exec(place)?.[1];
    if (version !== undefined) return this.graphql(request, response, place, version);
    this.calls.called(place.replace(/\d+/g, ':id'));
    const body = await readBody(request);
    const handle = (): Promise<Reply> => Promise.resolve(this.files(request, path, body));
    await this.send(response, [place], handle, () => json(429, { errors: 'Too many requests' }));
  }

  private controlled(): Parameters<typeof control>[0] {
    return {
      name: 'shopify',
      ledger: this.ledger,
      faults: this.faults,
      calls: this.calls,
      load: (object, rows) => this.load(object, rows),
      edit: (wish) => this.edit(wish),
      records: (object) => this.records(object),
      actions: actions(this),
    };
  }

  private async graphql(
    request: IncomingMessage,
    response: ServerResponse,
    place: string,
    wanted: string,
  ): Promise<void> {
    const version = this.versionFor(wanted);
    const requestId = this.ids.uuid();
    const headers = { 'x-shopify-api-version': version, 'x-request-id': requestId };
    const raw = await readBody(request, requestBytesMax);
    const token = request.headers['x-shopify-access-token'];
    const actor = typeof token === 'string' ? this.tokens.get(token) : undefined;
    const body = readGraphql(request, raw);
    const prepared = body === null ? { errors: [] } : this.documents.prepare(body.query, body.operationName);
    const names = 'errors' in prepared ? [] : callNames(prepared);
    this.calls.called(names[0] ?? place);
    const answer = (value: unknown, status = 200): Reply => withHeaders(json(status, value), headers);
    const handle = async (): Promise<Reply> => {
      if (actor === undefined) {
        return answer({ errors: '[API] Invalid API key or access token (unrecognized login or wrong password)' }, 401);
      }
      if (body === null) return answer({ errors: { query: 'Required parameter missing or invalid' } }, 400);
      if ('errors' in prepared) return answer(prepared);
      return answer(await this.run(prepared, body, { actor, version, requestId, route: names[0] ?? place }));
    };
    await this.send(response, [place, ...names], handle, () =>
      answer(throttledByFault(this.documents, this.throttle, prepared, body)),
    );
  }

  private async run(
    prepared: Prepared,
    body: GraphqlBody,
    from: { readonly actor: string; readonly version: string; readonly requestId: string; readonly route: string },
  ): Promise<unknown> {
    const call: Call = {
      shop: this.shop,
      actor: { name: from.actor, route: from.route, requestId: from.requestId, quiet: false },
      version: from.version,
      versions: this.versions,
      quirks: this.quirks,
      bulk: this.bulk,
      scopes: this.scopes,
      notices: [],
      slice: null,
    };
    const answer = await execute(this.documents, this.throttle, prepared, body, call);
    return answer.body;
  }

  private async send(
    response: ServerResponse,
    names: readonly string[],
    handle: () => Promise<Reply>,
    tooFast: () => Reply,
  ): Promise<void> {
    const fault = this.faults.decide(names);
    const { clock } = this;
    const closing = this.closing.signal;
    this.calls.ended(await respond({ response, fault, handle, throttled: tooFast, clock, closing }));
  }

  /** The version that answers: the asked one while it is served, the oldest served one for a retired one. */
  private versionFor(wanted: string): string {
    if (this.versions.includes(wanted)) return wanted;
    const newest = this.versions.at(-1) ?? wanted;
    if (!/^\d{4}-\d{2}$/.test(wanted)) return newest;
    return this.versions.find((each) => each > wanted) ?? newest;
  }

  private files(request: IncomingMessage, path: string, body: Buffer): Reply {
    const id = /^\/bulk\/(\d+)\.jsonl$/.exec(path)?.[1];
    const file = id === undefined ? null : this.bulk.file(Number(id));
    if (file !== null) return { status: 200, headers: { 'content-type': 'application/jsonl' }, body: file };
    if (path === '/staged' && (request.method === 'POST' || request.method === 'PUT'))
      return this.staged(request, body);
    return json(404, { errors: 'Not Found' });
  }

  /** A form upload as the client does it: the field `key` says where, the field `file` is the content. */
  private staged(request: IncomingMessage, body: Buffer): Reply {
    const boundary = /boundary="?([^";]+)"?/.exec(request.headers['content-type'] ?? '')?.[1];
    if (boundary === undefined) return json(400, { errors: 'multipart/form-data expected' });
    const parts = body.toString('utf8').split(`--${boundary}`);
    const field = (name: string): string | null => {
      const part = parts.find((each) => each.includes(`name="${name}"`));
      return part === undefined ? null : part.slice(part.indexOf('\r\n\r\n') + 4).replace(/\r\n$/, '');
    };
    const key = field('key');
    const file = field('file');
    if (key === null || file === null || !this.bulk.upload(key, Buffer.from(file, 'utf8'))) {
      return json(403, { errors: 'AccessDenied' });
    }
    return {
      status: 201,
      headers: { 'content-type': 'application/xml' },
      body: `<PostResponse><Key>${key}</Key></PostResponse>`,
    };
  }
}

function facts(options: ShopifyOptions, domain: string, clock: Clock): Shop['facts'] {
  return {
    id: 60_000_000_001,
    name: options.shopName ?? 'Truespoke Demo',
    domain,
    email: `owner@${domain.replace('.myshopify.com', '')}.example`,
    currency: options.currency ?? 'USD',
    country: 'US',
    createdAt: clock.now(),
  };
}

function withHeaders(reply: Reply, headers: Readonly<Record<string, string>>): Reply {
  return { ...reply, headers: { ...reply.headers, ...headers } };
}

/** null for a body that is no GraphQL request. */
function readGraphql(request: IncomingMessage, raw: Buffer): GraphqlBody | null {
  const text = raw.toString('utf8');
  const type = request.headers['content-type'] ?? '';
  if (type.startsWith('application/graphql')) return { query: text, variables: {}, operationName: null };
  try {
    const { query, variables, operationName } = JSON.parse(text) as Record<string, unknown>;
    if (typeof query !== 'string' || query.trim() === '') return null;
    const given = typeof variables === 'object' && variables !== null ? (variables as Record<string, unknown>) : {};
    return { query, variables: given, operationName: typeof operationName === 'string' ? operationName : null };
  } catch {
    return null;
  }
}
