// Owns building the engine from a project: the one place where configuration, hub, spokes and ports meet. Everything that this
// makes, `close` ends.
import { prettyFactory } from 'pino-pretty';
import { createLog, silentLog, type Log } from '../base/log.js';
import { systemIds, systemRandom } from '../base/random.js';
import type { Config } from '../config/config.js';
import { createMetrics, type Metrics } from '../console/metrics.js';
import { allRoles, createEngine, type Engine, type EngineRole } from '../engine/engine.js';
import type { Counters } from '../model/status.js';
import { openHub, type OpenHub } from './hub.js';
import type { Io } from './io.js';
import { migrationsFolder, version } from './package-files.js';
import type { Project } from './project.js';
import { noHttp, spokeSetup } from './spokes.js';

export interface BuildOptions {
  readonly project: Project;
  readonly hub: OpenHub;
  readonly log: Log;
  readonly counters: Counters;
  readonly roles?: readonly EngineRole[] | undefined;
  readonly webhookBase: string | null;
}

export function buildEngine(options: BuildOptions, io: Io): Engine {
  const { config, mappings } = options.project;
  const { hub, log, counters } = options;
  const spokes = [...config.spokes.values()].filter((spoke) => spoke.enabled);
  return createEngine({
    hub: {
      url: hub.url,
      embedded: hub.embedded,
      serverVersion: serverVersion(hub.facts.versionNumber),
      poolSize: config.hub.poolSize,
    },
    spokes: spokes.map((spoke) => spokeSetup(spoke, counters, io)),
    mapping: mappings.mapping,
    migrations: migrationsFolder,
    clock: io.clock,
    random: systemRandom,
    ids: systemIds(io.clock),
    log,
    http: noHttp,
    counters,
    version: version(),
    roles: options.roles ?? allRoles,
    pollMs: config.schedule.pollSeconds * 1_000,
    reconcileCron: config.schedule.reconcile,
    catalogueMs: config.schedule.catalogueSeconds * 1_000,
    retentionMs: config.schedule.retentionDays * 86_400_000,
    webhookBase: options.webhookBase,
    crashpoint: crashpoint(io.env['TRUESPOKE_CRASH']),
  });
}

export interface OpenEngine {
  readonly engine: Engine;
  readonly hub: OpenHub;
  readonly metrics: Metrics;
  readonly log: Log;
  close(): Promise<void>;
}

export interface OpenEngineOptions {
  readonly roles?: readonly EngineRole[] | undefined;
  /** Who reads the log on stderr. */
  readonly log: 'nobody' | 'people' | 'programs';
}

/** Hub, metrics, log and engine of a project. Opening makes no call to a spoke. */
export async function openEngine(project: Project, options: OpenEngineOptions, io: Io): Promise<OpenEngine> {
  const log = logFor(project.config, options.log, io);
  const metrics = createMetrics();
  const hub = await openHub(project.config, io, 'command');
  const webhookBase = project.config.server.publicUrl?.replace(/\/+$/, '') ?? null;
  const { counters } = metrics;
  const engine = buildEngine({ project, hub, log, counters, roles: options.roles, webhookBase }, io);
  const close = async (): Promise<void> => {
    await engine.close();
    await hub.close();
  };
  return { engine, hub, metrics, log, close };
}

function logFor(config: Config, readers: OpenEngineOptions['log'], io: Io): Log {
  if (readers === 'nobody') return silentLog;
  const { level } = config.log;
  const { secrets } = config;
  if (readers === 'programs')
    return createLog({ level, secrets, destination: { write: (line) => io.err.write(line) } });
  const text = prettyFactory({
    colorize: io.err.terminal && (io.env['NO_COLOR'] ?? '') === '',
    ignore: 'pid,hostname',
    translateTime: 'SYS:HH:MM:ss',
    singleLine: true,
  });
  return createLog({ level, secrets, destination: { write: (line) => io.err.write(text(line) ?? '') } });
}

const serverVersion = (number: number): string => `${Math.floor(number / 10_000)}.${number % 10_000}`;

/**
 * `TRUESPOKE_CRASH=delivery_sent:2` kills the process when it passes that point for the second time; `page_fetched/shopify` is that
 * point of one spoke; `delivery_sent:1:stop` stops it there once, as a machine does that falls asleep. For drills only.
 */
function crashpoint(wish: string | undefined): (name: string) => void {
  const [wanted, times, how] = wish?.split(':') ?? [];
  if (wanted === undefined) return () => undefined;
  let left = Number(times ?? '1');
  return (name) => {
    if (name !== wanted && name.split('/')[0] !== wanted) return;
    left -= 1;
    if (left <= 0 && how !== 'stop') process.kill(process.pid, 'SIGKILL');
    if (left === 0) process.kill(process.pid, 'SIGSTOP');
  };
}
