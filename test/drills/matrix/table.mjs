// Owns how the rows of the drills are shown: for a terminal, and as the page docs/drills.md.

const survived = ({ verdict }) => verdict === 'survived';
const number = ({ name }) => Number(/\d+/.exec(name)?.[0] ?? 0);
const ms = (value) => (typeof value === 'number' ? `${value}` : '');

/** Rows of a vitest JSON report, by number of the fault. */
export function rowsOf({ testResults }) {
  return testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status === 'passed' || status === 'failed')
    .map(({ title, status, duration, meta, failureMessages }) => ({
      name: title,
      ...meta.drill,
      took: Math.round(duration ?? 0),
      verdict: status === 'passed' ? 'survived' : 'FAILED',
      ...(status === 'passed' ? {} : { why: failureMessages.join('\n').slice(0, 8_000) }),
    }));
}

export function sorted(rows) {
  return rows.toSorted((a, b) => number(a) - number(b) || a.name.localeCompare(b.name));
}

function summary(rows) {
  const failed = rows.filter((row) => !survived(row)).length;
  const measured = rows.flatMap(({ recovery }) => own(recovery) ?? []).sort((a, b) => a - b);
  const at = (share) => measured[Math.min(measured.length - 1, Math.floor(measured.length * share))] ?? 0;
  const times = measured.length === 0 ? '' : `; recovery: median ${at(0.5)} ms, slowest ${at(1)} ms`;
  return `${rows.length} drills, ${failed} failed${times}`;
}

const cellsOf = ({ name, fault, point, spoke, hit, recovery, verdict }) =>
  fault === undefined
    ? [name, '', '', '', '', '', '', '', verdict]
    : [fault, point, spoke, `${hit}`, ...times.map((of) => ms(of(recovery))), verdict];

/** Without what other programs of the machine took: the engine's own way. */
const own = (recovery) => (recovery ? recovery.ms - (recovery.queuedMs ?? 0) : undefined);
const times = [own, (recovery) => recovery?.ms, (recovery) => recovery?.upMs, (recovery) => recovery?.cpuMs];
const heads = ['fault', 'point', 'spoke', 'hit', 'recovered ms', 'with queue', 'up ms', 'CPU ms', 'verdict'];

export function forTerminal(rows) {
  const table = [heads, ...rows.map(cellsOf)];
  const widths = heads.map((_, i) => Math.max(...table.map((row) => row[i].length)));
  const lines = table.map((row) => row.map((cell, i) => cell.padEnd(widths[i])).join('  '));
  const failures = rows.filter((row) => !survived(row)).map(({ name, why }) => `\n${name}\n${why}\n`);
  return `\n${lines.map((line) => line.trimEnd()).join('\n')}\n\n${summary(rows)}\n${failures.join('')}`;
}

/** The page. `machine`: one line; `date`: ISO day. Hits of one point and spoke share a row. */
export function asMarkdown(rows, { machine, date, note }) {
  const groups = new Map();
  for (const row of rows) {
    const key = row.fault === undefined ? row.name : `${row.fault} ${row.point} ${row.spoke}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const lines = [...groups.values()].map((group) => {
    const [{ fault = group[0].name, point = '', spoke = '' }] = group;
    const list = (pick) => group.map((row) => ms(pick(row)) || '–').join(' / ');
    const verdict = group.every(survived)
      ? 'survived'
      : `${group.filter((row) => !survived(row)).length} of ${group.length} **failed**`;
    const hits = group.map(({ hit }) => hit ?? 1).join(', ');
    const shown = times.map((of) => list(({ recovery }) => of(recovery)));
    return `| ${[fault, point, spoke, hits, ...shown, verdict].join(' | ')} |`;
  });
  return `${preface}
${machine}, ${date}: ${summary(rows)}.${note === '' ? '' : ` ${note}`}

| fault | where it dies | spoke | passings | recovered ms | with queue | up ms | CPU ms | verdict |
|---|---|---|---|---|---|---|---|---|
${lines.join('\n')}
`;
}

const preface = `# kill -9, point by point

Written by \`npm run drills -- --markdown docs/drills.md\`: do not edit.

Each drill starts the real program against a real Postgres and both simulated systems, kills it (SIGKILL) at a named point of the code, at the first, second or third passing, starts it again, and judges by the
ledgers of the simulated systems: every effect that was asked for is there, once, and none that nobody asked for; every change is in the journal once; nothing is parked, in conflict or left on its way.

- *recovered*: from the start of the next process until the hub and both spokes agree again, without the time that this process stood in the queue for a processor because other programs had it; at most 5,000 ms.
  *with queue*: by the clock on the wall. *up*: how much of that passed until the process announced itself. *CPU*: what it computed; the rest it waited for Postgres and the simulated systems.
- Where the systems agreed already when it died (F19, F20), recovery is little more than the start; what else must be so (a bulk job is not submitted again, the reconciler goes on behind its last key) each drill
  asserts besides.
- *both*: the stream of the hub is one for all spokes, and so are the migrations. What dies there (F1–F6, F23) dies before there is a delivery to any spoke: each drill is one death for both, and both ledgers are judged.
- F16 and F17 are Shopify's (Salesforce sends no webhooks; its stream is only a hint, and polling stands behind it), F18, F19 and F21 Salesforce's (the only one of the two with bulk writes and rotating tokens).
`;
