// Owns the command `npm run bench`: which rows run, how often, on what; prints and keeps what they measured.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { startCluster } from './cluster.js';
import type { Bench, Row } from './harness.js';
import { keep, table } from './report.js';
import { captureLive } from './rows/01-capture.js';
import { backlog } from './rows/02-backlog.js';
import { decoding } from './rows/03-decode.js';
import { backfill } from './rows/04-backfill.js';
import { rescan } from './rows/05-rescan.js';
import { deliverPath } from './rows/06-deliver.js';
import { latency } from './rows/07-latency.js';
import { webhookLatency } from './rows/08-webhook.js';
import { economy } from './rows/09-economy.js';
import { reconcileLocal } from './rows/10-reconcile.js';
import { memory } from './rows/11-memory.js';
import { applications } from './rows/12-applications.js';
import { growth } from './rows/13-growth.js';
import { traceStatements } from './trace.js';

const rows: readonly Row[] = [
  captureLive,
  backlog,
  decoding,
  backfill,
  rescan,
  deliverPath,
  latency,
  webhookLatency,
  economy,
  reconcileLocal,
  memory,
  applications,
  growth,
];

const usage = `npm run bench -- [--quick] [--only 1,4] [--rounds 5] [--scale 0.1] [--trace]

  --quick    smoke run, under two minutes; results go to bench/results/quick and mean nothing
  --only     numbers of rows
  --rounds   repetitions, each side once in each (default 5; quick 1)
  --scale    share of the full record counts (default 1; 10: 0.3, 11: 0.2, 13: 0.06)
  --trace    wall time by statement after each row; results are not kept

rows: ${rows.map((row) => `\n  ${row.number}  ${row.title}`).join('')}
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      rounds: { type: 'string' },
      scale: { type: 'string' },
      trace: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const only = values.only?.split(',').map(Number);
  const chosen = rows.filter((row) => only === undefined || only.includes(row.number));
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 5));
  const scaleOf = ({ usualScale }: Row): number => Number(values.scale ?? usualScale ?? 1);
  if (values.help || chosen.length === 0 || !(rounds >= 1) || !chosen.every((row) => scaleOf(row) > 0)) {
    process.stdout.write(usage);
    return values.help ? 0 : 2;
  }
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  const { quick } = values;
  const report = values.trace ? traceStatements() : null;
  if (values.trace) process.env['BENCH_TRACE'] = '1';
  const cluster = await startCluster();
  let interrupted = false;
  const end = (): void => {
    interrupted = true;
    void cluster.stop().finally(() => process.exit(130));
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end);
  // Whoever reads us may leave first (`| head`): the Postgres must not stay behind.
  process.stdout.once('error', end);
  try {
    for (const row of chosen) {
      say(`\n${row.number}. ${row.title}`);
      const scale = scaleOf(row);
      const size = (full: number, small: number): number => (quick ? small : Math.max(1, Math.round(full * scale)));
      const bench: Bench = { cluster: cluster.url, serverCpuSeconds: cluster.cpuSeconds, quick, rounds, size, say };
      const from = performance.now();
      const figures = await row.run(bench);
      say(`   took ${((performance.now() - from) / 1000).toFixed(1)} s`);
      process.stdout.write(table(row, figures, quick));
      if (report !== null) process.stdout.write(report());
      else
        say(
          `   kept: ${await keep(path.resolve('bench/results'), row, figures, { quick, rounds, scale, postgres: cluster.version })}`,
        );
    }
  } finally {
    if (!interrupted) await cluster.stop();
  }
  return 0;
}

process.exitCode = await main();
