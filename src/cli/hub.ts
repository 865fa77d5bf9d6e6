// Owns opening the hub for a command: the embedded one or the configured one, checked before anything is asked of it.
import type { Config } from '../config/config.js';
import { openEmbedded } from '../store/embedded.js';
import { openPool, type Pool } from '../store/pool.js';
import { preflight, type HubFacts } from '../store/preflight.js';
import type { Io } from './io.js';

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
  const embedded =
    config.hub.url === null ? await openEmbedded({ directory: config.hub.dataDir, clock: io.clock }) : null;
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
