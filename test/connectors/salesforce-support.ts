// Owns what the Salesforce connector's tests share: a spoke over real HTTP, the simulated org or a scripted one behind it.
import { generateKeyPairSync } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock, type Clock } from '../../src/base/clock.js';
import { undiciHttp } from '../../src/base/http-undici.js';
import { silentLog, type Log } from '../../src/base/log.js';
import { seeded } from '../../src/base/random.js';
import type {
  CallOptions,
  ConnectorState,
  Fields,
  FindKey,
  Limiter,
  Page,
  Spoke,
  Write,
} from '../../src/connectors/connector.js';
import { parseConfig } from '../../src/connectors/salesforce/config.js';
import { salesforce } from '../../src/connectors/salesforce/index.js';
import { externalId, hubId, objectName, remotePath, spokeName, type Version } from '../../src/model/ids.js';
import type { RemoteFields, RemoteRecord, RemoteValue } from '../../src/model/record.js';
import { startSalesforce, type SalesforceSimulator } from '../../src/simulators/salesforce/server.js';
import type { SalesforceOptions } from '../../src/simulators/salesforce/app.js';

export const interactive: CallOptions = { lane: 'interactive' };

export class MemoryState implements ConnectorState {
  readonly values = new Map<string, string>();
  /** What happened, in order. */
  readonly puts: { readonly key: string; readonly value: string | null }[] = [];
  onPut: (key: string, value: string | null) => void = () => undefined;
  #tail: Promise<unknown> = Promise.resolve();

  get(key: string): Promise<string | null> {
    return Promise.resolve(this.values.get(key) ?? null);
  }

  put(key: string, value: string | null): Promise<void> {
    this.onPut(key, value);
    this.puts.push({ key, value });
    if (value === null) this.values.delete(key);
    else this.values.set(key, value);
    return Promise.resolve();
  }

  exclusive<T>(_key: string, body: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(body);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}

/** Lets everything through and keeps what it was told. */
export class WatchedLimiter implements Limiter {
  calls = 0;
  readonly observed: { remaining: number; limit: number }[] = [];
  readonly backOffs: { ms: number; reason: string }[] = [];

  run<T>(_request: unknown, call: () => Promise<T>): Promise<T> {
    this.calls += 1;
    return call();
  }

  observe(budget: { remaining: number; limit: number }): void {
    this.observed.push(budget);
  }

  backOff(ms: number, reason: string): void {
    this.backOffs.push({ ms, reason });
  }
}

export interface SpokeBench {
  readonly spoke: Spoke;
  readonly state: MemoryState;
  readonly limiter: WatchedLimiter;
  close(): Promise<void>;
}

export interface SpokeOptions {
  readonly state?: MemoryState;
  readonly clock?: Clock;
  readonly log?: Log;
  readonly config?: Readonly<Record<string, unknown>>;
}

export async function openSpoke(url: string, auth: object, options: SpokeOptions = {}): Promise<SpokeBench> {
  const clock = options.clock ?? systemClock;
  const http = undiciHttp({ clock, allowLoopback: true });
  const state = options.state ?? new MemoryState();
  const limiter = new WatchedLimiter();
  const stop = new AbortController();
  const config = parseConfig({ loginUrl: url, auth, ...options.config }, () => ({}));
  const spoke = await salesforce.open(config, {
    spoke: spokeName('salesforce'),
    clock,
    random: seeded(7),
    signal: stop.signal,
    log: options.log ?? silentLog,
    http,
    limiter,
    state,
  });
  return {
    spoke,
    state,
    limiter,
    async close() {
      await spoke.close();
      stop.abort();
      await http.close();
    },
  };
}

export interface OrgBench extends SpokeBench {
  readonly org: SalesforceSimulator;
}

export async function openOrg(options: SpokeOptions & { readonly org?: SalesforceOptions } = {}): Promise<OrgBench> {
  const org = await startSalesforce(options.org ?? {});
  const { clientId, clientSecret } = org.credentials;
  const bench = await openSpoke(org.url, { clientCredentials: { clientId, clientSecret } }, options);
  return {
    ...bench,
    org,
    async close() {
      await bench.close();
      await org.close();
    },
  };
}

/** A server that answers from a script; for what no simulated org would do. */
export async function scripted(
  handle: (
    request: { method: string; url: string; body: string; authorization: string },
    response: ServerResponse,
  ) => void,
): Promise<{
  url: string;
  seen: { method: string; url: string; body: string; authorization: string }[];
  close(): Promise<void>;
}> {
  const seen: { method: string; url: string; body: string; authorization: string }[] = [];
  const server = createServer((message, response) => {
    void bodyOf(message).then((body) => {
      const request = {
        method: message.method ?? '',
        url: decodeURIComponent(message.url ?? ''),
        body,
        authorization: message.headers.authorization ?? '',
      };
      seen.push(request);
      handle(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function bodyOf(message: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of message) parts.push(part as Buffer);
  return Buffer.concat(parts).toString('utf8');
}

export function json(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json;charset=UTF-8', ...headers });
  response.end(JSON.stringify(body));
}

/** Answers a token request the usual way; false when it is none. */
export function answerToken(
  request: { url: string },
  response: ServerResponse,
  base: string,
  extra: object = {},
): boolean {
  if (!request.url.startsWith('/services/oauth2/token')) return false;
  json(response, 200, {
    access_token: 'token-1',
    instance_url: base,
    id: `${base}/id/00D000000000001/005000000000001`,
    ...extra,
  });
  return true;
}

export const clientCredentials = { clientCredentials: { clientId: 'app', clientSecret: 'canary-secret' } };

export function rsaKey(): { publicKey: string; privateKey: string } {
  return generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}

export const fieldsOf = (...paths: string[]): Fields => ({ paths: paths.map(remotePath), children: {} });

export const create = (object: string, hub: string, fields: Readonly<Record<string, RemoteValue>>): Write => ({
  op: 'create',
  object: objectName(object),
  hubId: hubId(hub),
  fields: fields as RemoteFields,
  children: {},
});

export const update = (
  object: string,
  id: string,
  fields: Readonly<Record<string, RemoteValue>>,
  expect: Version | null = null,
): Write => ({
  op: 'update',
  object: objectName(object),
  hubId: hubId(`hub-${id}`),
  externalId: externalId(id),
  fields: fields as RemoteFields,
  children: {},
  expect,
});

export const remove = (object: string, id: string): Write => ({
  op: 'delete',
  object: objectName(object),
  hubId: hubId(`hub-${id}`),
  externalId: externalId(id),
});

export async function pagesOf(pages: AsyncIterable<Page>): Promise<Page[]> {
  const all: Page[] = [];
  for await (const page of pages) all.push(page);
  return all;
}

export const byValues = (values: Readonly<Record<string, RemoteValue>>): FindKey => ({
  by: 'values',
  values: values as RemoteFields,
});

export const recordsOf = (pages: readonly Page[]): RemoteRecord[] => pages.flatMap((page) => [...page.records]);

/** A scripted org and a spoke on it; what is to be closed goes to `closers`. */
export async function scriptedSpoke(
  closers: (() => Promise<void>)[],
  handle: Parameters<typeof scripted>[0],
  auth: object = clientCredentials,
  options: SpokeOptions = {},
) {
  const server = await scripted((request, response) => handle(request, response));
  const bench = await openSpoke(server.url, auth, options);
  closers.push(
    () => server.close(),
    () => bench.close(),
  );
  return { server, ...bench };
}

const globalList = { sobjects: [{ name: 'Contact' }] };
const field = (name: string, type: string, more: object = {}) => ({
  name,
  type,
  nillable: true,
  createable: true,
  updateable: true,
  filterable: true,
  ...more,
});
/** What the scripted org knows. */
export const contactDescribe = {
  name: 'Contact',
  keyPrefix: '003',
  createable: true,
  updateable: true,
  deletable: true,
  fields: [
    field('Id', 'id'),
    field('SystemModstamp', 'datetime'),
    field('LastModifiedById', 'reference'),
    field('IsDeleted', 'boolean'),
    field('LastName', 'string'),
    field('Truespoke_Id__c', 'string', { externalId: true, unique: true }),
  ],
};
export const row = (n: number, more: object = {}) => ({
  Id: `00300000000000${n}AAA`,
  SystemModstamp: '2026-01-01T00:00:00.000+0000',
  LastModifiedById: '005000000000001AAA',
  IsDeleted: false,
  LastName: `N${n}`,
  Truespoke_Id__c: `h${n}`,
  ...more,
});

/** Answers login and describe; the rest is the test's. */
export function ordinary(request: { method: string; url: string }, response: ServerResponse, base: string): boolean {
  if (answerToken(request, response, base)) return true;
  if (request.method !== 'GET') return false;
  if (request.url.endsWith('/sobjects')) json(response, 200, globalList);
  else if (request.url.endsWith('/describe')) json(response, 200, contactDescribe);
  else return false;
  return true;
}
