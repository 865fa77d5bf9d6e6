// Owns the one Postgres cluster of a test run: copied from a cached initdb, started before the first file, thrown away after
// the last. Clusters of runs that were killed are swept at the next start.
import { execFile } from 'node:child_process';
import { chown, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';
import { systemClock } from '../../src/base/clock.js';
import { binariesIn, findBinaries, serverAccount } from '../../src/store/postgres-binaries.js';
import {
  alive,
  type Cluster,
  freePort,
  initialise,
  readPostmaster,
  start,
  stop,
} from '../../src/store/postgres-process.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** Superuser URL of the run's cluster, without a database name. */
    readonly postgresUrl: string;
    /** Its data directory. */
    readonly postgresDir: string;
  }
}

const run = promisify(execFile);
const root = path.join(tmpdir(), `truespoke-test-${userInfo().uid}`);

export const testSettings = {
  wal_level: 'logical',
  autovacuum: 'off',
  fsync: 'off',
  synchronous_commit: 'off',
  // A commit becomes visible to the stream when the WAL writer has been by.
  wal_writer_delay: '10ms',
  full_page_writes: 'off',
  max_connections: '200',
  max_wal_senders: '50',
  max_replication_slots: '50',
  shared_buffers: '64MB',
  max_wal_size: '2GB',
};

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const running = await startTestCluster();
  project.provide('postgresUrl', running.url);
  project.provide('postgresDir', running.dir);
  return running.stop;
}

export interface TestCluster {
  readonly url: string;
  readonly dir: string;
  readonly pid: number;
  readonly port: number;
  readonly cluster: Cluster;
  stop(): Promise<void>;
}

/** A cluster of its own, e.g. for a test that kills the server. Costs about 200 ms. */
export async function startTestCluster(settings: Readonly<Record<string, string>> = {}): Promise<TestCluster> {
  // Another version than the embedded one: TEST_POSTGRES=/usr/lib/postgresql/15/bin
  const other = process.env['TEST_POSTGRES'];
  const [binaries, account] = await Promise.all([
    other === undefined ? findBinaries() : binariesIn(other),
    serverAccount(),
  ]);
  await mkdir(root, { recursive: true, mode: 0o755 });
  await sweep();
  const template = path.join(root, `template-${binaries.version}`);
  if (
    !(await readdir(template).then(
      (names) => names.includes('PG_VERSION'),
      () => false,
    ))
  ) {
    await initialise(
      { binaries, account, dir: template, clock: systemClock },
      { superuser: 'postgres', password: null, durable: false },
    )
      // Another run made it at the same time: theirs is as good.
      .catch((error: unknown) => readFile(path.join(template, 'PG_VERSION')).catch(() => Promise.reject(error)));
  }
  const home = await mkdtemp(path.join(root, 'run-'));
  await writeFile(path.join(home, 'owner'), String(process.pid));
  if (account !== undefined) await chown(home, account.uid, account.gid);
  const dir = path.join(home, 'data');
  await run('cp', ['-R', template, dir], account === undefined ? {} : { uid: account.uid, gid: account.gid });
  const cluster: Cluster = { binaries, account, dir, clock: systemClock };
  const { pid, port } = await startOnFreePort(cluster, path.join(home, 'log'), {
    unix_socket_directories: home,
    ...settings,
  });
  return {
    url: `postgres://postgres@127.0.0.1:${port}`,
    dir,
    pid,
    port,
    cluster,
    async stop() {
      const now = await readPostmaster(dir);
      await stop(systemClock, now?.pid ?? pid, 3_000);
      await rm(home, { recursive: true, force: true });
    },
  };
}

async function startOnFreePort(
  cluster: Cluster,
  logFile: string,
  settings: Readonly<Record<string, string>>,
): Promise<{ pid: number; port: number }> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start(cluster, { port: await freePort(), settings: { ...testSettings, ...settings }, logFile });
    } catch (error) {
      if (attempt >= 5 || (error as { code?: string }).code !== 'embedded_port_in_use') throw error;
    }
  }
}

/** Stops and removes the clusters of test runs that died without stopping theirs. */
async function sweep(): Promise<void> {
  for (const name of await readdir(root)) {
    if (!name.startsWith('run-')) continue;
    const home = path.join(root, name);
    const owner = Number(await readFile(path.join(home, 'owner'), 'utf8').catch(() => '0'));
    if (owner === 0 || alive(owner)) continue;
    // Claim by renaming, so that two runs never sweep the same cluster.
    const claimed = `${home}.swept-${process.pid}`;
    if (
      !(await rename(home, claimed).then(
        () => true,
        () => false,
      ))
    )
      continue;
    const postmaster = await readPostmaster(path.join(claimed, 'data'));
    if (postmaster !== null && alive(postmaster.pid)) await stop(systemClock, postmaster.pid, 1_000);
    await rm(claimed, { recursive: true, force: true });
  }
}
