// Owns what the Shopify connector's tests share: ports that wait for nothing, a scripted shop on loopback, and the
// official schemas. Never asserts.
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { buildClientSchema } from 'graphql';
import type { GraphQLSchema, IntrospectionQuery } from 'graphql';
import { systemClock } from '../../src/base/clock.js';
import type { Clock } from '../../src/base/clock.js';
import { undiciHttp } from '../../src/base/http-undici.js';
import type { Http, HttpRequest } from '../../src/base/http.js';
import { silentLog } from '../../src/base/log.js';
import { seeded } from '../../src/base/random.js';
import type { ConnectorDeps, ConnectorState, Limiter, Spoke } from '../../src/connectors/connector.js';
import { apiVersions } from '../../src/connectors/shopify/config.js';
import { shopify } from '../../src/connectors/shopify/index.js';
import { spokeName } from '../../src/model/ids.js';

export const shop = 'truespoke-demo.myshopify.com';

const folder = new URL('../../../shared/schemas/shopify/', import.meta.url);

/** The official schemas by version; null when the folder does not stand beside the checkout. */
export function officialSchemas(): ReadonlyMap<string, GraphQLSchema> | null {
  if (!existsSync(folder)) return null;
  return new Map(
    apiVersions.map((version) => {
      const parsed = JSON.parse(gunzipSync(readFileSync(new URL(`admin_${version}.json.gz`, folder))).toString()) as
        IntrospectionQuery | { data: IntrospectionQuery };
      return [version, buildClientSchema('data' in parsed ? parsed.data : parsed)];
    }),
  );
}

export interface RecordedLimiter extends Limiter {
  readonly costs: number[];
  readonly budgets: { readonly remaining: number; readonly limit: number }[];
  readonly backOffs: { readonly ms: number; readonly reason: string }[];
}

/** Runs everything at once and remembers what it was told. */
export function recordedLimiter(): RecordedLimiter {
  const costs: number[] = [];
  const budgets: { remaining: number; limit: number }[] = [];
  const backOffs: { ms: number; reason: string }[] = [];
  return {
    costs,
    budgets,
    backOffs,
    run: (request, call) => {
      costs.push(request.cost);
      return call();
    },
    observe: (budget) => void budgets.push(budget),
    backOff: (ms, reason) => void backOffs.push({ ms, reason }),
  };
}

export function memoryState(): ConnectorState & { readonly kept: Map<string, string> } {
  const kept = new Map<string, string>();
  let tail: Promise<unknown> = Promise.resolve();
  return {
    kept,
    get: (key) => Promise.resolve(kept.get(key) ?? null),
    put: (key, value) => {
      if (value === null) kept.delete(key);
      else kept.set(key, value);
      return Promise.resolve();
    },
    exclusive: (_key, body) => {
      const next = tail.then(body, body);
      tail = next.catch(() => undefined);
      return next;
    },
  };
}

export interface Opened {
  readonly spoke: Spoke;
  readonly limiter: RecordedLimiter;
  readonly state: ReturnType<typeof memoryState>;
  /** Every request that left the connector. */
  readonly requests: HttpRequest[];
  close(): Promise<void>;
}

export async function openShopify(
  apiUrl: string,
  options: { readonly config?: object; readonly clock?: Clock; readonly deps?: Partial<ConnectorDeps> } = {},
): Promise<Opened> {
  const clock = options.clock ?? systemClock;
  const http = undiciHttp({ clock: systemClock, allowLoopback: true });
  const requests: HttpRequest[] = [];
  const recorded: Http = {
    request: (request) => {
      requests.push(request);
      return http.request(request);
    },
  };
  const limiter = recordedLimiter();
  const state = memoryState();
  const raw = {
    shop,
    accessToken: 'shpat_test',
    webhookSecrets: ['first secret'],
    apiUrl,
    deadlineSeconds: 5,
    ...options.config,
  };
  const config = shopify.parseConfig(raw, () => ({}));
  const spoke = await shopify.open(config, {
    spoke: spokeName('shopify'),
    clock,
    random: seeded(7),
    signal: new AbortController().signal,
    log: silentLog,
    http: recorded,
    limiter,
    state,
    ...options.deps,
  });
  return {
    spoke,
    limiter,
    state,
    requests,
    close: async () => {
      await spoke.close();
      await http.close();
    },
  };
}

export interface GraphqlCall {
  readonly operation: string;
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

export type Answer = (call: GraphqlCall, response: ServerResponse, request: IncomingMessage) => unknown;

export interface ScriptedShop {
  readonly url: string;
  readonly calls: GraphqlCall[];
  close(): Promise<void>;
}

/** A shop whose answers the test writes: return an object (sent as JSON with 200), or answer on `response` and return null. */
export async function scriptedShop(answer: Answer): Promise<ScriptedShop> {
  const calls: GraphqlCall[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const body = (text === '' ? { query: '' } : JSON.parse(text)) as {
        query: string;
        variables?: Record<string, unknown>;
      };
      const operation = /^(?:query|mutation) (\w+)/.exec(body.query)?.[1] ?? request.url ?? '';
      const call = { operation, query: body.query, variables: body.variables ?? {} };
      calls.push(call);
      const result = answer(call, response, request);
      if (result === null || response.writableEnded) return;
      response.setHeader('content-type', 'application/json; charset=utf-8');
      if (!response.hasHeader('x-shopify-api-version')) response.setHeader('x-shopify-api-version', '2026-10');
      response.end(JSON.stringify(result));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    calls,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const each of source) all.push(each);
  return all;
}

export const interactive = { lane: 'interactive' } as const;
