// The real connectors over HTTP against both simulators, the starter mappings and a whole engine.
import { resolve } from 'node:path';
import { systemClock } from '../../src/base/clock.js';
import { undiciHttp } from '../../src/base/http-undici.js';
import { createLog, silentLog } from '../../src/base/log.js';
import { systemIds, systemRandom } from '../../src/base/random.js';
import { connectors } from '../../src/connectors/registry.js';
import { startConsole } from '../../src/console/server.js';
import { createMetrics } from '../../src/console/metrics.js';
import { createEngine, defaultLimits, type Engine, type EngineOptions } from '../../src/engine/engine.js';
import { loadMapping } from '../../src/mapping/load.js';
import { spokeName } from '../../src/model/ids.js';
import { startSalesforce, type SalesforceSimulator } from '../../src/simulators/salesforce/server.js';
import { startShopify, type ShopifyOptions, type ShopifySimulator } from '../../src/simulators/shopify/server.js';
import { testDatabase, type TestDatabase } from './postgres.js';

export interface Saas {
  readonly db: TestDatabase;
  readonly salesforce: SalesforceSimulator;
  readonly shopify: ShopifySimulator;
  readonly engine: Engine;
  start(): Promise<void>;
  sql(text: string, values?: readonly unknown[]): Promise<Record<string, string | null>[]>;
  until<T>(check: () => Promise<T | null | undefined | false> | T | null | undefined | false, ms?: number): Promise<T>;
  end(): Promise<void>;
}

export async function openSaas(more: Partial<EngineOptions> = {}, shop: ShopifyOptions = {}): Promise<Saas> {
  const db = await testDatabase();
  // Polled every 0.3 s: a daily budget that bears it, or polls would be spread.
  const salesforce = await startSalesforce({ dailyApiRequests: 10_000_000 });
  const shopify = await startShopify(shop);
  salesforce.load('Account', [{ Name: 'Online Store' }]);
  const { mapping } = await loadMapping(resolve('mappings'), { spokes: ['salesforce', 'shopify'] });
  const log = process.env['TEST_LOG'] === undefined ? silentLog : createLog({ level: process.env['TEST_LOG'] });
  const http = undiciHttp({ clock: systemClock, allowLoopback: true });
  const raw: Readonly<Record<string, unknown>> = {
    salesforce: {
      loginUrl: salesforce.url,
      auth: {
        clientCredentials: {
          clientId: salesforce.credentials.clientId,
          clientSecret: salesforce.credentials.clientSecret,
        },
      },
      lagSeconds: 0,
    },
    shopify: {
      shop: shopify.domain,
      apiUrl: shopify.url,
      accessToken: shopify.accessToken,
      webhookSecrets: shopify.webhookSecrets.slice(0, 2),
      lagSeconds: 1,
      overlapSeconds: 5,
    },
  };
  const build = (webhookBase: string | null): Engine =>
    createEngine({
      hub: { url: db.url, embedded: false, serverVersion: null, poolSize: 10 },
      spokes: Object.entries(raw).map(([name, options]) => ({
        name: spokeName(name),
        connector: connectors.get(name)!.configure(options, () => ({})),
        concurrency: null,
        spacingMs: 0,
        quotaReserve: 0,
      })),
      mapping,
      migrations: resolve('migrations'),
      clock: systemClock,
      random: systemRandom,
      ids: systemIds(systemClock),
      log,
      http,
      counters: createMetrics({ processMetrics: false }).counters,
      version: 'test',
      roles: ['capture', 'inbound', 'outbound', 'reconcile'],
      pollMs: 300,
      reconcileCron: null,
      catalogueMs: 60_000,
      retentionMs: 3_600_000,
      webhookBase,
      crashpoint: () => undefined,
      ...more,
      limits: { ...defaultLimits, capture: { ...defaultLimits.capture, idleAdvanceMs: 50, waitMs: 200 } },
    });
  const box: { engine: Engine | null } = { engine: null };
  const server = await startConsole({
    host: '127.0.0.1',
    port: 0,
    tokens: [],
    webhooks: {
      receive: (spoke, headers, body) => box.engine?.webhook(spoke, headers, body) ?? Promise.resolve({ status: 503 }),
    },
    control: { pause: () => Promise.resolve(false), resume: () => Promise.resolve(false) },
    status: () => engine.status(),
    metrics: createMetrics({ processMetrics: false }),
    clock: systemClock,
    log,
  });
  const engine = build(server.url);
  box.engine = engine;
  await engine.prepare();
  const stop = new AbortController();
  let running: Promise<void> = Promise.resolve();
  return {
    db,
    salesforce,
    shopify,
    engine,
    start() {
      running = engine.run(stop.signal);
      running.catch(() => undefined);
      return Promise.resolve();
    },
    async sql(text, values) {
      return (await db.pool.query<Record<string, string | null>>(text, values as unknown[])).rows;
    },
    async until(check, ms = 20_000) {
      const end = performance.now() + ms;
      let last: unknown;
      for (;;) {
        try {
          const value = await check();
          if (value !== null && value !== undefined && value !== false) return value;
          last = value;
        } catch (error) {
          last = error;
        }
        if (performance.now() > end) throw new Error(`not so within ${ms} ms; last: ${String(last)}`);
        await systemClock.sleep(25);
      }
    },
    async end() {
      stop.abort();
      await running.catch(() => undefined);
      await engine.close();
      await server.close();
      await http.close();
      await Promise.all([salesforce.close(), shopify.close()]);
      await db.drop();
    },
  };
}
