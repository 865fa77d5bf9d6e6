// What happens to the replication source when Postgres or the network fails: F27–F30 and what lies between.
// Proves: Law 6, Invariant 6
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { SourceMessage } from '../../src/model/change.js';
import { type Clock, systemClock } from '../../src/base/clock.js';
import { alive, start } from '../../src/store/postgres-process.js';
import { type Proxy, startProxy } from '../support/proxy.js';
import { startTestCluster, type TestCluster, testSettings } from '../support/global-setup.js';
import { commits, lastEnd, type Published, published, readUntil } from '../support/replication.js';

const ddl = 'CREATE TABLE hub.thing (id int PRIMARY KEY, name text)';
const cleanup: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

const insert = (hub: Published, id: number): Promise<unknown> =>
  hub.db.pool.query('INSERT INTO hub.thing (id) VALUES ($1)', [id]);

const ids = (messages: readonly SourceMessage[]): unknown[] =>
  messages.flatMap((m) => (m.kind === 'insert' ? [m.new[0]] : []));

async function ownCluster(settings: Record<string, string> = {}): Promise<{ cluster: TestCluster; hub: Published }> {
  const cluster = await startTestCluster(settings);
  cleanup.push(() => cluster.stop());
  const hub = await published(ddl, { cluster: cluster.url });
  cleanup.push(async () => {
    await hub.db.pool.end().catch(() => undefined);
  });
  return { cluster, hub };
}

async function stopped(pid: number, signal: 'SIGINT' | 'SIGQUIT'): Promise<number> {
  const from = performance.now();
  process.kill(pid, signal);
  await expect.poll(() => alive(pid), { timeout: 20_000, interval: 10 }).toBe(false);
  return performance.now() - from;
}

describe('F27 fast shutdown while connected', () => {
  test('everything acknowledged: Postgres is down within two seconds, and the reader is told', async () => {
    const { cluster, hub } = await ownCluster();
    const source = await hub.open();
    await insert(hub, 1);
    source.acknowledge(lastEnd(await readUntil(source, commits(1))));
    await hub.db.pool.end();
    const reading = readUntil(source, () => false, 20_000).catch((error: unknown) => error);
    expect(await stopped(cluster.pid, 'SIGINT')).toBeLessThan(2_000);
    expect(await reading).toMatchObject({ code: 'source_broken', recovery: 'retry' });
  });

  test('received and not acknowledged, and nobody reading: down within two seconds all the same, and sent again after the restart', async () => {
    const { cluster, hub } = await ownCluster();
    const source = await hub.open();
    await insert(hub, 1);
    source.acknowledge(lastEnd(await readUntil(source, commits(1))));
    await expect.poll(() => hub.confirmed()).toBeGreaterThan(0n);
    await insert(hub, 2);
    await readUntil(source, commits(1));
    await hub.db.pool.end();
    expect(await stopped(cluster.pid, 'SIGINT')).toBeLessThan(2_000);
    await expect(source.read({ messagesMax: 1, waitMs: 0 })).rejects.toMatchObject({ recovery: 'retry' });
    await restart(cluster);
    expect(ids(await readUntil(await hub.open(), commits(1)))).toEqual(['2']);
  });
});

async function restart(cluster: TestCluster): Promise<void> {
  await start(cluster.cluster, {
    port: cluster.port,
    settings: testSettings,
    logFile: path.join(cluster.dir, '..', 'log'),
  });
}

test('F28 immediate stop: the reader is told, and after crash recovery what was not acknowledged comes again', async () => {
  const { cluster, hub } = await ownCluster({ fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' });
  const source = await hub.open();
  await insert(hub, 1);
  source.acknowledge(lastEnd(await readUntil(source, commits(1))));
  await insert(hub, 2);
  await readUntil(source, commits(1));
  await stopped(cluster.pid, 'SIGQUIT');
  await expect(readUntil(source, () => false)).rejects.toMatchObject({ recovery: 'retry' });
  await restart(cluster);
  // F4: the acknowledgement itself may be forgotten by the crash, so 1 may come again; 2 must.
  expect(ids(await readUntil(await hub.open(), (messages) => ids(messages).includes('2')))).toContain('2');
});

test('F29 walsender terminated: the stream ends with a retriable error, a new one loses nothing', async () => {
  const hub = await published(ddl);
  cleanup.push(() => hub.drop());
  const source = await hub.open();
  await insert(hub, 1);
  await readUntil(source, commits(1));
  await hub.db.pool.query('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1', [
    hub.slot,
  ]);
  await expect(readUntil(source, () => false)).rejects.toMatchObject({ code: 'source_broken', recovery: 'retry' });
  await insert(hub, 2);
  expect(ids(await readUntil(await hub.open(), commits(2)))).toEqual(['1', '2']);
});

describe('the network between engine and hub', () => {
  async function throughProxy(): Promise<{ hub: Published; proxy: Proxy; url: string }> {
    const hub = await published(ddl);
    cleanup.push(() => hub.drop());
    const proxy = await startProxy({ host: '127.0.0.1', port: Number(new URL(hub.db.url).port) });
    cleanup.push(() => proxy.close());
    return { hub, proxy, url: proxy.through(hub.db.url) };
  }

  /** Sixty times as fast as the real one: a minute passes in a second. */
  const fast: Clock = {
    now: () => systemClock.now(),
    monotonic: () => systemClock.monotonic() * 60,
    sleep: (ms, signal) => systemClock.sleep(ms / 60, signal),
  };

  test('F30 black hole without FIN: our own timer notices within 60 s', async () => {
    const { hub, proxy, url } = await throughProxy();
    const source = await hub.open({ url, clock: fast });
    await insert(hub, 1);
    await readUntil(source, commits(1));
    proxy.blackHole(true);
    const from = fast.monotonic();
    await expect(readUntil(source, () => false)).rejects.toMatchObject({
      message: expect.stringContaining('no sign of life'),
    });
    expect(fast.monotonic() - from).toBeLessThan(60_000);
  });

  test('a quiet hub is no black hole: the server answers our question, and the stream lives on', async () => {
    const { hub, url } = await throughProxy();
    const source = await hub.open({ url, clock: fast });
    const until = fast.monotonic() + 150_000;
    while (fast.monotonic() < until) await source.read({ messagesMax: 10, waitMs: 10_000 });
    await insert(hub, 1);
    expect(ids(await readUntil(source, commits(1)))).toEqual(['1']);
  });

  test('a reset, and a cut in the middle of a row, lose nothing', async () => {
    const { hub, proxy, url } = await throughProxy();
    const first = await hub.open({ url });
    proxy.reset();
    await expect(readUntil(first, () => false)).rejects.toMatchObject({ recovery: 'retry' });
    await hub.db.pool.query(`INSERT INTO hub.thing SELECT i, repeat('n', 100) FROM generate_series(1, 2000) i`);
    for (const bytes of [3_000, 20_011, 90_003]) {
      proxy.cutAfter(bytes);
      const cut = await hub.open({ url }).catch(() => null);
      if (cut !== null) await expect(readUntil(cut, commits(1))).rejects.toMatchObject({ recovery: 'retry' });
    }
    proxy.cutAfter(null);
    expect(ids(await readUntil(await hub.open({ url }), commits(1)))).toHaveLength(2000);
  });

  test('latency only delays', async () => {
    const { hub, proxy, url } = await throughProxy();
    const source = await hub.open({ url });
    proxy.latency(80);
    await insert(hub, 1);
    expect(ids(await readUntil(source, commits(1)))).toEqual(['1']);
  });

  test('a hub that cannot be reached is one clear error', async () => {
    const { hub, proxy, url } = await throughProxy();
    proxy.refuse(true);
    await expect(hub.open({ url })).rejects.toMatchObject({ code: 'source_broken', recovery: 'retry' });
    await expect(hub.open({ url: 'postgres://x@127.0.0.1:1/x' })).rejects.toMatchObject({ recovery: 'retry' });
  });
});

test('F50 a transaction of a million rows passes through read() with bounded memory', async () => {
  const hub = await published(ddl);
  cleanup.push(() => hub.drop());
  await hub.db.pool.query(
    `SET statement_timeout = 0; INSERT INTO hub.thing SELECT i, 'name of ' || i FROM generate_series(1, 1000000) i`,
  );
  const source = await hub.open();
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  let [rows, peak, sum] = [0, 0, 0];
  for (let done = false; !done;) {
    const { messages } = await source.read({ messagesMax: 10_000, waitMs: 20_000 });
    for (const m of messages) {
      if (m.kind === 'insert') {
        rows += 1;
        sum += Number(m.new[0]);
      }
    }
    peak = Math.max(peak, process.memoryUsage().rss - before);
    done = messages.at(-1)?.kind === 'commit';
  }
  expect([rows, sum]).toEqual([1_000_000, 500_000_500_000]);
  expect(peak / 1024 ** 2).toBeLessThan(250);
}, 180_000);

test('F55 bytes that cannot be understood end the stream with an error that names the slot; the process lives', async () => {
  const hub = await published(ddl);
  cleanup.push(() => hub.drop());
  const source = await hub.open();
  await insert(hub, 1);
  await readUntil(source, commits(1));
  const { frames } = source as unknown as { frames: { push(bytes: Buffer): void } };
  const poison = Buffer.alloc(5 + 26, 0);
  poison.write('d');
  poison.writeInt32BE(4 + 26, 1);
  poison.write('w', 5);
  poison.write('?', 5 + 25);
  frames.push(poison);
  await expect(readUntil(source, () => false)).rejects.toMatchObject({
    code: 'source_unreadable',
    recovery: 'halt',
    message: expect.stringContaining(hub.slot),
  });
});

test('the log of the server shows no complaint about our status messages', async () => {
  const { cluster, hub } = await ownCluster();
  const source = await hub.open();
  await insert(hub, 1);
  source.acknowledge(lastEnd(await readUntil(source, commits(1))));
  await source.close();
  const log = await readFile(path.join(cluster.dir, '..', 'log'), 'utf8');
  expect(log.split('\n').filter((line) => /ERROR|FATAL|invalid|unexpected/.test(line))).toEqual([]);
});
