// Owns the embedded hub: a Postgres in `.truespoke/` that anyone with the folder can start, join and leave; the last to
// leave stops it. Survives SIGKILL of every engine process: a server left running is joined, never started twice.
import { randomBytes } from 'node:crypto';
import { chmod, link, mkdir, readFile, realpath, rename, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { type Clock, systemClock } from '../base/clock.js';
import { Halt, TruespokeError, Unreachable } from '../base/errors.js';
import { findBinaries, remove, serverAccount } from './postgres-binaries.js';
import {
  alive,
  checkReachable,
  type Cluster,
  freePort,
  initialise,
  readPostmaster,
  type RunningPostgres,
  start,
  startFailure,
  stop,
} from './postgres-process.js';

export interface EmbeddedOptions {
  /** Usually `<project>/.truespoke`. Made when missing. */
  readonly directory: string;
  /** Left out: the port of last time, or a free one. */
  readonly port?: number;
  readonly clock?: Clock;
  /** More server settings, for tests and drills. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Aborts the start, and then rejects with its reason; a hub that is open stays open. */
  readonly signal?: AbortSignal;
}

export interface EmbeddedHub {
  /** With user and password: never log it. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly dataDirectory: string;
  /** e.g. `18.4` */
  readonly version: string;
  /** True when a server that another process started was joined. */
  readonly joined: boolean;
  /** Leaves; the last to leave stops the server (fast shutdown, open transactions roll back). */
  close(): Promise<void>;
}

const superuser = 'truespoke';
const database = 'truespoke';
/** Held shared by every process that uses the server, exclusively by the one that stops it. "tspk" */
const presence = 0x7473706b;
const logBytesMax = 16 * 1024 * 1024;

const hubSettings: Readonly<Record<string, string>> = {
  wal_level: 'logical',
  max_connections: '100',
  max_wal_senders: '10',
  max_replication_slots: '10',
  shared_buffers: '128MB',
  // An engine that is away for long must not fill the disk; losing the slot is detected and answered with a reconcile.
  max_slot_wal_keep_size: '10GB',
  timezone: 'UTC',
  log_timezone: 'UTC',
};

interface Remembered {
  readonly password: string;
  readonly port: number | null;
}

/** Starts or joins the hub in `directory`. Rejects with an error that says what to do; then nothing was left running. */
export async function openEmbedded(options: EmbeddedOptions): Promise<EmbeddedHub> {
  const clock = options.clock ?? systemClock;
  const directory = path.resolve(options.directory);
  const dir = path.join(directory, 'postgres');
  await makeFolder(directory);
  const [binaries, account] = await Promise.all([findBinaries(), serverAccount(dir)]);
  const cluster: Cluster = { binaries, account, dir, clock, signal: options.signal };
  await checkReachable(cluster);
  const remembered = await recall(directory, dir);
  for (let attempt = 1; ; attempt += 1) {
    options.signal?.throwIfAborted();
    try {
      const joined = await findRunning(cluster);
      const running = joined ?? (await startServer(cluster, directory, remembered, options));
      return await enter(cluster, running, remembered.password, joined !== null);
    } catch (error) {
      // Two processes may start, or one stop, at the same moment: look again. Backends of a killed server need a moment.
      const code = error instanceof TruespokeError ? error.code : '';
      if (attempt >= 50 || !['embedded_already_running', 'embedded_leaving'].includes(code)) throw error;
      await clock.sleep(200);
    }
  }
}

async function makeFolder(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o755 });
  } catch (error) {
    throw startFailure(
      directory,
      `error: ${(error as Error).message.replace('EACCES: permission denied', 'Permission denied')}`,
      error,
    );
  }
}

/** Password and port of last time. Written before the data directory exists, so that one never exists without the other. */
async function recall(directory: string, dir: string): Promise<Remembered> {
  const file = path.join(directory, 'hub.json');
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new Unreachable({
      code: 'embedded_permission',
      message: `${file}: cannot be read (${(error as Error).message})`,
      hint: 'Start truespoke as the user that made the directory, or point hub.dataDir elsewhere.',
      cause: error,
    });
  });
  if (text === null && (await stat(path.join(dir, 'PG_VERSION')).catch(() => null)) !== null) {
    throw new Halt({
      code: 'embedded_password_missing',
      message: `${file}: missing, and it holds the password of the data directory beside it`,
      hint: 'Restore the file, or move the directory away to start with an empty hub.',
    });
  }
  if (text !== null) return parseRemembered(file, text);
  const fresh: Remembered = { password: randomBytes(24).toString('hex'), port: null };
  const draft = `${file}.${randomBytes(4).toString('hex')}`;
  await writeFile(draft, `${JSON.stringify(fresh)}\n`, { mode: 0o600 });
  // A link, not a rename: when two processes start at once, the password of the first must stand.
  await link(draft, file).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  });
  await remove(draft);
  return parseRemembered(file, await readFile(file, 'utf8'));
}

function parseRemembered(file: string, text: string): Remembered {
  try {
    const { password, port } = JSON.parse(text) as Record<string, unknown>;
    if (typeof password === 'string' && /^[0-9a-f]{16,}$/.test(password)) {
      return { password, port: typeof port === 'number' ? port : null };
    }
  } catch {
    // Falls through to the one error for every kind of damage.
  }
  throw new Halt({
    code: 'embedded_password_missing',
    message: `${file}: is damaged; it must hold {"password", "port"}`,
    hint: 'Restore the file, or move the directory away to start with an empty hub.',
  });
}

async function remember(directory: string, what: Remembered): Promise<void> {
  const file = path.join(directory, 'hub.json');
  const next = `${file}.${randomBytes(4).toString('hex')}`;
  await writeFile(next, `${JSON.stringify(what)}\n`, { mode: 0o600 });
  await rename(next, file);
}

/** The server that runs on this directory already, or null. A pid file left by a crash is no server. */
async function findRunning(cluster: Cluster): Promise<RunningPostgres | null> {
  const until = cluster.clock.monotonic() + 60_000;
  for (;;) {
    const found = await readPostmaster(cluster.dir);
    if (found === null || !alive(found.pid)) return null;
    const name = await readFile(`/proc/${found.pid}/comm`, 'utf8').catch(() => 'postgres');
    if (name.trim() !== 'postgres') {
      // The machine restarted and another program got the pid: Postgres alone would refuse to start for it.
      await remove(path.join(cluster.dir, 'postmaster.pid'));
      return null;
    }
    if (found.ready) return found;
    if (cluster.clock.monotonic() > until) throw startFailure(cluster.dir, 'lock file "postmaster.pid" already exists');
    await cluster.clock.sleep(20);
  }
}

async function startServer(
  cluster: Cluster,
  directory: string,
  remembered: Remembered,
  options: EmbeddedOptions,
): Promise<RunningPostgres> {
  const version = await readFile(path.join(cluster.dir, 'PG_VERSION'), 'utf8').catch(() => null);
  if (version === null) {
    await initialise(cluster, { superuser, password: remembered.password });
  } else if (Number.parseInt(version, 10) !== cluster.binaries.major) {
    throw new Halt({
      code: 'embedded_other_version',
      message: `${cluster.dir}: was made by Postgres ${version.trim()}, and this truespoke brings Postgres ${cluster.binaries.major}`,
      hint: 'Use the release of truespoke that made it, or move the directory away and backfill into an empty hub.',
    });
  }
  const logFile = path.join(directory, 'postgres.log');
  if (((await stat(logFile).catch(() => null))?.size ?? 0) > logBytesMax) await truncate(logFile);
  const settings = { ...hubSettings, ...options.settings };
  let port = options.port ?? remembered.port ?? (await freePort());
  for (let attempt = 1; ; attempt += 1) {
    try {
      const running = await start(cluster, { port, settings, logFile });
      await chmod(logFile, 0o600);
      await remember(directory, { password: remembered.password, port });
      return running;
    } catch (error) {
      const taken = error instanceof TruespokeError && error.code === 'embedded_port_in_use';
      if (!taken || options.port !== undefined || attempt >= 5) throw error;
      port = await freePort();
    }
  }
}

/** Takes a place among the users of the server, makes the database on first use. */
async function enter(
  cluster: Cluster,
  running: RunningPostgres,
  password: string,
  joined: boolean,
): Promise<EmbeddedHub> {
  const urlOf = (name: string): string => `postgres://${superuser}:${password}@127.0.0.1:${running.port}/${name}`;
  let keeper = await connectKeeper(urlOf('postgres'), cluster.dir);
  try {
    await keeper.query('SELECT pg_advisory_lock_shared($1)', [presence]);
    const { rowCount } = await keeper.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
    if (rowCount === 0) await createDatabase(keeper);
  } catch (error) {
    await keeper.end().catch(() => undefined);
    throw leaving(cluster.dir, error);
  }
  let closed: Promise<void> | undefined;
  const leave = async (): Promise<void> => {
    const left = await keeper.query('SELECT pg_advisory_unlock_shared($1)', [presence]).catch(() => null);
    // The keeper's connection broke since (crash recovery of the server): ask over a new one.
    if (left === null) keeper = await connectKeeper(urlOf('postgres'), cluster.dir);
    const { rows } = await keeper.query('SELECT pg_try_advisory_lock($1) AS last', [presence]);
    const last = (rows[0] as { last?: boolean } | undefined)?.last === true;
    const now = await readPostmaster(cluster.dir);
    if (last && now !== null) await stop(cluster.clock, now.pid);
    await keeper.end().catch(() => undefined);
  };
  return {
    url: urlOf(database),
    port: running.port,
    pid: running.pid,
    dataDirectory: cluster.dir,
    version: cluster.binaries.version,
    joined,
    // A server that is gone already needs no stopping.
    close: () => (closed ??= leave().catch(() => undefined)),
  };
}

async function connectKeeper(connectionString: string, dir: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString,
    application_name: 'truespoke keeper',
    connectionTimeoutMillis: 10_000,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query('SHOW data_directory');
    const where = (rows[0] as { data_directory?: string } | undefined)?.data_directory;
    // Through a symlink the same directory has two names.
    if (where === undefined || (await realpath(where)) !== (await realpath(dir)))
      throw new Error(`the server on that port uses ${where ?? 'another directory'}`);
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw leaving(dir, error);
  }
}

async function createDatabase(keeper: pg.Client): Promise<void> {
  await keeper.query(`CREATE DATABASE ${database}`).catch((error: unknown) => {
    // Another process was first.
    if (!['42P04', '23505'].includes((error as { code?: string }).code ?? '')) throw error;
  });
}

/** A server that is just stopping refuses or drops us; anything else is reported as it is. */
function leaving(dir: string, error: unknown): TruespokeError {
  const code = (error as { code?: string }).code ?? '';
  const stopping = code.startsWith('57P') || /^ECONN/.test(code) || /terminated/i.test((error as Error).message);
  return new Unreachable({
    code: stopping ? 'embedded_leaving' : code === '28P01' ? 'embedded_wrong_password' : 'embedded_connect_failed',
    message: `${dir}: cannot connect to the embedded Postgres (${(error as Error).message})`,
    hint:
      code === '28P01'
        ? 'hub.json beside it holds another password than the server: restore the right one.'
        : 'Read postgres.log beside the data directory.',
    cause: error,
  });
}
