// Owns opening the hub for a command: the embedded one or the configured one, checked before anything is asked of it.
import { ConfigError } from '../base/errors.js';
import type { Config } from '../config/config.js';
import { spokeName } from '../model/ids.js';
import { openEmbedded } from '../store/embedded.js';
import { pendingMigrations } from '../store/migrate.js';
import { openPool, type Pool } from '../store/pool.js';
import { preflight, type HubFacts } from '../store/preflight.js';
import { loadSpokes } from '../store/spokes.js';
import type { Io } from './io.js';
import { migrationsFolder } from './package-files.js';
import { unknownSpoke } from './project.js';

export interface OpenHub {
  /** May hold a password: never printed. */
  readonly url: string;
  readonly pool: Pool;
  readonly facts: HubFacts;
  readonly embedded: boolean;
  close(): Promise<void>;
}

/** Rejects with one clear error when the hub cannot be reached or cannot do logical replication; then nothing is left open. */
export async function openHub(config: Config, io: Io, purpose: string): Promise<OpenHub> {
  const { clock, signal } = io;
  const embedded =
    config.hub.url === null ? await openEmbedded({ directory: config.hub.dataDir, clock, signal }) : null;
  const url = config.hub.url ?? embedded?.url ?? '';
  try {
    const facts = await preflight({ url });
    const pool = openPool({ url, applicationName: `truespoke ${purpose}`, max: config.hub.poolSize });
    return {
      url,
      pool,
      facts,
      embedded: embedded !== null,
      async close() {
        await pool.end();
        await embedded?.close();
      },
    };
  } catch (error) {
    await embedded?.close();
    throw error;
  }
}

/** Opens, uses, closes, whatever happens in between. */
export async function withHub<T>(
  config: Config,
  io: Io,
  purpose: string,
  body: (hub: OpenHub) => Promise<T>,
): Promise<T> {
  const hub = await openHub(config, io, purpose);
  try {
    return await body(hub);
  } finally {
    await hub.close();
  }
}

/** The same for commands that need the engine's schema; without it the next step is named. */
export function withMigratedHub<T>(
  config: Config,
  io: Io,
  purpose: string,
  body: (hub: OpenHub) => Promise<T>,
): Promise<T> {
  return withHub(config, io, purpose, async (hub) => {
    await refuseUnmigrated(hub);
    return body(hub);
  });
}

/** A name that neither the configuration nor the hub knows is a slip, not an empty list. */
export async function refuseUnknownSpoke(config: Config, { pool }: OpenHub, spoke: string | undefined): Promise<void> {
  if (spoke === undefined || config.spokes.has(spokeName(spoke))) return;
  if ((await loadSpokes(pool)).some(({ name }) => name === spoke)) return;
  throw unknownSpoke(config, spoke);
}

export async function refuseUnmigrated(hub: OpenHub): Promise<void> {
  const [first, ...more] = await pendingMigrations(hub.pool, migrationsFolder);
  if (first === undefined) return;
  throw new ConfigError({
    code: 'hub_not_migrated',
    message: `the hub lacks the migration ${first}${more.length === 0 ? '' : ` and ${more.length} more`}`,
    hint: 'Run `truespoke migrate`, or `truespoke run`, which does it first.',
  });
}
