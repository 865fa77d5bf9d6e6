// `npm run drills -- [--only F8] [--spoke shopify] [--hits 3] [--workers 2] [--limit 5000] [--json]`: kill -9 at every point of the
// catalogue, against real processes. Prints a row for each death and exits 1 when one of them was not survived.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    spoke: { type: 'string', default: '' },
    hits: { type: 'string', default: '3' },
    workers: { type: 'string', default: '2' },
    limit: { type: 'string', default: '5000' },
    json: { type: 'boolean', default: false },
  },
});

const folder = await mkdtemp(join(tmpdir(), 'truespoke-drills-'));
const report = join(folder, 'report.json');
// A test's name begins with its fault and names its spoke.
const wanted = [values.only && `${values.only}\\b`, values.spoke].filter(Boolean).join('.*');
const run = spawn(
  process.execPath,
  [
    'node_modules/vitest/vitest.mjs',
    'run',
    ...['--config', 'test/drills/matrix/vitest.config.ts'],
    ...['--reporter', 'json', '--outputFile.json', report],
    ...(values.json ? [] : ['--reporter', 'dot']),
    ...(wanted === '' ? [] : ['-t', wanted]),
  ],
  {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      DRILL_HITS: values.hits,
      DRILL_WORKERS: values.workers,
      DRILL_LIMIT_MS: values.limit,
    },
  },
);
const code = await new Promise((resolve) => run.on('exit', (ended) => resolve(ended ?? 1)));

const { testResults } = JSON.parse(await readFile(report, 'utf8'));
await rm(folder, { recursive: true, force: true });
const order = ({ name }) => Number(/\d+/.exec(name)?.[0] ?? 0);
const rows = testResults
  .flatMap(({ assertionResults }) => assertionResults)
  .filter(({ status }) => status === 'passed' || status === 'failed')
  .map(({ title, status, duration, meta, failureMessages }) => ({
    name: title,
    ...(meta.drill ?? {}),
    took: Math.round(duration ?? 0),
    verdict: status === 'passed' ? 'survived' : 'FAILED',
    ...(status === 'passed' ? {} : { why: failureMessages.join('\n').slice(0, 2_000) }),
  }))
  .sort((a, b) => order(a) - order(b) || a.name.localeCompare(b.name));

const failed = rows.filter(({ verdict }) => verdict !== 'survived');
if (values.json) process.stdout.write(`${JSON.stringify({ drills: rows, failed: failed.length }, null, 2)}\n`);
else {
  const table = [['fault', 'point', 'spoke', 'hit', 'recovered', 'verdict']];
  for (const { name, fault, point, spoke, hit, recoveredMs, verdict } of rows) {
    const recovered = typeof recoveredMs === 'number' ? `${recoveredMs} ms` : '';
    table.push(
      fault === undefined ? [name, '', '', '', '', verdict] : [fault, point, spoke, `${hit}`, recovered, verdict],
    );
  }
  const widths = table[0].map((_, i) => Math.max(...table.map((row) => (row[1] === '' ? 0 : row[i].length))));
  const lines = table.map((row) =>
    row[1] === '' ? `${row[0]}  ${row[5]}` : row.map((cell, i) => cell.padEnd(widths[i])).join('  '),
  );
  const worst = Math.max(0, ...rows.map(({ recoveredMs }) => recoveredMs ?? 0));
  const summary = `${rows.length} drills, ${failed.length} failed; slowest recovery ${worst} ms`;
  process.stdout.write(`\n${lines.map((line) => line.trimEnd()).join('\n')}\n\n${summary}\n`);
  for (const { name, why } of failed) process.stdout.write(`\n${name}\n${why}\n`);
}
process.exit(code === 0 && failed.length === 0 ? 0 : 1);
