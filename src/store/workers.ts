// Owns the session that shows a process is alive: a numbered worker and its named locks, all held by one dedicated connection. When the
// connection dies, Postgres frees the locks at once and others take over; when the process sleeps, leases run out instead.
import type { PoolClient } from 'pg';
import { workerLockClass } from './deliveries.js';
import type { Pool } from './pool.js';

export interface WorkerSession {
  /** Number of this worker, as deliveries name their holder. */
  readonly worker: string;
  /** Aborts when the connection is gone: nothing that this process held is its own any more. */
  readonly lost: AbortSignal;
  /** Takes a lock of the whole installation if it is free (or already ours). */
  tryLock(name: string): Promise<boolean>;
  close(): Promise<void>;
}

export async function openWorker(pool: Pool): Promise<WorkerSession> {
  const client: PoolClient = await pool.connect();
  const gone = new AbortController();
  const end = (error?: Error): void => gone.abort(error ?? new Error('the worker session ended'));
  client.on('error', end);
  client.on('end', end);
  const { rows } = await client.query<{ worker: string }>(`select nextval('truespoke.worker') % 2147483647 as worker`);
  const worker = rows[0]?.worker ?? '0';
  await client.query(`select pg_advisory_lock(${workerLockClass}, $1::int)`, [worker]);
  const held = new Set<string>();
  let queue: Promise<unknown> = Promise.resolve();
  return {
    worker,
    lost: gone.signal,
    tryLock(name) {
      if (held.has(name)) return Promise.resolve(!gone.signal.aborted);
      const attempt = queue.then(async () => {
        const result = await client.query<{ ok: string }>(
          `select pg_try_advisory_lock(hashtextextended('truespoke ' || $1, 0))::text as ok`,
          [name],
        );
        const ok = result.rows[0]?.ok === 'true';
        if (ok) held.add(name);
        return ok;
      });
      queue = attempt.catch(() => undefined);
      return attempt;
    },
    close() {
      client.off('error', end);
      client.off('end', end);
      end();
      // Closing the connection frees every lock in one step.
      client.release(true);
      return Promise.resolve();
    },
  };
}
