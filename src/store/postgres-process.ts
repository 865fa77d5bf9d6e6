// Owns one Postgres server process on one data directory: initialise, start, find a running one, stop. Every way in
// which that fails becomes an error that names the cause and the next step. Knows nothing of what runs in the database.
import { type ChildProcess, spawn } from 'node:child_process';
import { chown, mkdtemp, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import type { Clock } from '../base/clock.js';
import { Halt, type TruespokeError, Unreachable } from '../base/errors.js';
import { type Account, type Binaries, blockedFolder, remove } from './postgres-binaries.js';

export interface Cluster {
  readonly binaries: Binaries;
  readonly account: Account | undefined;
  readonly dir: string;
  readonly clock: Clock;
  /** Aborts a start that is under way; what it made so far is ended. */
  readonly signal?: AbortSignal | undefined;
}

/** Messages are parsed, so they must not depend on the machine's language. */
const environment = { ...process.env, LC_ALL: 'C', LC_MESSAGES: 'C' };

const identity = (account: Account | undefined): { uid?: number; gid?: number } =>
  account === undefined ? {} : { uid: account.uid, gid: account.gid };

/** Refuses folders which the server's account cannot enter (a checkout under /root, 0700). */
export async function checkReachable(cluster: Cluster): Promise<void> {
  const { account } = cluster;
  if (account === undefined) return;
  const places = [
    [cluster.binaries.postgres, 'the Postgres binaries', 'Install truespoke in a folder that user can enter'],
    [cluster.dir, 'the data directory', 'Set hub.dataDir to a folder that user can enter'],
  ] as const;
  for (const [file, what, way] of places) {
    const folder = await blockedFolder(file, account);
    if (folder === null) continue;
    throw new Unreachable({
      code: 'embedded_unreachable_folder',
      message: `${folder}: the user ${account.name}, as which Postgres must run here, cannot enter it to reach ${what}`,
      hint: `${way}, allow entering it (chmod o+x ${folder}), run as an ordinary user, or set hub.url.`,
    });
  }
}

/** Makes a new data directory, all or nothing: a killed initdb leaves no half-made directory behind. */
export async function initialise(
  cluster: Cluster,
  options: { readonly superuser: string; readonly password: string | null; readonly durable?: boolean },
): Promise<void> {
  const { binaries, account, dir } = cluster;
  await removeAbandoned(dir);
  const made = await mkdtemp(`${dir}.new-${process.pid}-`);
  const secret = `${made}.secret`;
  try {
    if (account !== undefined) await chown(made, account.uid, account.gid);
    const auth = options.password === null ? ['--auth=trust'] : ['--auth=scram-sha-256', `--pwfile=${secret}`];
    if (options.password !== null) {
      await writeFile(secret, `${options.password}\n`, { mode: 0o600 });
      if (account !== undefined) await chown(secret, account.uid, account.gid);
    }
    // The built-in locale sorts and folds case alike on every machine and after every update of the C library.
    const locale =
      binaries.major >= 17 ? ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'] : ['--locale=C'];
    await runInitdb(cluster, [
      `--pgdata=${made}`,
      `--username=${options.superuser}`,
      '--encoding=UTF8',
      ...locale,
      ...auth,
      ...(options.durable === false ? ['--no-sync'] : []),
    ]);
    await rename(made, dir);
  } catch (error) {
    const taken = ['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '');
    await rm(made, { recursive: true, force: true });
    cluster.signal?.throwIfAborted();
    // Another process made the directory meanwhile: theirs is as good.
    if (taken) return;
    throw startFailure(dir, error instanceof InitdbFailed ? error.stderr : String(error), error);
  } finally {
    await remove(secret);
  }
}

class InitdbFailed extends Error {
  override readonly name = 'InitdbFailed';
  constructor(readonly stderr: string) {
    super('initdb failed');
  }
}

// initdb catches SIGTERM and goes on to its next look, which can take longer than a person waits after Ctrl-C; and the servers that
// it starts do not end with it. So it gets a process group of its own, which dies as a whole.
function runInitdb({ binaries, account, signal }: Cluster, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(binaries.initdb, args, {
      ...identity(account),
      env: environment,
      cwd: '/',
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-16_384)));
    const kill = (): void => {
      try {
        if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It ended by itself.
      }
    };
    if (signal?.aborted === true) kill();
    signal?.addEventListener('abort', kill, { once: true });
    process.once('exit', kill);
    const over = (settle: () => void): void => {
      signal?.removeEventListener('abort', kill);
      process.off('exit', kill);
      settle();
    };
    child.once('error', (error) => over(() => reject(error)));
    child.once('close', (code) => over(() => (code === 0 ? resolve() : reject(new InitdbFailed(stderr)))));
  });
}

/** Half-made directories of processes that were killed within initdb. */
async function removeAbandoned(dir: string): Promise<void> {
  const prefix = `${path.basename(dir)}.new-`;
  for (const name of await readdir(path.dirname(dir))) {
    const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : 0;
    if (pid > 0 && !alive(pid)) await rm(path.join(path.dirname(dir), name), { recursive: true, force: true });
  }
}

export interface RunningPostgres {
  readonly pid: number;
  readonly port: number;
}

/** What postmaster.pid says, or null when there is none. The process may be dead already. */
export async function readPostmaster(dir: string): Promise<(RunningPostgres & { readonly ready: boolean }) | null> {
  const text = await readFile(path.join(dir, 'postmaster.pid'), 'utf8').catch(() => null);
  if (text === null) return null;
  const lines = text.split('\n');
  const [pid, port] = [Number(lines[0]), Number(lines[3])];
  if (!Number.isInteger(pid) || pid <= 0) return null;
  return { pid, port: Number.isInteger(port) ? port : 0, ready: lines[7]?.trim() === 'ready' };
}

export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, but under another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

export interface StartOptions {
  readonly port: number;
  readonly settings: Readonly<Record<string, string>>;
  /** Receives the server's stderr. */
  readonly logFile: string;
  readonly readyMsMax?: number;
}

/** Starts the server and resolves when it takes connections. It outlives this process unless stopped. */
export async function start(cluster: Cluster, options: StartOptions): Promise<RunningPostgres> {
  const log = await open(options.logFile, 'a');
  const from = (await stat(options.logFile)).size;
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    port: String(options.port),
    logging_collector: 'off',
    ...options.settings,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  let child: ChildProcess;
  try {
    child = spawn(cluster.binaries.postgres, ['-D', cluster.dir, ...flags], {
      ...identity(cluster.account),
      env: environment,
      cwd: '/',
      stdio: ['ignore', log.fd, log.fd],
      // An own process group: Ctrl-C in a terminal must reach the engine, which then stops the server last.
      detached: true,
    });
  } finally {
    await log.close();
  }
  let exited = false;
  child.once('exit', () => (exited = true));
  child.once('error', () => (exited = true));
  child.unref();
  const quit = (): void => {
    if (!exited && child.pid !== undefined) process.kill(child.pid, 'SIGQUIT');
  };
  // Until it is ready nobody else uses it: it must not outlive us.
  process.once('exit', quit);
  const until = cluster.clock.monotonic() + (options.readyMsMax ?? 120_000);
  try {
    while (!exited && cluster.signal?.aborted !== true && cluster.clock.monotonic() < until) {
      const now = await readPostmaster(cluster.dir);
      if (now !== null && now.pid === child.pid && now.ready) return { pid: now.pid, port: options.port };
      await cluster.clock.sleep(10);
    }
  } finally {
    process.off('exit', quit);
  }
  quit();
  cluster.signal?.throwIfAborted();
  const said = (await readFile(options.logFile, 'utf8').catch(() => '')).slice(from);
  throw startFailure(cluster.dir, said, undefined, options.port);
}

/** Fast shutdown (open transactions roll back); immediate when that takes too long. Resolves when the process is gone. */
export async function stop(clock: Clock, pid: number, fastMsMax = 10_000): Promise<void> {
  for (const [signal, ms] of [
    ['SIGINT', fastMsMax],
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000],
  ] as const) {
    try {
      process.kill(pid, signal);
    } catch {
      return; // gone already
    }
    const until = clock.monotonic() + ms;
    while (clock.monotonic() < until) {
      if (!alive(pid)) return;
      await clock.sleep(5);
    }
  }
}

/** A port that was free a moment ago; starting may still lose a race for it, then try again. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('no TCP port could be bound'));
        else resolve(address.port);
      });
    });
  });
}

/** Turns what initdb or the server printed into an error with a next step. */
export function startFailure(dir: string, said: string, cause?: unknown, port?: number): TruespokeError {
  const known = failures.find(({ pattern }) => pattern.test(said));
  const last = said.split('\n').filter((line) => /FATAL|ERROR|PANIC|error:|cannot|could not/.test(line));
  const detail = (last.at(0) ?? said.trim().split('\n').at(-1) ?? '')
    .replace(/^.*?(FATAL|ERROR|PANIC|error):\s*/, '')
    .trim();
  const options = {
    code: known?.code ?? 'embedded_start_failed',
    message: `${dir}: ${known?.message(port) ?? 'Postgres did not start'}${detail === '' ? '' : ` (${detail})`}`,
    hint: known?.hint ?? 'Read postgres.log beside the data directory.',
    cause,
  };
  return known?.halts === true ? new Halt(options) : new Unreachable(options);
}

interface Failure {
  readonly code: string;
  readonly pattern: RegExp;
  readonly message: (port: number | undefined) => string;
  readonly hint: string;
  readonly halts?: boolean;
}

const failures: readonly Failure[] = [
  {
    code: 'embedded_port_in_use',
    pattern: /Address already in use|could not create any TCP\/IP sockets/,
    message: (port) => `port ${port ?? '?'} is used by another program`,
    hint: 'Choose another port for the hub, or leave it out to have a free one chosen.',
  },
  {
    code: 'embedded_disk_full',
    pattern: /No space left on device|Disk quota exceeded/,
    message: () => 'the disk is full',
    hint: 'Free space on that file system and start again; nothing was lost.',
  },
  {
    code: 'embedded_other_version',
    pattern: /database files are incompatible with server|was initialized by PostgreSQL version/,
    message: () => 'the data directory was made by another version of Postgres',
    hint: 'Use the release of truespoke that made it, or point hub.dataDir at a new folder and backfill.',
    halts: true,
  },
  {
    code: 'embedded_already_running',
    pattern: /lock file "postmaster\.pid" already exists|pre-existing shared memory block/,
    message: () => 'a Postgres server runs on this data directory already',
    hint: 'Stop the other truespoke, or give this one its own hub.dataDir.',
  },
  {
    code: 'embedded_library_missing',
    pattern: /error while loading shared libraries|Library not loaded/,
    message: () => 'the embedded Postgres lacks a library',
    hint: 'Reinstall with npm ci; without --ignore-scripts if the folder is read-only. Or set hub.url.',
  },
  {
    code: 'embedded_permission',
    pattern: /Permission denied|has wrong ownership|has invalid permissions/,
    message: () => 'the data directory cannot be used by the user that runs Postgres',
    hint: 'Start truespoke as the user that made the directory, or point hub.dataDir elsewhere.',
  },
];
