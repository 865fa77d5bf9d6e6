// Owns the promise of bad input where only the real process and its embedded hub can show it: another Postgres version, a full disk, a
// folder that may not be entered, a port in use. Each ends with one message and its exit code, leaves no server behind, and works once mended.
// Proves: Invariant 9
import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { root } from '../support/source-tree.js';

const built = existsSync(join(root, 'dist', 'cli', 'main.js'));
const isRoot = process.getuid?.() === 0;

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A runner that colours its own output asks its children to do so too. */
const plain = { ...process.env, FORCE_COLOR: '0', NO_COLOR: '1' };

let cwd: string;
let mounted: string | null = null;

function truespoke(...args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [join(root, 'bin', 'truespoke.js'), ...args],
      { cwd, env: plain },
      (_error, out, err) => resolve({ code: child.exitCode ?? -1, out, err }),
    );
  });
}

beforeEach(async () => {
  // The embedded server runs as another user when we are root: it must be able to enter.
  cwd = await mkdtemp(join(tmpdir(), 'truespoke-bad-'));
  await chmod(cwd, 0o755);
  const spoke = 'store: { connector: memory, objects: { Widget: { fields: { code: {} } } } }';
  await writeFile(join(cwd, 'truespoke.yaml'), `spokes:\n  ${spoke}\nserver: { port: 0 }\n`);
  await mkdir(join(cwd, 'mappings'));
  const mapping =
    'entity: widget\nfields: { code: { type: text, match: exact } }\nspokes:\n  store: { object: Widget, fields: { code: code } }\n';
  await writeFile(join(cwd, 'mappings', 'widget.yaml'), mapping);
});
afterEach(async () => {
  if (mounted !== null) execFileSync('umount', [mounted]);
  mounted = null;
  await rm(cwd, { recursive: true, force: true });
});

/** No server of ours may stand on the project's data directory. */
async function serversLeft(): Promise<readonly string[]> {
  const left: string[] = [];
  for (const pid of (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (line.includes(cwd) && line.includes('postgres')) left.push(pid);
  }
  return left;
}

async function refused(ended: Ended, code: number, expected: RegExp): Promise<void> {
  expect([ended.code, ended.out]).toEqual([code, '']);
  expect(ended.err).toMatch(expected);
  expect(ended.err).toMatch(/\n {2}next: \S/);
  expect(ended.err).not.toMatch(/^\s+at |defect of Truespoke/m);
  // One message: nothing else on stderr but the error and its next step.
  expect(ended.err.match(/^error:/gm)).toHaveLength(1);
  expect(await serversLeft()).toEqual([]);
}

// Each test starts the program several times, and initdb twice: eight seconds of a processor, minutes of waiting for one on a busy machine.
describe.skipIf(!built)('the embedded hub', { timeout: 300_000 }, () => {
  test('a data directory of another Postgres version is refused untouched, exit code 1', async () => {
    expect((await truespoke('migrate')).code).toBe(0);
    const version = join(cwd, '.truespoke', 'postgres', 'PG_VERSION');
    const own = await readFile(version, 'utf8');
    await writeFile(version, '15\n');
    for (const args of [['status'], ['run'], ['migrate', '--plan']])
      await refused(await truespoke(...args), 1, /made by Postgres 15, and this truespoke brings Postgres \d+/);
    await writeFile(version, own);
    const mended = await truespoke('migrate');
    expect([mended.err, mended.code, mended.out]).toEqual(['', 0, expect.stringContaining('Nothing to do')]);
  });

  test('a password file that is damaged or gone is refused, never replaced', async () => {
    expect((await truespoke('migrate')).code).toBe(0);
    const file = join(cwd, '.truespoke', 'hub.json');
    const own = await readFile(file, 'utf8');
    await writeFile(file, '{"password":');
    await refused(await truespoke('status'), 1, /hub\.json: is damaged/);
    await rm(file);
    await refused(await truespoke('status'), 1, /hub\.json: missing, and it holds the password/);
    await writeFile(file, own);
    expect((await truespoke('migrate')).code).toBe(0);
  });

  test.skipIf(!isRoot)(
    'a full disk is named, leaves nothing half-made, and goes on once there is room, exit code 3',
    async () => {
      const folder = join(cwd, '.truespoke');
      await mkdir(folder);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=30m', 'tmpfs', folder]);
      mounted = folder;
      await refused(await truespoke('migrate'), 3, /the disk is full \(.*No space left on device\)/);
      expect(await readdir(folder)).toEqual(['hub.json']);
      execFileSync('mount', ['-o', 'remount,size=300m', folder]);
      expect((await truespoke('migrate')).code).toBe(0);
      await writeFile(join(folder, 'ballast'), Buffer.alloc(280 << 20)).catch(() => undefined);
      await refused(await truespoke('status'), 3, /the disk is full/);
      await rm(join(folder, 'ballast'));
      expect((await truespoke('migrate')).err).toBe('');
    },
  );

  test.skipIf(!isRoot)('a folder that the server may not enter is named with what to do, exit code 3', async () => {
    await chmod(cwd, 0o700);
    await refused(await truespoke('migrate'), 3, /cannot enter it to reach the data directory[\s\S]*chmod o\+x/);
    await chmod(cwd, 0o755);
    expect((await truespoke('migrate')).code).toBe(0);
  });

  test('its port taken by another program: it moves to a free one by itself', async () => {
    expect((await truespoke('migrate')).code).toBe(0);
    const { port } = JSON.parse(await readFile(join(cwd, '.truespoke', 'hub.json'), 'utf8')) as { port: number };
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
    const ended = await truespoke('migrate');
    other.close();
    expect([ended.err, ended.code]).toEqual(['', 0]);
  });

  test('the port of the server taken: exit code 2, the hub is stopped again', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const config = join(cwd, 'truespoke.yaml');
    await writeFile(config, (await readFile(config, 'utf8')).replace('port: 0', `port: ${port}`));
    const ended = await truespoke('run');
    other.close();
    await refused(ended, 2, new RegExp(`port ${port} on 127\\.0\\.0\\.1 is already in use`));
  });

  test('Ctrl-C while it starts ends it within two seconds and leaves no server', async () => {
    const child = spawn(process.execPath, [join(root, 'bin', 'truespoke.js'), 'run'], { cwd, stdio: 'ignore' });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    await expect.poll(() => existsSync(join(cwd, '.truespoke', 'hub.json')), { timeout: 20_000 }).toBe(true);
    child.kill('SIGINT');
    await ended;
    await expect.poll(serversLeft, { timeout: 10_000 }).toEqual([]);
    expect((await truespoke('migrate')).err).toBe('');
  });
});
