// Owns the Postgres of a run: the embedded one, durable as in production, in a folder of its own that is thrown away. Autovacuum is
// off and checkpoints are far apart: both would fall on one side of a comparison by chance.
import { readdirSync, readFileSync } from 'node:fs';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../src/base/clock.js';
import { findBinaries, serverAccount } from '../src/store/postgres-binaries.js';
import { freePort, initialise, start, stop, type Cluster } from '../src/store/postgres-process.js';

export interface BenchCluster {
  /** Superuser URL without a database. */
  readonly url: string;
  readonly version: string;
  /** CPU of the server and all its processes, ended ones included; NaN outside of Linux. */
  cpuSeconds(): number;
  stop(): Promise<void>;
}

const settings = {
  wal_level: 'logical',
  max_connections: '100',
  max_wal_senders: '10',
  max_replication_slots: '10',
  shared_buffers: '512MB',
  max_wal_size: '8GB',
  checkpoint_timeout: '1h',
  autovacuum: 'off',
  timezone: 'UTC',
};

export async function startCluster(): Promise<BenchCluster> {
  const [binaries, account] = await Promise.all([findBinaries(), serverAccount()]);
  const home = await mkdtemp(path.join(tmpdir(), 'truespoke-bench-'));
  if (account !== undefined) await chown(home, account.uid, account.gid);
  const cluster: Cluster = { binaries, account, dir: path.join(home, 'data'), clock: systemClock };
  await initialise(cluster, { superuser: 'bench', password: null });
  const port = await freePort();
  const { pid } = await start(cluster, { port, settings, logFile: path.join(home, 'log') });
  return {
    url: `postgres://bench@127.0.0.1:${port}`,
    version: binaries.version,
    cpuSeconds: () => treeCpuSeconds(pid),
    async stop() {
      await stop(systemClock, pid);
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** Linux counts a process's time in hundredths of a second. */
const ticksPerSecond = 100;

function treeCpuSeconds(postmaster: number): number {
  let ticks = 0;
  for (const name of namesIn('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = statOf(name);
    if (stat === null) continue;
    const [parent, user, system, endedUser, endedSystem] = [1, 11, 12, 13, 14].map((i) => Number(stat[i])) as [
      number,
      number,
      number,
      number,
      number,
    ];
    if (Number(name) === postmaster) ticks += user + system + endedUser + endedSystem;
    else if (parent === postmaster) ticks += user + system;
  }
  return ticks === 0 ? Number.NaN : ticks / ticksPerSecond;
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Fields after the program's name, which may hold blanks. A process may end while we look. */
function statOf(pid: string): readonly string[] | null {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
  } catch {
    return null;
  }
}
