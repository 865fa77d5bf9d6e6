// Owns the Postgres of a run: the embedded one, durable as in production, in a folder of its own that is thrown away. Autovacuum is
// off and checkpoints are far apart: both would fall on one side of a comparison by chance.
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
    async stop() {
      await stop(systemClock, pid);
      await rm(home, { recursive: true, force: true });
    },
  };
}
