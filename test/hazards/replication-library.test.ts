// One test a hazard of pg-logical-replication 2.5.0: what the library would do is named, what our wrapper does is held.
// Proves: Law 6, Invariant 3, Invariant 5
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ReplicationSource } from '../../src/model/change.js';
import { lsn, type Lsn, parseLsn } from '../../src/model/lsn.js';
import { statusFrame } from '../../src/outbound/frames.js';
import { commits, lastEnd, type Published, published, readUntil } from '../support/replication.js';

let hub: Published;
beforeEach(async () => {
  hub = await published(
    `CREATE TABLE hub.thing (id int PRIMARY KEY, name text, doc jsonb, at timestamptz, day date, n numeric)`,
  );
});
afterEach(() => hub.drop());

const insert = (id: number): Promise<unknown> => hub.db.pool.query('INSERT INTO hub.thing (id) VALUES ($1)', [id]);
const currentLsn = async (): Promise<Lsn> =>
  parseLsn((await hub.db.pool.query('SELECT pg_current_wal_lsn() AS at')).rows[0]?.['at'] ?? '');

describe('acknowledging', () => {
  test('issue 174: what was received but not stored is never acknowledged, however long it takes and however often the server asks', async () => {
    const before = await hub.confirmed();
    // The server asks twice within its timeout; the library's timer would answer with the received position.
    await hub.db.pool.query(`ALTER ROLE postgres IN DATABASE ${hub.db.name} SET wal_sender_timeout = '300ms'`);
    const source = await hub.open();
    await insert(1);
    await readUntil(source, commits(1));
    const until = performance.now() + 1_500;
    while (performance.now() < until) await source.read({ messagesMax: 10, waitMs: 100 });
    expect(await hub.confirmed()).toBe(before);
  });

  test('the exact position is sent, not the position plus one', async () => {
    const source = await hub.open();
    await insert(1);
    const end = lastEnd(await readUntil(source, commits(1)));
    source.acknowledge(end);
    await expect.poll(() => hub.confirmed()).toBe(end);
    const frame = statusFrame({ received: end, durable: end, nowMs: 946_684_800_001, replyWanted: false });
    expect([frame.length, frame.readInt32BE(1), frame.readBigUInt64BE(14), frame.readBigInt64BE(30)]).toEqual([
      39,
      38,
      end,
      1000n,
    ]);
    const edge = lsn(0x1_ffff_ffffn);
    expect(statusFrame({ received: edge, durable: edge, nowMs: 0, replyWanted: true }).readBigUInt64BE(14)).toBe(edge);
  });

  test('an acknowledgement beyond what the server sent is refused, and one that moves back too', async () => {
    const source = await hub.open();
    await insert(1);
    const end = lastEnd(await readUntil(source, commits(1)));
    expect(() => source.acknowledge(lsn(end + 1_000_000n))).toThrow(/ahead of the server/);
    source.acknowledge(end);
    expect(() => source.acknowledge(lsn(end - 1n))).toThrow(/moved back/);
  });

  test('F36 with only unmapped tables busy, the position of the server itself arrives and may be acknowledged', async () => {
    const source = await hub.open();
    await hub.db.pool.query('CREATE TABLE public.noise AS SELECT generate_series(1, 20000) AS n');
    const target = await currentLsn();
    let at = lsn(0n);
    const until = performance.now() + 10_000;
    while (at < target && performance.now() < until) {
      const { messages, serverLsn } = await source.read({ messagesMax: 10, waitMs: 200 });
      expect(messages).toEqual([]);
      at = serverLsn;
    }
    expect(at).toBeGreaterThanOrEqual(target);
    source.acknowledge(at);
    await expect.poll(async () => (await hub.confirmed()) >= target).toBe(true);
  });
});

describe('one object per connection', () => {
  test('a stream that broke stays dead; a new one continues from what was durable and loses no row', async () => {
    const first = await hub.open();
    await insert(1);
    const end = lastEnd(await readUntil(first, commits(1)));
    first.acknowledge(end);
    await expect.poll(() => hub.confirmed()).toBe(end);
    await insert(2);
    await readUntil(first, commits(1)); // received, never stored
    await hub.db.pool.query('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1', [
      hub.slot,
    ]);
    await expect(readUntil(first, commits(1))).rejects.toMatchObject({ code: 'source_broken', recovery: 'retry' });
    await expect(first.read({ messagesMax: 1, waitMs: 0 })).rejects.toMatchObject({ code: 'source_broken' });
    const second = await hub.open({ from: end });
    const again = await readUntil(second, commits(1));
    expect(again.flatMap((m) => (m.kind === 'insert' ? [m.new[0]] : []))).toEqual(['2']);
  });

  test('two reads at the same time are a defect of the caller and are refused', async () => {
    const source = await hub.open();
    while ((await source.read({ messagesMax: 1, waitMs: 50 })).serverLsn < (await currentLsn()));
    const first = source.read({ messagesMax: 1, waitMs: 50 });
    await expect(source.read({ messagesMax: 1, waitMs: 0 })).rejects.toThrow(/two reads/);
    await first;
  });
});

describe('values', () => {
  test('no type parser touches a value: microseconds, dates, large integers in jsonb, a leading BOM', async () => {
    const source = await hub.open();
    await hub.db.pool.query(
      `INSERT INTO hub.thing VALUES (1, U&'\\FEFFbom', '{"n": 9007199254740993}', '2024-01-01 00:00:00.123456Z', '0044-03-15 BC', 'NaN')`,
    );
    const [row] = (await readUntil(source, commits(1))).flatMap((m) => (m.kind === 'insert' ? [m.new] : []));
    expect(row).toEqual([
      '1',
      '\uFEFFbom',
      '{"n": 9007199254740993}',
      '2024-01-01 00:00:00.123456+00',
      '0044-03-15 BC',
      'NaN',
    ]);
  });

  test('rows of one statement that share a change position all arrive, in order', async () => {
    const source = await hub.open();
    await hub.db.pool.query(`INSERT INTO hub.thing (id) SELECT generate_series(1, 5000)`);
    const rows = (await readUntil(source, commits(1))).flatMap((m) => (m.kind === 'insert' ? [Number(m.new[0])] : []));
    expect(rows).toEqual(Array.from({ length: 5000 }, (_, i) => i + 1));
  });

  test('a transaction with an origin, whose begin arrives at position 0/0, does not move the position back', async () => {
    const source = await hub.open();
    const name = `origin_${hub.db.name}`;
    await insert(1);
    await readUntil(source, commits(1));
    const before = (await source.read({ messagesMax: 1, waitMs: 0 })).serverLsn;
    await hub.db.pool.query(`
      SELECT pg_replication_origin_create('${name}'); SELECT pg_replication_origin_session_setup('${name}');
      INSERT INTO hub.thing (id) VALUES (2); SELECT pg_replication_origin_session_reset();`);
    const messages = await readUntil(source, commits(1));
    expect(messages.map(({ kind }) => kind)).toContain('insert');
    expect((await source.read({ messagesMax: 1, waitMs: 0 })).serverLsn).toBeGreaterThan(before);
    await hub.db.pool.query(`SELECT pg_replication_origin_drop('${name}')`);
  });
});

describe('names', () => {
  test('slot and publication names are quoted: a hostile name is a name', async () => {
    await hub.db.pool.query(`CREATE PUBLICATION "odd'; ""pub\\x" FOR TABLE hub.thing`);
    const source = await hub.open({ publication: `odd'; "pub\\x` });
    await insert(1);
    expect((await readUntil(source, commits(1))).length).toBe(3);
    await source.close();
    await expect(hub.open({ slot: `x" LOGICAL 0/0; DROP_REPLICATION_SLOT "${hub.slot}` })).rejects.toMatchObject({
      code: 'slot_name_invalid',
      recovery: 'halt',
    });
    await hub.open();
  });
});

describe('pace', () => {
  test('F50 a reader that stops reading stops the server: memory is bounded by the buffer', async () => {
    const source = await hub.open({ bufferBytesMax: 256 * 1024 });
    await hub.db.pool.query(
      `INSERT INTO hub.thing (id, name) SELECT i, repeat('x', 200) FROM generate_series(1, 100000) i`,
    );
    await source.read({ messagesMax: 1, waitMs: 5_000 });
    // The server has sent what fits the buffers on the way, and waits for us.
    let streak = 0;
    await expect
      .poll(async () => (streak = (await senderWaits()) === 'WalSenderWriteData' ? streak + 1 : 0), {
        interval: 50,
        timeout: 10_000,
      })
      .toBeGreaterThan(5);
    const held = (source as unknown as { frames: { heldBytes(): number } }).frames.heldBytes();
    expect(held).toBeLessThan(512 * 1024);
    expect(await countRows(source)).toBe(100_000);
  });

  test('a reader busy for longer than wal_sender_timeout, with a full buffer, is not dropped by the server', async () => {
    await hub.db.pool.query(`ALTER ROLE postgres IN DATABASE ${hub.db.name} SET wal_sender_timeout = '3s'`);
    const source = await hub.open({ bufferBytesMax: 64 * 1024 });
    await hub.db.pool.query(
      `INSERT INTO hub.thing (id, name) SELECT i, repeat('x', 500) FROM generate_series(1, 20000) i`,
    );
    await source.read({ messagesMax: 1, waitMs: 5_000 });
    await hub.db.pool.query('SELECT pg_sleep(4)'); // what a slow journal does
    expect(await senderWaits()).toBe('WalSenderWriteData');
    expect(await countRows(source)).toBe(20_000);
  });

  test('a server that sleeps through a commit on a quiet hub is woken by the next status, long before its own timer', async () => {
    await hub.open();
    const told = async (): Promise<string> =>
      (
        await hub.db.pool.query(
          `SELECT r.reply_time::text AS at FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid WHERE s.slot_name = $1`,
          [hub.slot],
        )
      ).rows[0]?.['at'] ?? '';
    await expect.poll(told, { timeout: 3_000 }).not.toBe('');
    const first = await told();
    await expect.poll(told, { timeout: 3_000 }).not.toBe(first);
  });

  /** What the walsender waits for. */
  async function senderWaits(): Promise<unknown> {
    const { rows } = await hub.db.pool.query(
      `SELECT wait_event AS event FROM pg_stat_activity a JOIN pg_replication_slots s ON s.active_pid = a.pid WHERE s.slot_name = $1`,
      [hub.slot],
    );
    return rows[0]?.['event'];
  }

  /** Rows up to the next commit; nothing is kept of them. */
  async function countRows(source: ReplicationSource): Promise<number> {
    let rows = 0;
    for (const until = performance.now() + 20_000; performance.now() < until;) {
      const { messages } = await source.read({ messagesMax: 5_000, waitMs: 5_000 });
      expect(messages.length).toBeLessThanOrEqual(5_000);
      rows += messages.filter(({ kind }) => kind === 'insert').length;
      if (messages.at(-1)?.kind === 'commit') return rows;
    }
    throw new Error(`no commit within 20 s, after ${rows} rows`);
  }
});

test('one door: no other file imports the library', () => {
  const files = execFileSync('grep', ['-rlE', `from 'pg-logical-replication`, 'src'], { encoding: 'utf8' });
  expect(files.trim().split('\n')).toEqual(['src/outbound/slot.ts']);
  expect(readFileSync('src/outbound/slot.ts', 'utf8')).toContain('auto: false, timeoutSeconds: 0');
});

test('closing tells the last durable position and frees the slot at once', async () => {
  const source: ReplicationSource = await hub.open();
  await insert(1);
  const end = lastEnd(await readUntil(source, commits(1)));
  source.acknowledge(end);
  await source.close();
  expect(await hub.confirmed()).toBe(end);
  await hub.open();
});
