// Owns the circuit breaker of one spoke (F62): closed, open, half-open with one probe. Pure but for its own state; time is
// a monotonic clock's, so that a stepping wall clock can neither hold it open nor close it (F99: cockatiel measures the
// open time with Date.now, which is why it is not used here).
import type { Random } from '../base/random.js';

export interface BreakerOptions {
  /** Failures in a row that open it. */
  readonly failuresMax: number;
  /** First open time; doubles with each failed probe. */
  readonly openMs: number;
  readonly openMsMax: number;
}

export const breakerDefaults: BreakerOptions = { failuresMax: 5, openMs: 5_000, openMsMax: 5 * 60_000 };

type State =
  | { readonly name: 'closed'; readonly failures: number }
  | { readonly name: 'open'; readonly untilMs: number; readonly attempt: number }
  | { readonly name: 'half-open'; readonly attempt: number };

/** What a call that was let in must hand back with its outcome. */
export type Entry = 'ordinary' | 'probe';
/** `neither`: cancelled by ourselves, it says nothing about the remote. */
export type CallOutcome = 'success' | 'failure' | 'neither';

export class Breaker {
  private state: State = { name: 'closed', failures: 0 };

  constructor(
    private readonly options: BreakerOptions,
    private readonly random: Random,
  ) {}

  get name(): State['name'] {
    return this.state.name;
  }

  /** 0 = a call may start now; Infinity = a probe is under way and its outcome decides. */
  waitMs(nowMs: number): number {
    if (this.state.name === 'closed') return 0;
    return this.state.name === 'half-open' ? Infinity : Math.max(0, this.state.untilMs - nowMs);
  }

  enter(nowMs: number): Entry | null {
    if (this.state.name === 'closed') return 'ordinary';
    if (this.state.name === 'half-open' || this.state.untilMs > nowMs) return null;
    this.state = { name: 'half-open', attempt: this.state.attempt };
    return 'probe';
  }

  leave(entry: Entry, outcome: CallOutcome, nowMs: number): void {
    if (entry === 'probe') return this.settleProbe(outcome, nowMs);
    // A call from before the opening says nothing about now.
    if (this.state.name !== 'closed' || outcome === 'neither') return;
    const failures = outcome === 'failure' ? this.state.failures + 1 : 0;
    this.state = failures >= this.options.failuresMax ? this.opened(1, nowMs) : { name: 'closed', failures };
  }

  private settleProbe(outcome: CallOutcome, nowMs: number): void {
    if (this.state.name !== 'half-open') return;
    const { attempt } = this.state;
    switch (outcome) {
      case 'success':
        this.state = { name: 'closed', failures: 0 };
        return;
      case 'failure':
        this.state = this.opened(attempt + 1, nowMs);
        return;
      case 'neither':
        this.state = { name: 'open', untilMs: nowMs, attempt };
        return;
    }
  }

  private opened(attempt: number, nowMs: number): State {
    const full = Math.min(this.options.openMsMax, this.options.openMs * 2 ** Math.min(attempt - 1, 20));
    return { name: 'open', untilMs: nowMs + full * (0.9 + 0.1 * this.random.next()), attempt };
  }
}
