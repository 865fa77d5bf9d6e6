// Owns a row of the table: what dies where, and what it is measured by. A drill is a vitest test whose name and row are made of the same words.
import { readFileSync } from 'node:fs';
import { test, type TestContext } from 'vitest';
import type { EngineProcess } from '../../support/engine-process.js';

export type Side = 'salesforce' | 'shopify';
export const sides: readonly Side[] = ['salesforce', 'shopify'];
export const hits: readonly number[] = [1, 2, 3].slice(0, Number(process.env['DRILL_HITS'] ?? 3));

/** From the start of the next process to agreement everywhere. */
export interface Recovery {
  readonly ms: number;
  /** Until the process announced that it runs: Node, its modules, migrations looked at. */
  readonly upMs: number;
  /** What the process computed; the rest it waited, for Postgres, the spokes or the processor. null where the system does not tell. */
  readonly cpuMs: number | null;
  /** How long it stood in the queue for a processor: what other programs of the machine took. */
  readonly queuedMs: number | null;
  /** `ms message` of its log, so that a slow one tells what it waited for. */
  readonly timeline: readonly string[];
}

/** What a row of the table tells. */
export interface DrillRow {
  readonly fault: string;
  readonly point: string;
  readonly spoke: Side | 'both';
  readonly hit: number;
  recovery: Recovery | null;
}

declare module 'vitest' {
  interface TaskMeta {
    drill?: DrillRow;
  }
}

export interface Death {
  readonly fault: string;
  readonly point: string;
  readonly spoke: Side | 'both';
  readonly hit: number;
}

/** Registers one drill; its row stands in the table also when it fails half-way. */
export function death(of: Death, body: (row: DrillRow, context: TestContext) => Promise<void>): void {
  test(`${of.fault} ${of.point} ${of.spoke} ${of.hit}`, async (context) => {
    const row: DrillRow = { ...of, recovery: null };
    context.task.meta.drill = row;
    await body(row, context);
  });
}

/** Begins to measure; call the result once everything agrees. */
export function measureRecovery(): { up(engine: EngineProcess): void; agreed(): Recovery } {
  const from = performance.now();
  const fromMs = Date.now();
  let started: EngineProcess | null = null;
  let upMs = 0;
  return {
    up(engine) {
      started = engine;
      upMs = Math.round(performance.now() - from);
    },
    agreed() {
      const ms = Math.round(performance.now() - from);
      const spent = started === null ? null : processorOf(started.child.pid ?? 0);
      return {
        ms,
        upMs,
        cpuMs: spent?.cpuMs ?? null,
        queuedMs: spent?.queuedMs ?? null,
        timeline: timelineOf(started?.log() ?? '', fromMs),
      };
    },
  };
}

/** User and system time of all threads (fields 14 and 15 behind the name, in hundredths of a second); the queue of the main thread, in ns. */
function processorOf(pid: number): { readonly cpuMs: number; readonly queuedMs: number } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const queuedMs = Math.round(Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6);
    return { cpuMs: (Number(fields[11]) + Number(fields[12])) * 10, queuedMs };
  } catch {
    return null;
  }
}

const linesMax = 60;

function timelineOf(log: string, fromMs: number): readonly string[] {
  const lines: string[] = [];
  for (const line of log.split('\n')) {
    if (!line.startsWith('{')) continue;
    const { time, msg, spoke, service, err } = JSON.parse(line) as Readonly<Record<string, unknown>>;
    if (typeof time !== 'number') continue;
    const why = err === undefined ? '' : ` ${JSON.stringify(err).slice(0, 200)}`;
    lines.push(`${time - fromMs} ${[spoke, service, msg].filter(Boolean).map(String).join(' ')}${why}`);
  }
  return lines.slice(0, linesMax);
}
