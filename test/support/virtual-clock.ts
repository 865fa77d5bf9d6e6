// Owns time for tests: nothing passes unless a test says so, and sleepers wake in the order in which they are due.
import type { Clock } from '../../src/base/clock.js';

interface Sleeper {
  readonly dueMs: number;
  readonly order: number;
  readonly wake: () => void;
}

export class VirtualClock implements Clock {
  private elapsedMs = 0;
  private wallOffsetMs: number;
  private order = 0;
  private sleepers: Sleeper[] = [];

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.wallOffsetMs = startMs;
  }

  now(): number {
    return this.wallOffsetMs + this.elapsedMs;
  }

  monotonic(): number {
    return this.elapsedMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true || ms <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const sleeper: Sleeper = { dueMs: this.elapsedMs + ms, order: this.order++, wake: resolve };
      this.sleepers.push(sleeper);
      signal?.addEventListener('abort', () => {
        this.sleepers = this.sleepers.filter((each) => each !== sleeper);
        resolve();
      });
    });
  }

  /** Sleepers that would wake if time went on. */
  get sleeping(): number {
    return this.sleepers.length;
  }

  /** The wall clock jumps; nobody sleeps longer or shorter for it. */
  step(ms: number): void {
    this.wallOffsetMs += ms;
  }

  /** Lets `ms` pass; what wakes runs to its next wait before the following one wakes. */
  async advance(ms: number): Promise<void> {
    const endMs = this.elapsedMs + ms;
    await settled();
    for (;;) {
      const [next] = this.sleepers
        .filter((each) => each.dueMs <= endMs)
        .sort((a, b) => a.dueMs - b.dueMs || a.order - b.order);
      if (next === undefined) break;
      this.sleepers = this.sleepers.filter((each) => each !== next);
      this.elapsedMs = Math.max(this.elapsedMs, next.dueMs);
      next.wake();
      await settled();
    }
    this.elapsedMs = endMs;
  }
}

/** Every promise that can go on without our time or I/O has gone on, packages that defer by a zero timer included. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
