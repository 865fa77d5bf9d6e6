// Owns what the tests of the replication source share: a database with a publication and a slot, and a reader that
// collects until a condition holds. Never sleeps: reading waits by itself.
import type { ReplicationSource, SourceMessage } from '../../src/model/change.js';
import { type Lsn, parseLsn, zeroLsn } from '../../src/model/lsn.js';
import { openSlot, type SlotOptions } from '../../src/outbound/slot.js';
import { createSlot } from '../../src/store/slots.js';
import { testDatabase, type TestDatabase, type TestDatabaseOptions } from './postgres.js';

export interface Published {
  readonly db: TestDatabase;
  readonly slot: string;
  readonly publication: string;
  open(options?: Partial<SlotOptions>): Promise<ReplicationSource>;
  /** confirmed_flush_lsn as the server has it. */
  confirmed(): Promise<Lsn>;
  drop(): Promise<void>;
}

/** A fresh database in which `ddl` ran, with a publication of every table of schema hub and a slot. */
export async function published(ddl: string, options: TestDatabaseOptions = {}): Promise<Published> {
  const db = await testDatabase(options);
  const slot = `s_${db.name}`;
  const publication = 'truespoke_test';
  await db.pool.query(`CREATE SCHEMA hub; ${ddl}`);
  await db.pool.query(`CREATE PUBLICATION ${publication} FOR TABLES IN SCHEMA hub`);
  await createSlot(db.pool, slot);
  const open: ReplicationSource[] = [];
  return {
    db,
    slot,
    publication,
    async open(more = {}) {
      const source = await openSlot({ url: db.url, slot, publication, from: zeroLsn, ...more });
      open.push(source);
      return source;
    },
    async confirmed() {
      const { rows } = await db.pool.query(
        'SELECT confirmed_flush_lsn AS at FROM pg_replication_slots WHERE slot_name = $1',
        [slot],
      );
      return parseLsn(rows[0]?.['at'] ?? '');
    },
    async drop() {
      for (const source of open) await source.close();
      await db.drop();
    },
  };
}

/** Reads until `done` holds for everything read so far; fails after `withinMs`. */
export async function readUntil(
  source: ReplicationSource,
  done: (messages: readonly SourceMessage[]) => boolean,
  withinMs = 10_000,
): Promise<SourceMessage[]> {
  const messages: SourceMessage[] = [];
  const until = performance.now() + withinMs;
  while (!done(messages)) {
    if (performance.now() > until)
      throw new Error(`not within ${withinMs} ms; read: ${JSON.stringify(messages.map(({ kind }) => kind))}`);
    messages.push(...(await source.read({ messagesMax: 1000, waitMs: 200 })).messages);
  }
  return messages;
}

export const commits = (count: number) => (messages: readonly SourceMessage[]) =>
  messages.filter(({ kind }) => kind === 'commit').length >= count;

/** The end of the last transaction read. */
export function lastEnd(messages: readonly SourceMessage[]): Lsn {
  for (const message of messages.toReversed()) if (message.kind === 'commit') return message.endLsn;
  throw new Error('no commit was read');
}
