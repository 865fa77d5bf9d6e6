// Owns what the hunts found, kept beside the bugs: at which seed each was caught, by what. caught.json is the state, README.md what a person
// reads of it; the campaign writes both (`--keep`), npm test checks that they agree with each other and with the bugs.
import { readFile, writeFile } from 'node:fs/promises';
import type { PlantedBug } from './bug.js';

export interface Caught {
  readonly bug: string;
  readonly seed: number;
  readonly operations: number;
  readonly violation: string;
  /** Of the engine that it was planted into. */
  readonly commit: string;
}

export const recordFile = new URL('./caught.json', import.meta.url);
export const tableFile = new URL('./README.md', import.meta.url);

export async function readRecord(): Promise<readonly Caught[]> {
  return JSON.parse(await readFile(recordFile, 'utf8')) as Caught[];
}

/** In the place of what was known of the same bug. */
export async function keep(one: Caught, bugs: readonly PlantedBug[]): Promise<void> {
  const others = (await readRecord()).filter(({ bug }) => bug !== one.bug);
  const order = new Map(bugs.map(({ name }, i) => [name, i]));
  const place = ({ bug }: Caught): number => order.get(bug) ?? bugs.length;
  const all = [...others, one].filter(({ bug }) => order.has(bug)).sort((a, b) => place(a) - place(b));
  await writeFile(recordFile, `[\n${all.map((each) => `  ${JSON.stringify(each)}`).join(',\n')}\n]\n`);
  await writeFile(tableFile, tableOf(bugs, all));
}

export function tableOf(bugs: readonly PlantedBug[], record: readonly Caught[]): string {
  const caught = new Map(record.map((one) => [one.bug, one]));
  const rows = bugs.flatMap((bug) => {
    const one = caught.get(bug.name);
    return one === undefined
      ? []
      : [`| ${bug.name} | ${bug.law} | ${one.seed} | ${one.operations} | ${brief(one.violation)} |`];
  });
  const escaped = bugs.filter(({ name }) => !caught.has(name));
  const held = escaped.filter(({ escapes }) => escapes !== undefined);
  const open = escaped.filter(({ escapes }) => escapes === undefined);
  const listed = (title: string, some: readonly PlantedBug[]): readonly string[] =>
    some.length === 0 ? [] : ['', `## ${title}`, '', ...some.map(openLine)];
  return `${[
    '# Planted bugs',
    '',
    'Each is one mistake in the text of the engine, as data. The seeded simulation must break a law with it at a seed that keeps',
    'all laws without it: `npm run simulate:engine -- --bugs [--only NAME,…] [--seeds 200] [--operations 150] [--open] [--keep]`. `--open` leaves out',
    'those that were caught, `--keep` writes this page and `caught.json`, which also names the commit. The engine changes what a seed does: a row tells what was seen once, a new hunt may find the bug elsewhere.',
    '',
    `${rows.length} of ${bugs.length} were caught, each at a seed that keeps every law without it.`,
    '',
    '| bug | breaks | seed | operations | seen as |',
    '|---|---|---|---|---|',
    ...rows,
    ...listed('Held by another rule', held),
    ...listed('Not caught', open),
    '',
    '## Not planted',
    '',
    notPlanted,
  ].join('\n')}\n`;
}

const notPlanted =
  'The world lacks what they need: the mass-deletion breaker off (nobody deletes en masse), an ambiguous match guessed (no two hub rows share a key), a merge undone wrongly.';

const openLine = (bug: PlantedBug): string =>
  `- ${bug.name} (${bug.law}): ${bug.why}. ${bug.escapes ?? 'Not seen caught yet.'}`;

/** Ids and positions differ from run to run. */
function brief(violation: string): string {
  const text = violation
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '…')
    .replace(/\b[0-9A-F]{1,8}\/[0-9A-F]{3,8}\b/g, '…')
    .replace(/\s+/g, ' ')
    .replaceAll('|', '/')
    .trim();
  return text.length > 120 ? `${text.slice(0, 119)}…` : text;
}
