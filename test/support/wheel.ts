// A whole engine over in-process remotes and a real hub database, for tests of what users see.
import { resolve } from 'node:path';
import { systemClock } from '../../src/base/clock.js';
import type { Http } from '../../src/base/http.js';
import { createLog, silentLog } from '../../src/base/log.js';
import { seeded, systemIds } from '../../src/base/random.js';
import { memoryConnector } from '../../src/connectors/memory/index.js';
import { parseMemoryConfig, type MemoryConfigInput } from '../../src/connectors/memory/config.js';
import { MemoryRemote } from '../../src/connectors/memory/remote.js';
import {
  createEngine,
  defaultLimits,
  type Engine,
  type EngineLimits,
  type EngineOptions,
} from '../../src/engine/engine.js';
import type { SpokeSetup } from '../../src/engine/connect.js';
import type { Mapping } from '../../src/mapping/mapping.js';
import { parseMapping } from '../../src/mapping/load.js';
import { objectsOf } from '../../src/mapping/selection.js';
import { spokeName } from '../../src/model/ids.js';
import { uncounted } from '../../src/model/status.js';
import type { Queryable } from '../../src/store/pool.js';
import { testDatabase, type TestDatabase } from './postgres.js';

const noHttp: Http = { request: () => Promise.reject(new Error('no HTTP in this test')) };

export interface WheelOptions {
  readonly spokes: Readonly<Record<string, MemoryConfigInput>>;
  /** One YAML text per entity. */
  readonly mappings: readonly string[];
  readonly limits?: Partial<EngineLimits>;
  /** Mass-deletion limits by spoke. */
  readonly deletions?: Readonly<Record<string, { readonly max: number; readonly percent: number }>>;
  readonly engine?: Partial<EngineOptions>;
  readonly before?: (db: TestDatabase) => Promise<void>;
  /** Superuser URL of a cluster of its own, for drills that stop the server. */
  readonly cluster?: string;
}

export interface Wheel {
  readonly db: TestDatabase;
  readonly mapping: Mapping;
  /** What the engine is told of a spoke. */
  setup(name: string): SpokeSetup;
  readonly engine: Engine;
  remote(name: string): MemoryRemote;
  sql(text: string, values?: readonly unknown[]): Promise<Record<string, string | null>[]>;
  start(): void;
  /** How the running engine ends; rejects with what it cannot go on after. */
  ended(): Promise<void>;
  /** Stops the engine in order. */
  stop(): Promise<void>;
  /** A fresh engine over the same hub and remotes. */
  restart(more?: Partial<EngineOptions>): Promise<void>;
  /** One more engine over the same hub and remotes, as another process would be; not started. */
  another(more?: Partial<EngineOptions>): Engine;
  /** Waits until `check` returns something true; rejects with its last word after `ms`. */
  until<T>(check: () => Promise<T | null | undefined | false> | T | null | undefined | false, ms?: number): Promise<T>;
  /** Waits until nothing is on its way in either direction. */
  settled(ms?: number): Promise<void>;
  end(): Promise<void>;
}

export async function openWheel(options: WheelOptions): Promise<Wheel> {
  const db = await testDatabase(options.cluster === undefined ? {} : { cluster: options.cluster });
  await options.before?.(db);
  const random = seeded(7);
  const remotes = new Map(
    Object.entries(options.spokes).map(([name, config]) => [
      name,
      new MemoryRemote(config, { clock: systemClock, random }),
    ]),
  );
  const { mapping } = parseMapping(
    options.mappings.map((text, i) => ({ file: `mapping-${i}.yaml`, text })),
    { spokes: [...remotes.keys()] },
  );
  const log = process.env['TEST_LOG'] === undefined ? silentLog : createLog({ level: process.env['TEST_LOG'] });
  const setup = (name: string): SpokeSetup => {
    const connector = memoryConnector(remotes.get(name) as MemoryRemote);
    const config = parseMemoryConfig({}, () => ({}));
    return {
      name: spokeName(name),
      connector: { name: 'memory', open: (deps) => connector.open(config, deps) },
      concurrency: null,
      spacingMs: 0,
      quotaReserve: 0,
      deletions: options.deletions?.[name],
    };
  };
  const build = (more: Partial<EngineOptions> = {}): Engine =>
    createEngine({
      hub: { url: db.url, embedded: false, serverVersion: null, poolSize: 10 },
      spokes: [...remotes.keys()].map(setup),
      mapping,
      migrations: resolve('migrations'),
      clock: systemClock,
      random,
      ids: systemIds(systemClock),
      log,
      http: noHttp,
      counters: uncounted,
      version: 'test',
      roles: ['capture', 'inbound', 'outbound', 'reconcile'],
      pollMs: 100,
      reconcileCron: null,
      catalogueMs: 60_000,
      retentionMs: 3_600_000,
      webhookBase: null,
      crashpoint: () => undefined,
      ...options.engine,
      ...more,
      limits: {
        ...defaultLimits,
        capture: { ...defaultLimits.capture, idleAdvanceMs: 20, waitMs: 200 },
        ...options.limits,
      },
    });
  const feeds = [...remotes.keys()].reduce((sum, name) => sum + objectsOf(mapping, spokeName(name)).length, 0);
  let engine = build();
  await engine.prepare();
  let stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const wheel: Wheel = {
    db,
    mapping,
    setup,
    get engine() {
      return engine;
    },
    remote(name) {
      const remote = remotes.get(name);
      if (remote === undefined) throw new Error(`no remote ${name}`);
      return remote;
    },
    async sql(text, values) {
      return (await (db.pool as Queryable).query(text, values ?? [])).rows;
    },
    start() {
      stopping = new AbortController();
      running = engine.run(stopping.signal);
      running.catch(() => undefined);
    },
    ended: () => running,
    async stop() {
      stopping.abort();
      await running;
      await engine.close();
    },
    async restart(more) {
      await wheel.stop();
      engine = build(more);
      await engine.prepare();
      wheel.start();
    },
    another: build,
    async until(check, ms = 30_000) {
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
        await systemClock.sleep(20);
      }
    },
    async settled(ms = 30_000) {
      let quiet = 0;
      await wheel.until(async () => {
        // Everything committed until now has been captured; then: is anything on its way?
        const [mark] = await wheel.sql(`select pg_logical_emit_message(true, 'test', 'settled')::text as lsn`);
        await wheel.until(
          async () =>
            (await wheel.sql(`select 1 from truespoke.position where durable_lsn > $1::pg_lsn`, [mark?.['lsn']]))
              .length > 0,
          ms,
        );
        const [row] = await wheel.sql(`
          select (select count(*) from truespoke.delivery where state <> 'held')::text as deliveries,
                 (select count(*) from truespoke.inbox where done_at is null and not compliance)::text as hints,
                 (select count(*) from truespoke.cursor where kind = 'scan' and finished_at is null)::text as scans,
                 (select count(*) from truespoke.cursor where kind = 'scan')::text as feeds`);
        const idle =
          row?.['deliveries'] === '0' && row['hints'] === '0' && row['scans'] === '0' && Number(row['feeds']) >= feeds;
        quiet = idle ? quiet + 1 : 0;
        if (quiet >= 3) return true;
        throw new Error(JSON.stringify(row));
      }, ms);
    },
    async end() {
      await wheel.stop().catch(() => undefined);
      await db.drop();
    },
  };
  return wheel;
}
