// Owns what is printed and what is kept of a run: a table for people, one JSON file a row for machines. Judges only full runs.
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { machine, type Figure, type Goal, type Row, type Series } from './harness.js';

export interface RunFacts {
  readonly quick: boolean;
  readonly rounds: number;
  readonly scale: number;
  readonly postgres: string;
}

const roundsMin = 3;

export async function keep(folder: string, row: Row, figures: readonly Figure[], facts: RunFacts): Promise<string> {
  // What is no full run must never stand where a figure is looked for.
  const full = !facts.quick && facts.scale >= (row.usualScale ?? 1) && facts.rounds >= roundsMin;
  const place = path.join(folder, ...(full ? [] : ['quick']));
  await mkdir(place, { recursive: true });
  const file = path.join(place, `${row.name}.json`);
  const judged = figures.map((figure) => ({ ...figure, holds: facts.quick ? null : holds(figure) }));
  const result = {
    row: row.number,
    title: row.title,
    at: new Date().toISOString(),
    ...facts,
    machine: machine(),
    figures: judged,
  };
  await writeFile(file, `${JSON.stringify(result, null, 2)}\n`);
  return file;
}

/** The median decides; null where there is no goal. */
export function holds({ goal, ratio, ours }: Figure): boolean | null {
  if (goal === null) return null;
  const { median } = ratio ?? ours;
  return goal.bound === 'at least' ? median >= goal.value : median <= goal.value;
}

export function table(row: Row, figures: readonly Figure[], quick: boolean): string {
  const head = `\n${row.number}. ${row.title}\n`;
  return head + figures.map((figure) => line(figure, quick)).join('');
}

function line(figure: Figure, quick: boolean): string {
  const { what, unit, ours, reference, ratio, cpuRatio, goal, note } = figure;
  const parts = [`   ${what}: ${spread(ours)} ${unit}`];
  if (reference !== null) parts.push(`${reference.name}: ${spread(reference.series)}`);
  if (ratio !== null) parts.push(`ratio ${spread(ratio)}`);
  if (cpuRatio !== undefined) parts.push(`CPU × ${spread(cpuRatio)}`);
  if (goal !== null) parts.push(`goal ${goalText(goal)}${quick ? '' : holds(figure) === true ? ' holds' : ' MISSED'}`);
  return `${parts.join(' | ')}${note === undefined ? '' : `\n      ${note}`}\n`;
}

const goalText = (goal: Goal): string => `${goal.bound === 'at least' ? '≥' : '≤'} ${goal.value}`;

function spread({ median, min, max }: Series): string {
  return min === max ? short(median) : `${short(median)} [${short(min)}–${short(max)}]`;
}

function short(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en');
  return Number(value.toPrecision(3)).toString();
}
