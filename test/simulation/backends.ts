// Owns the real connections to Postgres of the simulated runs. They outlive the lives of the engine, and the runs: a process that dies
// leaves its connections as the server would find them (rolled back, locks given back), which costs a statement instead of a new backend.
// A connection serves what begins with the statement that it began with before: it knows those statements, and most of what a statement
// costs is getting to know it. Which one serves is decided by the run alone, never by what ran before it or by real time.
import { once } from 'node:events';
import type pg from 'pg';
import { openPool, type Pool } from '../../src/store/pool.js';
import type { Owner } from './scheduler.js';

type Listener = (error?: Error) => void;
export type RawQuery = (statement: unknown, values?: readonly unknown[]) => Promise<pg.QueryResult>;

interface Backend {
  readonly client: pg.PoolClient;
  readonly kind: string;
  /** It is in a transaction already, begun so, in which nothing was asked. */
  chained: string | null;
}

/** A connection that somebody holds: a real one from its first statement on. */
export class Lent {
  /** Its statement is under way. */
  running = 0;
  /** Its statement closed a circle of waits. */
  refused = false;
  /** Why nothing can be asked through it any more. */
  ended: Error | null = null;
  backend: Backend | null = null;
  private begun: string | null = null;
  private readonly listeners: { readonly event: string; readonly listener: Listener }[] = [];

  constructor(readonly owner: Owner) {}

  get client(): pg.PoolClient {
    const client = this.backend?.client;
    if (client === undefined) throw new Error('asked before its first statement');
    return client;
  }

  get raw(): RawQuery {
    const { client } = this;
    return client.query.bind(client) as unknown as RawQuery;
  }

  get pid(): number | null {
    return (this.backend?.client as { processID?: number } | undefined)?.processID ?? null;
  }

  /** As the last transaction ended, the next one has begun, if it begins alike. */
  async begin(text: string): Promise<void> {
    const { backend } = this;
    if (backend === null) return;
    if (backend.chained !== text) {
      await this.leaveChain();
      await this.raw(text);
    }
    this.begun = text;
    backend.chained = null;
  }

  /** The last of these ends the transaction; answers as it does. */
  async end(texts: readonly string[]): Promise<pg.QueryResult> {
    const results = (await this.raw(`${texts.join('; ')} and chain`)) as pg.QueryResult | pg.QueryResult[];
    if (this.backend !== null) this.backend.chained = this.begun;
    return Array.isArray(results) ? (results.at(-1) as pg.QueryResult) : results;
  }

  /** Out of a transaction in which nothing was asked. */
  async leaveChain(): Promise<void> {
    if (this.backend === null || this.backend.chained === null) return;
    this.backend.chained = null;
    await this.raw('rollback');
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
    this.ended = error;
    const all = [...this.listeners];
    for (const { event, listener } of all) if (event === 'error' || event === 'end') listener(error);
  }
}

export class Backends {
  private readonly physical: Pool;
  private readonly lent = new Set<Lent>();
  private readonly idle = new Map<string, Backend[]>();

  constructor(
    url: string,
    private readonly monitor: Pool,
  ) {
    this.physical = openPool({
      url,
      applicationName: 'simulated',
      max: 150,
      // Waits are counted in virtual time.
      statementTimeoutMs: 0,
      lockTimeoutMs: 0,
      idleInTransactionTimeoutMs: 0,
    });
  }

  take(owner: Owner): Lent {
    const lent = new Lent(owner);
    this.lent.add(lent);
    return lent;
  }

  /** Gives it a real connection for what begins with this statement. */
  async attach(lent: Lent, kind: string): Promise<void> {
    lent.backend = this.idle.get(kind)?.pop() ?? {
      client: await this.physical.connect(),
      kind,
      chained: null,
    };
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
    this.detach(lent, broken !== undefined && broken !== false);
  }

  /** The process that held these is dead: the server rolls back and frees what it locked. */
  async bury(owner: Owner): Promise<void> {
    await this.part([...this.lent].filter((one) => one.owner === owner));
  }

  /** The server restarts under everybody. What lies idle may stay: nobody holds it, so nobody could tell. */
  async restart(): Promise<void> {
    const all = [...this.lent];
    await this.part(all);
    for (const lent of all) lent.tellEnd(new Error('terminating connection due to administrator command'));
  }

  /** Nobody holds anything any more. */
  async clear(): Promise<void> {
    await this.part([...this.lent]);
  }

  async end(): Promise<void> {
    await this.clear().catch(() => undefined);
    for (const { client } of [...this.idle.values()].flat()) client.release(true);
    await this.physical.end();
  }

  /** Those that wait for a lock go first: given one by the others they would go on, as far as they come. */
  private async part(all: readonly Lent[]): Promise<void> {
    for (const lent of all) this.lent.delete(lent);
    await this.terminate(all.filter((lent) => lent.running > 0));
    for (const lent of all) {
      if (lent.backend === null) continue;
      lent.backend.chained = null;
      const clean = await lent.raw('rollback; select pg_advisory_unlock_all()').then(
        () => true,
        () => false,
      );
      this.detach(lent, !clean);
    }
  }

  private detach(lent: Lent, broken: boolean): void {
    const { backend } = lent;
    if (backend === null) return;
    lent.backend = null;
    if (broken) return backend.client.release(true);
    const stack = this.idle.get(backend.kind);
    if (stack === undefined) this.idle.set(backend.kind, [backend]);
    else stack.push(backend);
  }

  /** All are told before one is waited for. */
  private async terminate(all: readonly Lent[]): Promise<void> {
    const clients = all.flatMap(({ backend }) => (backend === null ? [] : [backend.client]));
    if (clients.length === 0) return;
    const ended = clients.map((client) => once(client, 'end').catch(() => undefined));
    await this.monitor.query(`select pg_terminate_backend(pid) from unnest($1::int[]) as pid`, [
      `{${all.map((lent) => lent.pid ?? 0).join(',')}}`,
    ]);
    await Promise.all(ended);
    for (const lent of all) this.detach(lent, true);
  }
}
