// Owns the processes of the long run: one bundle of plain code (what a test runner does to every import was a fifth of a run), a process
// for each share. Where there are as many of them as cores, each stays on one with its Postgres: the two take turns, and waking somebody
// on another core costs more than most statements.
import { spawn, spawnSync } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'vite';

// A run makes little that lasts and much that does not: a fifth of its time went to collecting it, half of that on other threads, which is
// no gain where every core has a worker.
const nodeOptions = [
  '--enable-source-maps',
  '--min-semi-space-size=64',
  '--max-semi-space-size=64',
  '--initial-old-space-size=1024',
  '--single-threaded-gc',
];

/** Resolves with the exit code: 0 = every seed of every share kept every law. */
export async function runWorkers({ workers, env }) {
  const bundle = path.resolve('node_modules/.cache', `truespoke-simulation-${process.pid}`);
  Object.assign(process.env, { SIM_BUG: env.SIM_BUG, SIM_BUNDLE: bundle });
  try {
    await build({ configFile: 'test/simulation/long/vite.config.ts' });
    const cores = await coresFor(workers);
    const shares = Array.from({ length: workers }, (_, share) => runShare(share, { bundle, cores, env }));
    return Math.max(...(await Promise.all(shares)));
  } finally {
    await rm(bundle, { recursive: true, force: true });
  }
}

function runShare(share, { bundle, cores, env }) {
  const node = [process.execPath, ...nodeOptions, path.join(bundle, 'worker.js')];
  const core = cores[share % cores.length];
  const [command, ...rest] = core === undefined ? node : ['taskset', '-c', core, ...node];
  const child = spawn(command, rest, { stdio: 'inherit', env: { ...env, SIM_SHARE: String(share) } });
  // Who stops the run stops its shares.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

/** Those that we may use; none where the workers do not fill them, or where nobody can be told to stay. */
async function coresFor(workers) {
  if (spawnSync('taskset', ['--version']).status !== 0) return [];
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? '';
  const cores = list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => String(first + i));
  });
  return workers >= cores.length ? cores : [];
}
