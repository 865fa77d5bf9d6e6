// Owns the way to Postgres in a simulated run: every connect and every statement is an event of the scheduler. Commits that touch
// the hub carry the virtual time in the WAL, so that capture can tell simulated commit times.
import type pg from 'pg';
import { Pool, type PoolOptions } from '../../src/store/pool.js';
import type { Owner, Scheduler } from './scheduler.js';

export interface GateOptions {
  readonly scheduler: Scheduler;
  readonly owner: Owner;
  /** Virtual wall clock of the hub, ms. */
  readonly hubNowMs: () => number;
  readonly onResult?: (label: string, values: readonly unknown[], rows: readonly unknown[]) => void;
}

type Query = (statement: unknown, values?: readonly unknown[]) => Promise<{ rows: unknown[] }>;

export const timePrefix = 'simulated time';

export class GatedPool extends Pool {
  private readonly known = new WeakSet<pg.PoolClient>();
  private taking = 0;

  constructor(
    options: PoolOptions,
    private readonly gate: GateOptions,
  ) {
    super(options);
  }

  override connect(): Promise<pg.PoolClient>;
  override connect(
    callback: (error: Error | undefined, client: pg.PoolClient | undefined, done: (release?: unknown) => void) => void,
  ): void;
  override connect(callback?: unknown): Promise<pg.PoolClient> | undefined {
    if (callback !== undefined) throw new Error('a simulated pool is used with promises');
    const { scheduler, owner } = this.gate;
    // One that lies ready costs no I/O.
    const ready = this.idleCount > this.taking && !owner.dead;
    if (!ready) return scheduler.io(owner, 'connect', () => super.connect()).then((one) => this.gated(one));
    this.taking += 1;
    return super
      .connect()
      .finally(() => (this.taking -= 1))
      .then((one) => this.gated(one));
  }

  override async query(statement: unknown, values?: unknown): Promise<never> {
    const client = await this.connect();
    let broken: Error | undefined;
    try {
      return (await (client.query as unknown as Query)(statement, values as readonly unknown[])) as never;
    } catch (error) {
      broken = /terminat|closed|ended/i.test(String(error)) ? (error as Error) : undefined;
      throw error;
    } finally {
      client.release(broken);
    }
  }

  private gated(client: pg.PoolClient): pg.PoolClient {
    if (this.known.has(client)) return client;
    this.known.add(client);
    const { scheduler, owner, hubNowMs, onResult } = this.gate;
    const query = client.query.bind(client) as unknown as Query;
    const pid = (): number => (client as unknown as { processID: number }).processID;
    let touchesHub = false;
    const run: Query = (statement, values) => {
      const given =
        typeof statement === 'string'
          ? { text: statement, values }
          : (statement as { name?: string; text: string; values?: unknown[] });
      const label =
        'name' in given && given.name !== undefined ? given.name : given.text.replace(/\s+/g, ' ').trim().slice(0, 70);
      if (/^begin/i.test(given.text)) touchesHub = false;
      if (given.text.includes('pg_logical_emit_message')) touchesHub = true;
      const ends = /^(commit|rollback)/i.test(given.text);
      const body = async (): Promise<{ rows: unknown[] }> => {
        if (touchesHub && /^commit/i.test(given.text)) {
          await query(`select pg_logical_emit_message(true, '${timePrefix}', '${hubNowMs()}')`);
        }
        const result = await query(statement, values);
        onResult?.(label, (given.values ?? []) as readonly unknown[], result.rows);
        return result;
      };
      // A statement outside of a transaction gives its locks back as well, but nobody can have waited for them: it was one event.
      return scheduler.io(owner, label, body, { pid, frees: ends });
    };
    client.query = run as unknown as typeof client.query;
    return client;
  }
}
