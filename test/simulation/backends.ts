// Owns the real connections to Postgres of one simulated run. They outlive the lives of the engine: a process that dies leaves its
// connections as the server would find them (rolled back, locks given back), which costs a statement instead of a new backend each.
import { once } from 'node:events';
import type pg from 'pg';
import { openPool, type Pool } from '../../src/store/pool.js';
import type { Owner } from './scheduler.js';

type Listener = (error?: Error) => void;
type RawQuery = (statement: unknown, values?: readonly unknown[]) => Promise<pg.QueryResult>;

/** A connection that somebody holds. */
export class Lent {
  readonly raw: RawQuery;
  /** Its statement is under way. */
  running = 0;
  /** Its statement closed a circle of waits. */
  refused = false;
  private readonly listeners: { readonly event: string; readonly listener: Listener }[] = [];

  constructor(
    readonly client: pg.PoolClient,
    readonly owner: Owner,
  ) {
    this.raw = client.query.bind(client) as unknown as RawQuery;
  }

  get pid(): number {
    return (this.client as unknown as { processID: number }).processID;
  }

  on(event: string, listener: Listener): void {
    this.listeners.push({ event, listener });
  }

  off(event: string, listener: Listener): void {
    const index = this.listeners.findIndex((one) => one.event === event && one.listener === listener);
    if (index >= 0) this.listeners.splice(index, 1);
  }

  /** Told in the order of the simulation, not in that of the sockets. */
  tellEnd(error: Error): void {
    const all = [...this.listeners];
    for (const { event, listener } of all) if (event === 'error' || event === 'end') listener(error);
  }
}

export class Backends {
  private readonly physical: Pool;
  private readonly apart: Pool;
  private readonly lent = new Set<Lent>();

  constructor(
    url: string,
    private readonly monitor: Pool,
  ) {
    this.physical = this.open(url, 80);
    this.apart = this.open(url, 4);
  }

  private open(url: string, max: number): Pool {
    return openPool({
      url,
      applicationName: 'simulated',
      max,
      // Waits are counted in virtual time.
      statementTimeoutMs: 0,
      lockTimeoutMs: 0,
      idleInTransactionTimeoutMs: 0,
    });
  }

  async take(owner: Owner, apart = false): Promise<Lent> {
    const lent = new Lent(await (apart ? this.apart : this.physical).connect(), owner);
    this.lent.add(lent);
    return lent;
  }

  /** Ends a statement that waits in a circle. */
  async refuse(pid: number): Promise<void> {
    const lent = [...this.lent].find((one) => one.pid === pid);
    if (lent === undefined || lent.refused) return;
    lent.refused = true;
    await this.monitor.query(`select pg_cancel_backend($1)`, [pid]);
  }

  giveBack(lent: Lent, broken?: Error | boolean): void {
    if (!this.lent.delete(lent)) return;
    lent.client.release(broken);
  }

  /** The process that held these is dead: the server rolls back and frees what it locked. */
  async bury(owner: Owner): Promise<void> {
    for (const lent of [...this.lent].filter((one) => one.owner === owner)) {
      this.lent.delete(lent);
      if (lent.running > 0) {
        await this.terminate([lent]);
        continue;
      }
      const clean = await lent.raw('rollback; select pg_advisory_unlock_all()').then(
        () => true,
        () => false,
      );
      lent.client.release(!clean);
    }
  }

  /** The server restarts under everybody: every backend of the run is ended at once. */
  async restart(): Promise<void> {
    const all = [...this.lent];
    this.lent.clear();
    // What lies idle goes as well: nobody holds it, so nobody has to hear of it.
    const idle: pg.PoolClient[] = [];
    while (this.physical.idleCount > 0) idle.push(await this.physical.connect());
    while (this.apart.idleCount > 0) idle.push(await this.apart.connect());
    for (const client of idle) client.release(true);
    await this.terminate(all);
    for (const lent of all) lent.tellEnd(new Error('terminating connection due to administrator command'));
  }

  /** Nobody holds anything any more. */
  async clear(): Promise<void> {
    for (const owner of new Set([...this.lent].map((one) => one.owner))) await this.bury(owner);
  }

  async end(): Promise<void> {
    await this.terminate([...this.lent]).catch(() => undefined);
    this.lent.clear();
    await this.physical.end();
    await this.apart.end();
  }

  private async terminate(all: readonly Lent[]): Promise<void> {
    if (all.length === 0) return;
    const ended = all.map((lent) => once(lent.client, 'end').catch(() => undefined));
    await this.monitor.query(`select pg_terminate_backend(pid, 5000) from unnest($1::int[]) as pid`, [
      `{${all.map((lent) => lent.pid).join(',')}}`,
    ]);
    await Promise.all(ended);
    for (const lent of all) lent.client.release(true);
  }
}
