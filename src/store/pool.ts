// Owns connections to a Postgres. Every value crosses as text, every session is UTC/ISO, every wait is bounded, and no
// socket error can kill the process. Never touches global pg.types: parsers belong to the connection.
import pg from 'pg';
import { assert } from '../base/assert.js';
import { type Backoff, backoffMs } from '../base/backoff.js';
import { type Clock, systemClock } from '../base/clock.js';
import { type Random, systemRandom } from '../base/random.js';
import { Unreachable } from '../base/errors.js';

/** A column as it arrives: Postgres text ('t'/'f' for booleans, `{…}` for arrays, `\x…` for bytea), or null. */
export type Cell = string | null;
export type Row = Record<string, Cell>;

/** A named statement is parsed and planned once per connection: use it for every statement on a hot path. */
export interface Statement {
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}

export interface Result<R> {
  readonly rows: R[];
  readonly rowCount: number | null;
}

/** What a store function needs: a pool or a transaction. */
export interface Queryable {
  query<R extends pg.QueryResultRow = Row>(
    statement: string | Statement,
    values?: readonly unknown[],
  ): Promise<Result<R>>;
}

/** An open transaction. Only `transaction` makes one, so a function that takes a Tx cannot run outside of one. */
export interface Tx extends Queryable {
  readonly __transaction: true;
}

export interface PoolOptions {
  readonly url: string;
  /** Shown in pg_stat_activity, e.g. `truespoke outbound`. */
  readonly applicationName: string;
  /** Connections at most. */
  readonly max: number;
  /** Keeps all `max` connections once opened (the journal must not queue behind a full server, F40). */
  readonly reserved?: boolean;
  readonly connectTimeoutMs?: number;
  /** 0 = no limit. */
  readonly statementTimeoutMs?: number;
  readonly lockTimeoutMs?: number;
  readonly idleInTransactionTimeoutMs?: number;
  readonly clock?: Clock;
  /** Jitter of transaction retries. */
  readonly random?: Random;
  /** Told about errors of idle connections; a later query reconnects, so nothing else must be done. */
  readonly onIdleError?: (error: Error) => void;
}

const asText = { getTypeParser: () => (text: unknown) => text } as unknown as pg.CustomTypesConfig;

/** A pg.Pool whose connections are set up by this module; `clock` and `random` serve `transaction`. */
export class Pool extends pg.Pool {
  readonly clock: Clock;
  readonly random: Random;

  constructor(options: PoolOptions) {
    const statementMs = options.statementTimeoutMs ?? 30_000;
    const session = sessionSettings(options, statementMs);
    super({
      connectionString: options.url,
      application_name: options.applicationName,
      max: options.max,
      min: options.reserved === true ? options.max : 0,
      idleTimeoutMillis: options.reserved === true ? 0 : 30_000,
      connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      // The server's own timeout fires first; this one ends the wait when the server is gone without a FIN.
      ...(statementMs > 0 ? { query_timeout: statementMs + 5_000 } : {}),
      types: asText,
      // A SET instead of startup parameters: poolers refuse unknown startup parameters. The pool awaits this promise,
      // which its type declaration does not know.
      onConnect: ((client: pg.ClientBase) => client.query(session)) as unknown as () => undefined,
    } as pg.PoolConfig);
    this.clock = options.clock ?? systemClock;
    this.random = options.random ?? systemRandom;
    const onIdleError = options.onIdleError;
    // Without these two listeners one reset connection ends the process.
    this.on('error', (error) => onIdleError?.(error));
    this.on('connect', (client) => client.on('error', ignore));
  }
}

/** The client's pending query rejects with the same error; this only keeps it from being thrown as well. */
const ignore = (): void => undefined;

/** How values are written as text. A database or role may have other defaults; what we compare must not depend on them. */
export const textFormat = [
  `SET TimeZone = 'UTC'`,
  `SET DateStyle = 'ISO, YMD'`,
  `SET IntervalStyle = 'postgres'`,
  `SET bytea_output = 'hex'`,
  `SET extra_float_digits = 1`,
  `SET xmloption = 'content'`,
  `SET client_encoding = 'UTF8'`,
  `SET lc_monetary = 'C'`,
].join('; ');

function sessionSettings(options: PoolOptions, statementMs: number): string {
  return [
    textFormat,
    `SET standard_conforming_strings = on`,
    `SET statement_timeout = ${Math.round(statementMs)}`,
    `SET lock_timeout = ${Math.round(options.lockTimeoutMs ?? 10_000)}`,
    `SET idle_in_transaction_session_timeout = ${Math.round(options.idleInTransactionTimeoutMs ?? 60_000)}`,
  ].join('; ');
}

export function openPool(options: PoolOptions): Pool {
  return new Pool(options);
}

export interface TransactionOptions {
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable';
  readonly readOnly?: boolean;
  /** Attempts in all; only deadlocks and serialisation failures are tried again. */
  readonly attemptsMax?: number;
}

const retryDelay: Backoff = { firstMs: 20, maxMs: 1_000 };
const retried = new Set(['40001', '40P01']);

/**
 * Runs `work` in one transaction. On a deadlock or serialisation failure (F41) the whole of `work` runs again, so it
 * must have no effect outside of the transaction. Any other error rolls back and is rethrown unchanged.
 */
export async function transaction<T>(
  pool: Pool,
  work: (tx: Tx) => Promise<T>,
  options: TransactionOptions = {},
): Promise<T> {
  const attemptsMax = options.attemptsMax ?? 5;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await once(pool, work, options);
    } catch (error) {
      if (attempt >= attemptsMax || !retried.has(sqlState(error) ?? '')) throw error;
      await pool.clock.sleep(backoffMs(retryDelay, attempt, pool.random));
    }
  }
}

async function once<T>(pool: Pool, work: (tx: Tx) => Promise<T>, options: TransactionOptions): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query(beginStatement(options));
    const value = await work(client as unknown as Tx);
    // A COMMIT of an aborted transaction answers ROLLBACK without an error: work swallowed a failed statement.
    const { command } = await client.query('COMMIT');
    if (command !== 'COMMIT') throw new Error(rolledBack);
    return value;
  } catch (error) {
    // The first error is the one to report; a connection that cannot roll back is thrown away. One that is lost is not even asked: in a
    // black hole the answer would take as long again as the statement (F30).
    if (error instanceof Error && isConnectionLoss(error)) broken = error;
    else
      await client.query('ROLLBACK').catch((rollback: unknown) => {
        broken = rollback instanceof Error ? rollback : new Error(String(rollback));
      });
    throw error;
  } finally {
    client.release(broken);
  }
}

/** A transaction that its owner ends: for work that spans several reads of a stream. Hold it briefly. */
export interface OpenTransaction {
  readonly tx: Tx;
  /** Rejects when the server rolled back instead. The connection is given back in every case. */
  commit(): Promise<void>;
  /** Never rejects: a connection that cannot roll back is thrown away, which rolls back too. */
  rollback(): Promise<void>;
}

/** Prefer `transaction`: this one is not tried again, and whoever forgets to end it holds a connection. */
export async function openTransaction(pool: Pool, options: TransactionOptions = {}): Promise<OpenTransaction> {
  const client = await pool.connect();
  let ended = false;
  const end = (broken?: Error): void => {
    if (!ended) client.release(broken);
    ended = true;
  };
  const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
  try {
    await client.query(beginStatement(options));
  } catch (error) {
    end(asError(error));
    throw error;
  }
  return {
    tx: client as unknown as Tx,
    async commit() {
      assert(!ended, 'a transaction was ended twice');
      try {
        const { command } = await client.query('COMMIT');
        if (command !== 'COMMIT') throw new Error(rolledBack);
        end();
      } catch (error) {
        end(asError(error));
        throw error;
      }
    },
    async rollback() {
      if (ended) return;
      await client.query('ROLLBACK').then(
        () => end(),
        (error: unknown) => end(asError(error)),
      );
    },
  };
}

const rolledBack = 'the transaction was rolled back: a statement in it failed unseen';

function beginStatement(options: TransactionOptions): string {
  const isolation = options.isolation === undefined ? '' : ` ISOLATION LEVEL ${options.isolation.toUpperCase()}`;
  return `BEGIN${isolation}${options.readOnly === true ? ' READ ONLY' : ''}`;
}

/** The five-letter SQLSTATE of a Postgres error, if it is one. */
export function sqlState(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && /^(?=.*[0-9])[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** A row cannot go because another one refers to it: 23503, and since Postgres 18 23001 where the reference says RESTRICT. */
export function stillReferredTo(state: string): boolean {
  return state === '23503' || state === '23001';
}

/** True when the connection, not the statement, failed: the same call may succeed on a fresh connection. */
export function isConnectionLoss(error: unknown): boolean {
  if (error instanceof Unreachable) return true;
  const state = sqlState(error);
  // 53300: too many connections; 57P0x: shutdown, crash, cannot connect now.
  if (state !== undefined) return state.startsWith('08') || state.startsWith('57P') || state === '53300';
  if (!(error instanceof Error)) return false;
  const code = (error as { code?: unknown }).code;
  return (
    (typeof code === 'string' && /^E(CONN|PIPE|TIMEDOUT|HOST|NET|AI_)/.test(code)) ||
    /Connection terminated|timeout exceeded when trying to connect|Query read timeout|not queryable/.test(error.message)
  );
}
