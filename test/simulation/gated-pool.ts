// Owns the way to Postgres in a simulated run: every statement is an event of the scheduler. Commits that touch the hub carry the
// virtual time in the WAL, so that capture can tell simulated commit times. BEGIN is sent with the statement after it: alone it decides
// nothing, and would be an event for nothing.
import { Writable } from 'node:stream';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { Pool, type PoolOptions } from '../../src/store/pool.js';
import type { Backends, Lent, RawQuery } from './backends.js';
import { askPrepared } from './prepared.js';
import type { Owner, Scheduler } from './scheduler.js';

export interface GateOptions {
  readonly scheduler: Scheduler;
  readonly backends: Backends;
  readonly owner: Owner;
  /** Virtual wall clock of the hub, ms. */
  readonly hubNowMs: () => number;
  /** Does this statement fail without an effect, as on a full disk (F38)? */
  readonly fails?: (label: string) => boolean;
  /** Every transaction does, whatever it says. */
  readonly touchesHub?: boolean;
  readonly onResult?: (label: string, values: readonly unknown[], rows: readonly unknown[]) => void;
}

type Query = (statement: unknown, values?: readonly unknown[]) => Promise<{ rows: unknown[] }>;

interface Given {
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[] | undefined;
}

export const timePrefix = 'simulated time';

/** Connections that are free, and who waits for one. */
interface Slots {
  free: number;
  readonly queue: (() => void)[];
}

export class GatedPool extends Pool {
  private readonly slots: Slots;
  private readonly actor: string;

  constructor(
    options: PoolOptions,
    private readonly gate: GateOptions,
  ) {
    super(options);
    this.slots = { free: options.max, queue: [] };
    this.actor = gate.owner.name;
  }

  /** The same connections, in the name of one of the owner's services. */
  as(actor: string): GatedPool {
    return Object.create(this, { actor: { value: actor } }) as GatedPool;
  }

  override connect(): Promise<pg.PoolClient>;
  override connect(
    callback: (error: Error | undefined, client: pg.PoolClient | undefined, done: (release?: unknown) => void) => void,
  ): void;
  override connect(callback?: unknown): Promise<pg.PoolClient> | undefined {
    if (callback !== undefined) throw new Error('a simulated pool is used with promises');
    const { gate, slots, actor } = this;
    const given = (): void => this.given();
    const client = (): pg.PoolClient =>
      new GatedClient(gate.backends.take(gate.owner), gate, { actor, given }) as unknown as pg.PoolClient;
    if (slots.free > 0) {
      slots.free -= 1;
      return Promise.resolve(client());
    }
    return new Promise<void>((resolve) => slots.queue.push(resolve)).then(client);
  }

  /** Who waited longest is next. */
  private given(): void {
    const next = this.slots.queue.shift();
    if (next === undefined) this.slots.free += 1;
    else next();
  }

  override async query(statement: unknown, values?: unknown): Promise<never> {
    const client = await this.connect();
    let broken: Error | undefined;
    try {
      return (await (client.query as unknown as Query)(statement, values as readonly unknown[])) as never;
    } catch (error) {
      broken = /terminat|closed|ended|not queryable/i.test(String(error)) ? (error as Error) : undefined;
      throw error;
    } finally {
      client.release(broken);
    }
  }
}

const isStream = (statement: unknown): statement is CopyStream => statement instanceof Writable;

/** What is known of a text: a seed asks the same few hundred ten thousand times. */
interface Known {
  readonly name: string;
  readonly label: string;
  readonly begins: boolean;
  /** Its transaction, and with it its locks. */
  readonly ends: boolean;
  readonly touchesHub: boolean;
}

const texts = new Map<string, Known>();

function knownOf(text: string): Known {
  let known = texts.get(text);
  if (known === undefined) {
    known = {
      name: `sim${texts.size}`,
      label: text.replace(/\s+/g, ' ').trim().slice(0, 70),
      begins: /^begin/i.test(text),
      ends: /^(commit|rollback)/i.test(text),
      touchesHub: text.includes('pg_logical_emit_message'),
    };
    texts.set(text, known);
  }
  return known;
}

const givenOf = (statement: unknown, values: readonly unknown[] | undefined): Given =>
  typeof statement === 'string' ? { text: statement, values } : (statement as Given);

/** What the engine writes into waits in its stream until somebody sends it. */
interface CopyStream extends Writable {
  readonly text: string;
  readonly chunks: readonly { readonly chunk: Buffer | string }[];
}

/** Sends what somebody wrote; he hears of its end when the scheduler says so, and not from the socket. */
async function copy(raw: RawQuery, { text, chunks }: CopyStream): Promise<void> {
  const stream = copyFrom(text);
  await new Promise<void>((resolve, reject) => {
    stream.on('finish', resolve);
    stream.on('error', reject);
    void raw(stream);
    for (const { chunk } of chunks) stream.write(chunk);
    stream.end();
  });
}

/** What the engine gets for a connection. */
class GatedClient {
  /** Asked for, and not sent yet. */
  private begin: string | null = null;
  private inTransaction = false;
  private touchesHub = false;

  constructor(
    private readonly lent: Lent,
    private readonly gate: GateOptions,
    private readonly holder: { readonly actor: string; readonly given: () => void },
  ) {}

  readonly query: Query = (statement, values) => {
    const given = givenOf(statement, values);
    const { text } = given;
    const { begins, ends, touchesHub, label: shortened } = knownOf(text);
    if (begins) {
      this.begin = text;
      this.touchesHub = this.gate.touchesHub === true;
      return Promise.resolve({ command: 'BEGIN', rows: [] });
    }
    if (touchesHub) this.touchesHub = true;
    const label = given.name ?? shortened;
    const { scheduler, owner, onResult, fails } = this.gate;
    const body = async (): Promise<{ rows: unknown[] }> => {
      this.lent.running += 1;
      try {
        if (fails?.(label) === true) throw Object.assign(new Error('the server is short of room'), { code: '53100' });
        const result = await this.send(statement, text, values);
        onResult?.(label, given.values ?? [], result.rows);
        return result;
      } catch (error) {
        if (!this.lent.refused || (error as { code?: string }).code !== '57014') throw error;
        throw Object.assign(new Error('deadlock detected'), { code: '40P01' });
      } finally {
        this.lent.running -= 1;
        this.lent.refused = false;
      }
    };
    // A statement outside of a transaction gives its locks back as well, but nobody can have waited for them: it was one event.
    const answer = scheduler.io(owner, label, body, {
      actor: this.holder.actor,
      pid: () => this.lent.pid,
      frees: ends,
    });
    if (!isStream(statement)) return answer;
    // COPY: its stream tells of its end, as the driver's does.
    answer.then(
      () => statement.emit('finish'),
      (error: unknown) => statement.emit('error', error),
    );
    return Promise.resolve({ rows: [] });
  };

  on(event: string, listener: () => void): this {
    this.lent.on(event, listener);
    return this;
  }

  off(event: string, listener: () => void): this {
    this.lent.off(event, listener);
    return this;
  }

  release(broken?: Error | boolean): void {
    // What a dead process held is given back by the server.
    if (this.gate.owner.dead) return;
    this.gate.backends.giveBack(this.lent, broken);
    this.holder.given();
  }

  private async send(statement: unknown, text: string, values?: readonly unknown[]): Promise<{ rows: unknown[] }> {
    const { lent, gate } = this;
    if (lent.ended !== null) throw new Error('Connection terminated unexpectedly');
    // Applications begin with whatever they like: a connection for each would be more than the server takes.
    if (lent.backend === null)
      await gate.backends.attach(lent, gate.touchesHub === true ? 'application' : `${this.begin ?? ''} ${text}`);
    const { raw } = lent;
    if (knownOf(text).ends) return this.end(lent, text);
    if (this.begin !== null) {
      const { begin } = this;
      this.begin = null;
      this.inTransaction = true;
      await lent.begin(begin);
    } else if (!this.inTransaction) await lent.leaveChain();
    if (!isStream(statement)) return this.ask(statement, values);
    await copy(raw, statement);
    return { rows: [] };
  }

  /** Parsing and planning is most of what a statement costs. */
  private ask(statement: unknown, values?: readonly unknown[]): Promise<{ rows: unknown[] }> {
    const { client, raw } = this.lent;
    const { name, text, values: given = [] } = givenOf(statement, values);
    if (text.includes(';')) return raw(statement, values);
    // What reads the WAL sees what is flushed: when that is would be the background writer's choice.
    const flushed = text.replace(`'synchronous_commit', 'off'`, `'synchronous_commit', 'on'`);
    return askPrepared(client, name ?? knownOf(text).name, flushed, given);
  }

  /** The next transaction of this connection begins with the end of this one: most begin as the one before, which saves a question each. */
  private async end(lent: Lent, text: string): Promise<{ rows: unknown[] }> {
    const { inTransaction, touchesHub } = this;
    this.begin = null;
    this.inTransaction = false;
    // Nothing was asked in it, or its end has failed already.
    if (!inTransaction) return { command: text.toUpperCase(), rows: [] } as { rows: unknown[] };
    const mark = `select pg_logical_emit_message(true, '${timePrefix}', '${this.gate.hubNowMs()}')`;
    return lent.end(touchesHub && /^commit/i.test(text) ? [mark, text] : [text]);
  }
}
