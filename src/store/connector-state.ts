// Owns truespoke.connector_state: a connector's small durable memory, and the lock that lets one process of the installation at a
// time do a thing (refresh a token, start bulk work). Values may be secrets: they are never logged and never in an error.
import type { PoolClient } from 'pg';
import type { Clock } from '../base/clock.js';
import { Retriable } from '../base/errors.js';
import type { ConnectorState } from '../connectors/connector.js';
import type { SpokeName } from '../model/ids.js';
import type { Pool } from './pool.js';

export interface ConnectorStateOptions {
  readonly spoke: SpokeName;
  readonly pool: Pool;
  /** Holds one connection for each lock that is held; must not run dry while `pool` is needed. Default: `pool`. */
  readonly lockPool?: Pool | undefined;
  readonly clock: Clock;
  /** Ends waiting for a lock. */
  readonly signal?: AbortSignal | undefined;
  /** Longest wait for a lock. Default 60 s. */
  readonly lockWaitMs?: number | undefined;
}

const lockPollMs = 100;

export function connectorState(options: ConnectorStateOptions): ConnectorState {
  const { spoke, pool, clock } = options;
  const turns = new Map<string, Promise<unknown>>();
  return {
    async get(key) {
      const { rows } = await pool.query<{ value: string }>(
        'select value from truespoke.connector_state where spoke = $1 and key = $2',
        [spoke, key],
      );
      return rows[0]?.value ?? null;
    },
    async put(key, value) {
      if (value === null) {
        await pool.query('delete from truespoke.connector_state where spoke = $1 and key = $2', [spoke, key]);
        return;
      }
      await pool.query(
        `insert into truespoke.connector_state (spoke, key, value, updated_at) values ($1, $2, $3, $4::timestamptz)
         on conflict (spoke, key) do update set value = excluded.value, updated_at = excluded.updated_at`,
        [spoke, key, value, new Date(clock.now()).toISOString()],
      );
    },
    exclusive(key, body) {
      // Inside this process callers queue here, so that only one of them waits at the database.
      const before = turns.get(key) ?? Promise.resolve();
      const mine = before.then(() => underLock(options, `${spoke}/${key}`, body));
      const settled = mine.catch(() => undefined);
      turns.set(key, settled);
      void settled.then(() => {
        if (turns.get(key) === settled) turns.delete(key);
      });
      return mine;
    },
  };
}

/**
 * A session lock on a connection of its own: it ends with the process, whatever happens. Waiting asks again and again on a fresh
 * connection instead of blocking one, so that waiting callers cannot empty the pool.
 */
async function underLock<T>(options: ConnectorStateOptions, name: string, body: () => Promise<T>): Promise<T> {
  const { clock, signal, spoke } = options;
  const giveUpMs = clock.monotonic() + (options.lockWaitMs ?? 60_000);
  for (;;) {
    signal?.throwIfAborted();
    const client = await (options.lockPool ?? options.pool).connect();
    if (await tryLock(client, name)) return await holding(client, name, body);
    if (clock.monotonic() >= giveUpMs) {
      throw new Retriable({
        spoke,
        code: 'state_locked',
        message: `another process has been holding ${name} for too long`,
        hint: 'see pg_locks (locktype advisory) for its pid; the lock ends with that process',
      });
    }
    await clock.sleep(lockPollMs, signal);
  }
}

/** Releases the connection unless it now holds the lock. */
async function tryLock(client: PoolClient, name: string): Promise<boolean> {
  try {
    const { rows } = await client.query<{ locked: string }>(
      'select pg_try_advisory_lock(hashtextextended($1, 7)) as locked',
      [name],
    );
    if (rows[0]?.locked === 't') return true;
  } catch (error) {
    client.release(true);
    throw error;
  }
  client.release();
  return false;
}

async function holding<T>(client: PoolClient, name: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } finally {
    // A connection that cannot unlock is thrown away, and the lock with it.
    const unlocked = client.query('select pg_advisory_unlock(hashtextextended($1, 7))', [name]);
    await unlocked.then(() => client.release()).catch(() => client.release(true));
  }
}
