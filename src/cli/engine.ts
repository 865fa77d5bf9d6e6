// Owns building the engine from a project: the one place where configuration, hub, spokes and ports meet.
import { systemIds, systemRandom } from '../base/random.js';
import type { Log } from '../base/log.js';
import { allRoles, createEngine, type Engine, type EngineRole } from '../engine/engine.js';
import type { Counters } from '../model/status.js';
import type { OpenHub } from './hub.js';
import type { Io } from './io.js';
import { migrationsFolder, version } from './package-files.js';
import type { Project } from './project.js';
import { spokeSetup } from './spokes.js';

export interface BuildOptions {
  readonly project: Project;
  readonly hub: OpenHub;
  readonly log: Log;
  readonly counters: Counters;
  readonly roles?: readonly EngineRole[];
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
    spokes: spokes.map((spoke) => spokeSetup(spoke, { config, pool: hub.pool, log, counters }, io)),
    mapping: mappings.mapping,
    migrations: migrationsFolder,
    clock: io.clock,
    random: systemRandom,
    ids: systemIds(io.clock),
    log,
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

const serverVersion = (number: number): string => `${Math.floor(number / 10_000)}.${number % 10_000}`;

/** `TRUESPOKE_CRASH=delivery_sent:2` kills the process when it passes that point for the second time. For drills only. */
function crashpoint(wish: string | undefined): (name: string) => void {
  const [wanted, times] = wish?.split(':') ?? [];
  if (wanted === undefined) return () => undefined;
  let left = Number(times ?? '1');
  return (name) => {
    if (name !== wanted) return;
    left -= 1;
    if (left <= 0) process.kill(process.pid, 'SIGKILL');
  };
}
