// Owns progress on a terminal: one line a task with count, rate and time left, redrawn in place; elsewhere a plain line now and then.
// Purely for eyes: nothing depends on what it shows, and it writes to stderr so that results stay clean.
import type { Io } from './io.js';
import { countText, paintFor, secondsText, type Paint } from './render.js';

export interface Task {
  readonly label: string;
  readonly done: number;
  /** null where the remote does not tell. */
  readonly total: number | null;
  readonly startedMs: number;
  readonly endedMs: number | null;
}

export interface Progress {
  update(key: string, task: { readonly label: string; readonly done: number; readonly total: number | null }): void;
  /** Freezes a task's rate. */
  end(key: string): void;
  /** Leaves the last picture standing and gives the terminal back. */
  stop(): void;
}

const barCells = 24;
const rateSecondsMin = 0.2;

/** `label  ████░░  1,200 / 5,000  410/s  9 s left`. Pure. */
export function progressLine(task: Task, nowMs: number, labelWidth: number, paint: Paint): string {
  const seconds = Math.max(0.001, ((task.endedMs ?? nowMs) - task.startedMs) / 1000);
  const rate = task.done / seconds;
  const label = task.label.padEnd(labelWidth);
  // Over before it could be watched: a rate would be a fiction.
  const speed = seconds < rateSecondsMin ? '' : `  ${countText(Math.round(rate))}/s`;
  if (task.endedMs !== null)
    return `${label}  ${paint.green('done')}  ${countText(task.done)}${speed}${speed === '' ? '' : `  ${secondsText(seconds)}`}`;
  if (task.total === null) return `${label}  ${countText(task.done)}${speed}`;
  const share = task.total === 0 ? 1 : Math.min(1, task.done / task.total);
  const full = Math.round(share * barCells);
  const bar = paint.cyan('█'.repeat(full)) + paint.dim('░'.repeat(barCells - full));
  const left = rate === 0 ? '–' : secondsText(Math.max(0, task.total - task.done) / rate);
  return `${label}  ${bar}  ${countText(task.done)} / ${countText(task.total)}${speed}  ${left} left`;
}

const redrawMs = 80;
const plainMs = 5_000;

export function createProgress(io: Io): Progress {
  const paint = paintFor(io.err, io.env);
  const tasks = new Map<string, Task>();
  let drawnLines = 0;
  let drawnAt = io.err.terminal ? -Infinity : io.clock.monotonic();
  const width = (): number => Math.max(0, ...[...tasks.values()].map((task) => task.label.length));
  const draw = (force: boolean): void => {
    const now = io.clock.monotonic();
    if (!force && now - drawnAt < redrawMs) return;
    drawnAt = now;
    const lines = [...tasks.values()].map((task) => progressLine(task, now, width(), paint));
    // Up to the first of our lines, then each line cleared to its end: no flicker, no leftovers.
    const up = drawnLines === 0 ? '' : `\u001b[${drawnLines}A`;
    io.err.write(up + lines.map((line) => `\r${line}\u001b[K\n`).join(''));
    drawnLines = lines.length;
  };
  /** Where nothing can be redrawn: a line when a task ends, and now and then those that run. */
  const tell = (ended: Task | null): void => {
    const now = io.clock.monotonic();
    if (ended === null && now - drawnAt < plainMs) return;
    if (ended === null) drawnAt = now;
    const told =
      ended === null ? [...tasks.values()].filter((task) => task.endedMs === null && task.done > 0) : [ended];
    io.err.write(told.map((task) => `${progressLine(task, now, width(), paint)}\n`).join(''));
  };
  return {
    update(key, { label, done, total }) {
      const before = tasks.get(key);
      tasks.set(key, { label, done, total, startedMs: before?.startedMs ?? io.clock.monotonic(), endedMs: null });
      if (io.err.terminal) draw(before === undefined);
      else tell(null);
    },
    end(key) {
      const task = tasks.get(key);
      if (task === undefined) return;
      const ended = { ...task, endedMs: io.clock.monotonic() };
      tasks.set(key, ended);
      if (io.err.terminal) draw(true);
      else tell(ended);
    },
    stop() {
      if (tasks.size > 0 && io.err.terminal) draw(true);
      tasks.clear();
      drawnLines = 0;
    },
  };
}
