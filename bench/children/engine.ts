// The engine in a process of its own, as in production, over spokes that cost nothing but the call. Samples its own memory.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { resolve } from 'node:path';
import { systemClock } from '../../src/base/clock.js';
import { Retriable } from '../../src/base/errors.js';
import { undiciHttp } from '../../src/base/http-undici.js';
import { createLog, silentLog } from '../../src/base/log.js';
import { systemIds, systemRandom } from '../../src/base/random.js';
import type { ConnectorDeps, Spoke, WebhookDoor, Write } from '../../src/connectors/connector.js';
import { createMetrics } from '../../src/console/metrics.js';
import { startConsole, type ConsoleServer, type WebhookIntake } from '../../src/console/server.js';
import { createEngine, type Engine } from '../../src/engine/engine.js';
import type { SpokeSetup } from '../../src/engine/connect.js';
import { parseMapping } from '../../src/mapping/load.js';
import type { Mapping } from '../../src/mapping/mapping.js';
import { objectsOf, selectionOf } from '../../src/mapping/selection.js';
import { externalId, objectName, spokeName, version } from '../../src/model/ids.js';
import type { RemoteRecord } from '../../src/model/record.js';
import { openPool } from '../../src/store/pool.js';
import { nullSpoke } from '../null-spoke.js';
import { remoteRecord } from '../records.js';
import { traceStatements } from '../trace.js';
import { serve } from './child.js';
import { webhookSecret, type BenchSpoke, type EngineSetup, type Memory } from './engine-setup.js';

const mb = 2 ** 20;
const pageRecords = 2_000;

let engine: Engine | null = null;
let running: Promise<void> = Promise.resolve();
let server: ConsoleServer | null = null;
let seriesMb: number[] = [];
const stopping = new AbortController();
/** `--trace` reaches here as an environment variable. */
const report = process.env['BENCH_TRACE'] === undefined ? null : traceStatements();
setInterval(() => seriesMb.push(process.memoryUsage.rss() / mb), 100).unref();

/** What webhooks told of: record and number. */
const told = new Map<string, number>();

function webhookDoor(object: string): WebhookDoor {
  return {
    verify({ headers, body }) {
      const sent = Buffer.from(headers['x-signature'] ?? '', 'hex');
      const made = createHmac('sha256', webhookSecret).update(body).digest();
      if (sent.length !== made.length || !timingSafeEqual(sent, made)) return { ok: false, reason: 'signature' };
      const { id, number } = JSON.parse(Buffer.from(body).toString('utf8')) as { id: string; number: number };
      told.set(id, Math.max(told.get(id) ?? 0, number));
      const hint = { object: objectName(object), externalId: externalId(id), deleted: false };
      return { ok: true, eventId: String(number), topic: 'changed', hints: [hint], compliance: false };
    },
    ensure: () => Promise.resolve({ created: [] }),
  };
}

/** A record that a webhook told of shows its number; of others there is nothing new to see. */
function fetched(object: string, path: string): (ids: readonly string[]) => readonly RemoteRecord[] {
  return (ids) =>
    ids.flatMap((id): RemoteRecord[] => {
      const number = told.get(id);
      if (number === undefined) return [];
      return [
        {
          object: objectName(object),
          externalId: externalId(id),
          version: version(`2026-06-02T00:00:00.${String(number).padStart(12, '0')}Z`),
          deleted: false,
          hubKey: null,
          modifiedBySelf: false,
          mergedInto: null,
          fields: { [path]: number } as RemoteRecord['fields'],
          children: {},
        },
      ];
    });
}

function* listing(records: number): Generator<readonly RemoteRecord[]> {
  for (let from = 0; from < records; from += pageRecords) {
    const page: RemoteRecord[] = [];
    for (let i = from; i < Math.min(from + pageRecords, records); i += 1) page.push(remoteRecord(i, 0));
    yield page;
  }
}

function setupOf(mapping: Mapping, options: BenchSpoke): SpokeSetup {
  const name = spokeName(options.name);
  const [object = objectName('')] = objectsOf(mapping, name);
  const open = (deps: ConnectorDeps): Promise<Spoke> => {
    const answer = async (writes: readonly Write[]): Promise<boolean> =>
      deps.limiter.run({ cost: 1, lane: 'interactive' }, () => call(deps, options, writes));
    const shown = fetched(object, 'F');
    const fetch = async (ids: readonly string[]): Promise<readonly RemoteRecord[]> => {
      const known = shown(ids);
      // What a webhook told of is answered here: row 8 measures us. A look before a write is a call like any other.
      if (known.length === 0) await answer([]);
      return known;
    };
    return Promise.resolve(
      nullSpoke({
        writeBatch: options.writeBatch,
        lanes: options.lanes,
        conditionalWrite: true,
        answer,
        pages: () => listing(options.listed),
        fetch,
        fields: selectionOf(mapping, name, object),
        webhooks: webhookDoor(object),
      }),
    );
  };
  return {
    name,
    connector: { name: 'memory', open },
    concurrency: options.lanes,
    spacingMs: 0,
    quotaReserve: 0,
  };
}

async function call(deps: ConnectorDeps, options: BenchSpoke, writes: readonly Write[]): Promise<boolean> {
  if (options.down)
    throw new Retriable({ spoke: deps.spoke, code: 'refused', message: 'down', hint: 'it is tried again' });
  if (options.remote === null) {
    if (options.answerAfterMs > 0) await systemClock.sleep(options.answerAfterMs);
    return true;
  }
  const body = Buffer.from(JSON.stringify({ writes }));
  const headers = { 'content-type': 'application/json' };
  const { status } = await deps.http.request({
    method: 'POST',
    url: options.remote,
    headers,
    body,
    deadlineMs: 30_000,
  });
  return status === 200;
}

const door = {
  /** Prepares the hub and runs; tells where webhooks go. */
  async start(setup: EngineSetup): Promise<string> {
    const level = process.env['BENCH_LOG'];
    const log = level === undefined ? silentLog : createLog({ level });
    const { mapping } = parseMapping([{ file: 'bench.yaml', text: setup.yaml }], {
      spokes: setup.spokes.map((spoke) => spoke.name),
    });
    const metrics = createMetrics({ processMetrics: false });
    const started = createEngine({
      hub: { url: setup.url, embedded: false, serverVersion: null, poolSize: 10 },
      spokes: setup.spokes.map((spoke) => setupOf(mapping, spoke)),
      mapping,
      migrations: resolve('migrations'),
      clock: systemClock,
      random: systemRandom,
      ids: systemIds(systemClock),
      log,
      http: undiciHttp({ clock: systemClock, allowLoopback: true }),
      counters: metrics.counters,
      version: 'bench',
      roles: setup.roles,
      pollMs: 5_000,
      reconcileCron: null,
      catalogueMs: 60_000,
      retentionMs: 86_400_000,
      webhookBase: null,
      crashpoint: () => undefined,
    });
    await started.prepare();
    engine = started;
    running = started.run(stopping.signal);
    running.catch((error: unknown) => {
      process.stderr.write(`engine: ${String(error)}\n`);
      process.exit(1);
    });
    server = await startConsole({
      host: '127.0.0.1',
      port: 0,
      tokens: [],
      webhooks: intake(started, setup),
      control: started,
      status: () => started.status(),
      metrics,
      clock: systemClock,
      log,
    });
    return `${server.url}/webhooks`;
  },
  memory(_: null): Memory {
    const told = { peakMb: process.resourceUsage().maxRSS / 1024, seriesMb };
    seriesMb = [];
    return told;
  },
  async stop(_: null): Promise<void> {
    await server?.close();
    stopping.abort();
    await running;
    await engine?.close();
    if (report !== null) process.stdout.write(report());
  },
};

function intake(started: Engine, { url, bareStatement }: EngineSetup): WebhookIntake {
  if (bareStatement === null) return { receive: (spoke, headers, body) => started.webhook(spoke, headers, body) };
  const pool = openPool({ url, applicationName: 'bench bare', max: 10 });
  return {
    async receive(spoke, headers, body) {
      if (spoke !== 'bare') return started.webhook(spoke, headers, body);
      const { number } = JSON.parse(Buffer.from(body).toString('utf8')) as { number: number };
      await pool.query({ name: 'bare', text: bareStatement, values: [String(number)] });
      return { status: 200 };
    },
  };
}

export type EngineDoor = typeof door;
serve(door);
