// `npm run drills -- [--only F8] [--spoke shopify] [--hits 3] [--workers 2] [--limit 5000] [--json] [--markdown docs/drills.md]`: kill -9 at
// every point of the catalogue, against real processes. Prints a row for each death and exits 1 when one of them was not survived.
// `--only` takes several faults (F8,F9). `--from a.json,b.json` takes rows of earlier `--json` runs instead of running; later files win. `--note`: a word on the run for the page.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { asMarkdown, forTerminal, rowsOf, sorted } from './table.mjs';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    spoke: { type: 'string', default: '' },
    hits: { type: 'string', default: '3' },
    workers: { type: 'string', default: '2' },
    limit: { type: 'string', default: '5000' },
    json: { type: 'boolean', default: false },
    markdown: { type: 'string' },
    from: { type: 'string' },
    note: { type: 'string', default: '' },
  },
});

async function run() {
  const folder = await mkdtemp(join(tmpdir(), 'truespoke-drills-'));
  const report = join(folder, 'report.json');
  // A test's name begins with its fault and names its spoke.
  const faults = values.only === '' ? '' : `\\b(${values.only.split(',').join('|')})\\b`;
  const wanted = [faults, values.spoke].filter(Boolean).join('.*');
  const args = [
    ...['run', '--config', 'test/drills/matrix/vitest.config.ts'],
    ...['--reporter', 'json', '--outputFile.json', report],
    ...(values.json ? [] : ['--reporter', 'dot']),
    ...(wanted === '' ? [] : ['-t', wanted]),
  ];
  const settings = { DRILL_HITS: values.hits, DRILL_WORKERS: values.workers, DRILL_LIMIT_MS: values.limit };
  const child = spawn(process.execPath, ['node_modules/vitest/vitest.mjs', ...args], {
    stdio: ['ignore', values.json ? 2 : 'inherit', 'inherit'],
    env: { ...process.env, ...settings },
  });
  const code = await new Promise((resolve) => child.on('exit', (ended) => resolve(ended ?? 1)));
  const rows = rowsOf(JSON.parse(await readFile(report, 'utf8')));
  await rm(folder, { recursive: true, force: true });
  return { rows, code };
}

async function load(files) {
  const byName = new Map();
  for (const file of files) {
    const { drills } = JSON.parse(await readFile(file, 'utf8'));
    for (const row of drills) byName.set(row.name, row);
  }
  return { rows: [...byName.values()], code: 0 };
}

const done = values.from === undefined ? await run() : await load(values.from.split(','));
const rows = sorted(done.rows);
const failed = rows.filter(({ verdict }) => verdict !== 'survived').length;
if (values.markdown !== undefined) {
  const gibibytes = Math.round(totalmem() / 2 ** 30);
  const machine = `${cpus().length} processors (${cpus()[0]?.model ?? process.arch}), ${gibibytes} GiB, load ${Math.round(loadavg()[2])}, Node ${process.version}`;
  const date = new Date().toISOString().slice(0, 10);
  await writeFile(values.markdown, asMarkdown(rows, { machine, date, note: values.note }));
}
process.stdout.write(values.json ? `${JSON.stringify({ drills: rows, failed }, null, 2)}\n` : forTerminal(rows));
process.exit(done.code === 0 && failed === 0 ? 0 : 1);
