// Owns how results and errors look. Colour only where a person watches and did not forbid it (NO_COLOR, TERM=dumb);
// an error is its place, its cause and the next step, and shows a stack only when asked.
import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';
import colours from 'picocolors';
import {
  formatProblem,
  Problems,
  RateLimited,
  Retriable,
  SpokePaused,
  TruespokeError,
  Unreachable,
  ConfigError,
  type ErrorPlace,
  type ExitCode,
  type Problem,
} from '../base/errors.js';
import type { Io, Output } from './io.js';

export type Paint = ReturnType<typeof colours.createColors>;

export function paintFor(output: Output, env: Io['env']): Paint {
  const forced = env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '0' && env['FORCE_COLOR'] !== '';
  const forbidden = (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  return colours.createColors(!forbidden && (forced || output.terminal));
}

/** 2: wrong usage or configuration; 3: something cannot be reached or does not let us in; 1: everything else. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof ConfigError || error instanceof Problems) return 2;
  if (error instanceof Unreachable || error instanceof SpokePaused) return 3;
  if (error instanceof Retriable || error instanceof RateLimited) return 3;
  return 1;
}

export interface ErrorView {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
  readonly place: ErrorPlace;
  readonly problems: readonly Problem[];
}

/** What `--json` prints under `error`. */
export function errorView(error: unknown): ErrorView {
  if (error instanceof TruespokeError) {
    const problems = error instanceof Problems ? error.problems : [];
    return { code: error.code, message: error.message, hint: error.hint ?? null, place: error.place, problems };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'unexpected', message, hint: unexpectedHint, place: {}, problems: [] };
}

const unexpectedHint = 'This is a defect of Truespoke. Run again with --verbose and report what it shows.';

export function renderError(error: unknown, paint: Paint, verbose: boolean): string {
  const stack = verbose && error instanceof Error ? `\n${paint.dim(stackOf(error))}` : '';
  if (error instanceof Problems) {
    const count = error.problems.length;
    const lines = error.problems.map((problem) => renderProblem(problem, paint));
    return `${lines.join('\n')}\n${paint.red(`${count} problem${count === 1 ? '' : 's'}`)}${stack}`;
  }
  const { message, hint, place } = errorView(error);
  const where = placeText(place);
  const next = hint === null ? '' : `\n  ${paint.cyan('next:')} ${hint}`;
  return `${paint.red('error:')} ${where === '' ? '' : `${paint.bold(where)}: `}${message}${next}${stack}`;
}

/** `file:line:column: message` with the hint below, so that an editor can jump to it. */
export function renderProblem(problem: Problem, paint: Paint): string {
  const [first = '', ...rest] = formatProblem(problem).split('\n');
  const cut = first.length - problem.message.split('\n')[0]!.length;
  const place = first.slice(0, Math.max(0, cut));
  return [`${paint.bold(place)}${first.slice(Math.max(0, cut))}`, ...rest.map((line) => paint.dim(line))].join('\n');
}

function placeText(place: ErrorPlace): string {
  const file = [place.file, place.line, place.column].filter((part) => part !== undefined).join(':');
  const subject = [place.spoke, place.entity, place.record].filter((part) => part !== undefined).join(' ');
  return [file, subject].filter((part) => part !== '').join(' ');
}

function stackOf(error: Error): string {
  const own = error.stack ?? String(error);
  return error.cause instanceof Error ? `${own}\ncaused by ${stackOf(error.cause)}` : own;
}

export interface Column {
  readonly head: string;
  readonly right?: boolean;
}

/** Characters a line may have. A file or pipe has no edge: there one record stays one line. */
export const widthOf = (output: Output): number => (output.terminal ? output.columns : Infinity);

/**
 * A table without walls: it reads well, copies well and greps well. Where it is wider than the terminal, each row becomes a paragraph
 * of its filled cells, headed by its first cell.
 */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  paint: Paint,
  width = Infinity,
): string {
  const table = wideTable(columns, rows, paint);
  const widest = Math.max(...table.split('\n').map((line) => visibleLength(line)));
  return widest <= width ? table : rows.map((row) => paragraph(columns, row, paint, width)).join('\n');
}

const visibleLength = (text: string): number => stripVTControlCharacters(text).length;

function paragraph(columns: readonly Column[], row: readonly string[], paint: Paint, width: number): string {
  const [first = '', ...rest] = row;
  const lines = [paint.bold(first)];
  let line = ' ';
  rest.forEach((cell, i) => {
    if (cell === '') return;
    const part = ` ${paint.dim(columns[i + 1]?.head ?? '')} ${cell}`;
    if (visibleLength(line) > 1 && visibleLength(line) + 2 + visibleLength(part) > width) {
      lines.push(line);
      line = ' ';
    }
    line += visibleLength(line) > 1 ? ` ${part}` : part;
  });
  return [...lines, line].join('\n');
}

function wideTable(columns: readonly Column[], rows: readonly (readonly string[])[], paint: Paint): string {
  const none = '';
  const table = new Table({
    head: columns.map((column) => paint.dim(column.head)),
    colAligns: columns.map((column) => (column.right === true ? 'right' : 'left')),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    chars: {
      top: none,
      'top-mid': none,
      'top-left': none,
      'top-right': none,
      bottom: none,
      'bottom-mid': none,
      'bottom-left': none,
      'bottom-right': none,
      left: none,
      'left-mid': none,
      mid: none,
      'mid-mid': none,
      right: none,
      'right-mid': none,
      middle: none,
    },
  });
  for (const row of rows) table.push([...row]);
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** A message that names its spoke already is not given the name twice. */
export function aboutSpoke(name: string, message: string): string {
  return message.startsWith(`${name}: `) ? message : `${name}: ${message}`;
}

const bytesUnits = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

export function bytesText(bytes: number | null): string {
  if (bytes === null) return '–';
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < bytesUnits.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${bytesUnits[unit] ?? ''}`;
}

export function secondsText(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds)) return '–';
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${(seconds / 3600).toFixed(1)} h` : `${Math.round(seconds / 86_400)} days`;
}

export function countText(count: number | null): string {
  return count === null ? '–' : count.toLocaleString('en-US');
}
