// Proves: Invariant 9
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { type EmbeddedHub, openEmbedded } from '../../src/store/embedded.js';
import { alive, freePort, startFailure } from '../../src/store/postgres-process.js';
import { withClient } from '../support/postgres.js';

let home: string;
let hubs: EmbeddedHub[];
beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'truespoke-embedded-'));
  await chmod(home, 0o755);
  hubs = [];
});
afterEach(async () => {
  for (const hub of hubs) await hub.close();
  await rm(home, { recursive: true, force: true });
});

/** What one start and stop leave behind, copied: initdb takes a second, a copy does not. */
async function prepared(): Promise<void> {
  const made = path.join(home, '.truespoke');
  if (!existsSync(seed)) {
    await (await open()).close();
    spawnSync('cp', ['-a', made, seed]);
  } else spawnSync('cp', ['-a', seed, made]);
}
const seed = path.join(tmpdir(), `truespoke-seed-${process.pid}`);
afterAll(() => rm(seed, { recursive: true, force: true }));

async function open(port?: number): Promise<EmbeddedHub> {
  const hub = await openEmbedded({
    directory: path.join(home, '.truespoke'),
    ...(port === undefined ? {} : { port }),
    settings: { fsync: 'off', shared_buffers: '16MB' },
  });
  hubs.push(hub);
  return hub;
}

const one = async (hub: EmbeddedHub, sql: string): Promise<unknown> =>
  withClient(
    hub.url,
    async (client) => Object.values((await client.query<Record<string, unknown>>(sql)).rows[0] ?? {})[0],
  );

test('the hub starts from nothing, keeps its rows, password and port over a restart, and stops when the last one leaves', async () => {
  const first = await open();
  expect(await one(first, 'SHOW wal_level')).toBe('logical');
  expect((await stat(path.join(home, '.truespoke', 'hub.json'))).mode & 0o777).toBe(0o600);
  await one(first, 'CREATE TABLE kept AS SELECT 7 AS n');
  await first.close();
  expect(alive(first.pid)).toBe(false);
  const second = await open();
  expect(second.url).toBe(first.url);
  expect(await one(second, 'SELECT n FROM kept')).toBe(7);
});

test('a second process joins the running server, and the server stops only after both have left', async () => {
  await prepared();
  const first = await open();
  const second = await open();
  expect([first.joined, second.joined, second.pid]).toEqual([false, true, first.pid]);
  await first.close();
  expect(await one(second, 'SELECT 1')).toBe(1);
  await second.close();
  expect(alive(first.pid)).toBe(false);
});

test('two processes that start at the same moment share one server', async () => {
  const [first, second] = await Promise.all([open(), open()]);
  expect(second.pid).toBe(first.pid);
});

test('a server left running by a killed engine is joined, then stopped like one of ours', async () => {
  await prepared();
  const dead = await open();
  // What SIGKILL of the engine does to the server: the keeper's connection ends, the postmaster lives on.
  await one(dead, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'truespoke keeper'`);
  const next = await open();
  expect([next.joined, next.pid]).toEqual([true, dead.pid]);
  await next.close();
  expect(alive(dead.pid)).toBe(false);
});

test('after SIGKILL of the server the stale pid file is no obstacle and committed rows are there', async () => {
  await prepared();
  const first = await open();
  await one(first, 'CREATE TABLE kept AS SELECT 7 AS n');
  process.kill(first.pid, 'SIGKILL');
  await expect.poll(() => alive(first.pid)).toBe(false);
  const second = await open();
  expect(second.joined).toBe(false);
  expect(await one(second, 'SELECT n FROM kept')).toBe(7);
});

test('a stale pid file whose pid now belongs to another program is no obstacle', async () => {
  await prepared();
  const first = await open();
  const file = path.join(first.dataDirectory, 'postmaster.pid');
  const text = await readFile(file, 'utf8');
  await first.close();
  await writeFile(file, text.replace(/^\d+/, String(process.pid)));
  const second = await open();
  expect([second.joined, await one(second, 'SELECT 1')]).toEqual([false, 1]);
});

test('a configured port in use is one clear error; a remembered one makes way for a free one', async () => {
  await prepared();
  const taken = await freePort();
  const other = await new Promise<Server>((resolve) => {
    const server = createServer().listen(taken, '127.0.0.1', () => resolve(server));
  });
  try {
    await expect(open(taken)).rejects.toMatchObject({
      code: 'embedded_port_in_use',
      message: expect.stringContaining(`port ${taken} is used`),
      hint: expect.stringContaining('another port'),
    });
    const file = path.join(home, '.truespoke', 'hub.json');
    await writeFile(file, (await readFile(file, 'utf8')).replace(/"port":\w+/, `"port":${taken}`));
    const hub = await open();
    expect(hub.port).not.toBe(taken);
  } finally {
    other.close();
  }
});

test('a data directory of another major version is refused and left alone', async () => {
  await prepared();
  const hub = await open();
  await hub.close();
  const file = path.join(hub.dataDirectory, 'PG_VERSION');
  await writeFile(file, '16\n');
  await expect(open()).rejects.toMatchObject({
    code: 'embedded_other_version',
    recovery: 'halt',
    message: expect.stringMatching(/made by Postgres 16.*brings Postgres 18/),
  });
  expect(await readFile(file, 'utf8')).toBe('16\n');
});

test('a lost password file is one clear error', async () => {
  await prepared();
  const hub = await open();
  await hub.close();
  await rm(path.join(home, '.truespoke', 'hub.json'));
  await expect(open()).rejects.toMatchObject({ code: 'embedded_password_missing', recovery: 'halt' });
});

test.runIf(userInfo().uid === 0)('as root, a folder that the server account cannot enter is named', async () => {
  await mkdir(path.join(home, 'private'), { mode: 0o700 });
  const directory = path.join(home, 'private', '.truespoke');
  await expect(openEmbedded({ directory })).rejects.toMatchObject({
    code: 'embedded_unreachable_folder',
    message: expect.stringContaining(path.join(home, 'private')),
    hint: expect.stringContaining('chmod o+x'),
  });
});

test('an engine that died within initdb leaves nothing that a later start trips over', async () => {
  await mkdir(path.join(home, '.truespoke'));
  // A pid beyond any that Linux hands out: the process that made it is gone.
  const abandoned = path.join(home, '.truespoke', 'postgres.new-99999999-abc');
  await mkdir(abandoned);
  await writeFile(path.join(abandoned, 'PG_VERSION'), '18\n');
  const hub = await open();
  expect(await one(hub, 'SELECT 1')).toBe(1);
  await expect(stat(abandoned)).rejects.toMatchObject({ code: 'ENOENT' });
});

/** Root may mount a file system of 20 MB, which initdb fills. Elsewhere this is not tried. */
const small = path.join(tmpdir(), `truespoke-small-${process.pid}`);
const mounted = ((): boolean => {
  if (userInfo().uid !== 0) return false;
  mkdirSync(small, { recursive: true });
  return spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=20m,mode=755', 'tmpfs', small]).status === 0;
})();
afterAll(async () => {
  if (mounted) spawnSync('umount', [small]);
  await rm(small, { recursive: true, force: true });
});

test.runIf(mounted)('a full disk is one clear error and leaves no half-made data directory', async () => {
  const directory = path.join(small, '.truespoke');
  await expect(openEmbedded({ directory })).rejects.toMatchObject({
    code: 'embedded_disk_full',
    message: expect.stringContaining('the disk is full'),
    hint: expect.stringContaining('Free space'),
  });
  expect(await readdir(directory)).toEqual(['hub.json']);
});

test('what the server prints when it fails becomes cause and next step', () => {
  const codes = [
    'initdb: error while loading shared libraries: libicuuc.so.60: cannot open shared object file',
    'FATAL:  data directory "/x" has wrong ownership',
    'LOG:  could not bind IPv4 address "127.0.0.1": Address already in use\nFATAL:  could not create any TCP/IP sockets',
    'FATAL:  database files are incompatible with server',
    'FATAL:  lock file "postmaster.pid" already exists',
    'PANIC:  could not write to file "pg_wal/xlogtemp.1": No space left on device',
    'something new',
  ].map((said) => startFailure('/x', said, undefined, 5).code);
  expect(codes).toEqual([
    'embedded_library_missing',
    'embedded_permission',
    'embedded_port_in_use',
    'embedded_other_version',
    'embedded_already_running',
    'embedded_disk_full',
    'embedded_start_failed',
  ]);
});
