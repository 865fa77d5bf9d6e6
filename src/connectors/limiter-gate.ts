// Owns the decision when a call to one spoke may start: pause, breaker, shared quota, spacing. Every wait is known, bounded by
// what the lane tolerates, and ends at once when the caller's signal aborts. Runs calls through `Slots`, which only counts
// them; a call that has started is awaited to its end, whatever happens, so that none runs on unnoticed.
import { setMaxListeners } from 'node:events';
import { assert } from '../base/assert.js';
import type { Clock } from '../base/clock.js';
import { OutcomeUnknown, RateLimited, Retriable } from '../base/errors.js';
import { HttpFailure } from '../base/http.js';
import type { Log } from '../base/log.js';
import type { Random } from '../base/random.js';
import type { SpokeName } from '../model/ids.js';
import type { Budget, QuotaLedger } from '../model/quota.js';
import type { Lane, Limiter } from './connector.js';
import { Breaker, breakerDefaults, type BreakerOptions, type CallOutcome } from './limiter-breaker.js';
import { Leases } from './limiter-leases.js';

/** Lets at most so many calls run at once; a lower priority number goes first. */
export interface Slots {
  schedule<T>(priority: number, call: () => Promise<T>): Promise<T>;
}

export interface LimiterOptions {
  readonly spoke: SpokeName;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly ledger: QuotaLedger;
  /** Ends every wait. */
  readonly signal: AbortSignal;
  /** Calls under way at once. */
  readonly concurrency: number;
  /** Least time between two starts. Default 0. */
  readonly spacingMs?: number | undefined;
  /** Longest known wait that a lane accepts before it is told to come back. */
  readonly toleranceMs?: Readonly<Record<Lane, number>> | undefined;
  /** Callers waiting at once; more are told to come back. Default 1,000. */
  readonly waitingMax?: number | undefined;
  readonly breaker?: BreakerOptions | undefined;
  /** Which outcome says that the remote is unwell. Rejected records do not. */
  readonly isFailure?: ((outcome: { readonly error: unknown } | { readonly value: unknown }) => boolean) | undefined;
  /** Tokens taken from the ledger in advance. Default 20. */
  readonly leaseTokens?: number | undefined;
}

export interface LimiterStatus {
  readonly breaker: Breaker['name'];
  readonly pausedMs: number;
  readonly pausedReason: string | null;
  readonly waiting: number;
  readonly running: number;
  /** What the remote told this process last. */
  readonly budget: Budget | null;
}

export interface BoundLimiter extends Limiter {
  status(): LimiterStatus;
  /** Returns unspent tokens. Waiting callers reject. */
  close(): Promise<void>;
}

type Request = Parameters<Limiter['run']>[0];

const tolerance: Readonly<Record<Lane, number>> = { interactive: 30_000, repair: 15_000, backfill: 60_000 };
const priorities: Readonly<Record<Lane, number>> = { interactive: 1, repair: 5, backfill: 9 };
const observeEveryMs = 500;
const again = Symbol('the gate closed while the call was queued');

/** Retriable, OutcomeUnknown, a failed exchange, or an answer with a 5xx status. */
export function defaultIsFailure(outcome: { readonly error: unknown } | { readonly value: unknown }): boolean {
  if ('error' in outcome) {
    const { error } = outcome;
    return error instanceof Retriable || error instanceof OutcomeUnknown || error instanceof HttpFailure;
  }
  const { value } = outcome;
  return (
    typeof value === 'object' &&
    value !== null &&
    'status' in value &&
    typeof value.status === 'number' &&
    value.status >= 500
  );
}

export function gatedLimiter(options: LimiterOptions, slots: Slots): BoundLimiter {
  return new Gate(options, slots);
}

class Gate implements BoundLimiter {
  private readonly breaker: Breaker;
  private readonly leases: Leases;
  private readonly closing = new AbortController();
  private readonly wakers = new Set<() => void>();
  private pausedUntilMs = 0;
  private pausedReason: string | null = null;
  private nextStartMs = 0;
  private waiting = 0;
  private running = 0;
  private observedAtMs = -Infinity;
  private observedLimit = NaN;
  private budget: Budget | null = null;

  constructor(
    private readonly options: LimiterOptions,
    private readonly slots: Slots,
  ) {
    const { spoke, ledger, clock, log } = options;
    this.breaker = new Breaker(options.breaker ?? breakerDefaults, options.random);
    this.leases = new Leases({ spoke, ledger, clock, log, batch: options.leaseTokens ?? 20, idleMs: 2_000 });
  }

  async run<T>(request: Request, call: () => Promise<T>): Promise<T> {
    assert(request.cost > 0 && Number.isFinite(request.cost), `a call of ${this.options.spoke} costs ${request.cost}`);
    const waitingMax = this.options.waitingMax ?? 1_000;
    if (this.waiting >= waitingMax) throw this.comeBack('queue_full', `${waitingMax} calls are waiting`, 1_000);
    this.waiting += 1;
    const stopped = whenStopped([request.signal, this.options.signal, this.closing.signal]);
    try {
      const giveUpMs = this.nowMs() + (this.options.toleranceMs ?? tolerance)[request.lane];
      for (;;) {
        await this.waitForPassage(request, giveUpMs, stopped);
        let started = false;
        const queued = this.slots.schedule(priorities[request.lane], () =>
          this.start(request, stopped, () => ((started = true), call())),
        );
        // Queued: the caller may leave at once. Started: the call is awaited, its own signal is what ends it.
        const outcome = await Promise.race([queued, stopped.promise.then(() => (started ? queued : stopped.fail()))]);
        if (outcome !== again) return outcome as T;
        this.leases.giveBack(request.lane, request.cost);
      }
    } finally {
      this.waiting -= 1;
      stopped.dispose();
    }
  }

  observe(budget: Budget): void {
    const nowMs = this.nowMs();
    this.budget = budget;
    if (budget.remaining < this.leases.held) this.leases.forget();
    // Every answer carries the budget; the ledger needs it when it is new, low, or half a second old.
    const low = budget.remaining < budget.limit * 0.2;
    if (!low && budget.limit === this.observedLimit && nowMs - this.observedAtMs < observeEveryMs) return;
    this.observedAtMs = nowMs;
    this.observedLimit = budget.limit;
    this.tell(
      this.options.ledger.observe(this.options.spoke, { ...budget, remaining: budget.remaining - this.leases.held }),
      'budget',
    );
  }

  backOff(ms: number, reason: string): void {
    const untilMs = this.nowMs() + Math.max(0, ms);
    if (untilMs <= this.pausedUntilMs) return;
    this.pausedUntilMs = untilMs;
    this.pausedReason = reason;
    this.tell(this.options.ledger.pause(this.options.spoke, ms, reason), 'pause');
  }

  status(): LimiterStatus {
    const pausedMs = Math.max(0, this.pausedUntilMs - this.nowMs());
    const { waiting, running } = this;
    return {
      breaker: this.breaker.name,
      pausedMs,
      pausedReason: pausedMs > 0 ? this.pausedReason : null,
      waiting: waiting - running,
      running,
      budget: this.budget,
    };
  }

  async close(): Promise<void> {
    this.closing.abort(new Error(`the limiter of ${this.options.spoke} was closed`));
    await this.leases.close();
  }

  private nowMs(): number {
    return this.options.clock.monotonic();
  }

  /** Resolves with tokens taken and no known reason to wait. */
  private async waitForPassage(request: Request, giveUpMs: number, stopped: Stopped): Promise<void> {
    for (;;) {
      stopped.check();
      const pausedMs = this.pausedUntilMs - this.nowMs();
      const breakerMs = this.breaker.waitMs(this.nowMs());
      if (pausedMs > 0) {
        await this.hold(
          { ms: pausedMs, code: 'paused', reason: this.pausedReason ?? 'the remote asked us to wait' },
          giveUpMs,
          stopped,
        );
      } else if (breakerMs > 0) {
        await this.hold(
          { ms: breakerMs, code: 'breaker_open', reason: 'the remote failed several times in a row' },
          giveUpMs,
          stopped,
        );
      } else {
        const grant = await this.leases.acquire(request.lane, request.cost);
        if (grant.granted > 0) return;
        if (grant.reason === 'paused') this.pausedUntilMs = Math.max(this.pausedUntilMs, this.nowMs() + grant.waitMs);
        const reason = grant.reason === 'paused' ? 'another process was asked to wait' : 'the call budget is used up';
        await this.hold({ ms: grant.waitMs, code: `quota_${grant.reason ?? 'empty'}`, reason }, giveUpMs, stopped);
      }
    }
  }

  private async hold(
    wait: { readonly ms: number; readonly code: string; readonly reason: string },
    giveUpMs: number,
    stopped: Stopped,
  ): Promise<void> {
    stopped.check();
    // A probe's outcome is near but unknown: look again soon, and when it is there.
    const ms = wait.ms === Infinity ? 1_000 : wait.ms;
    if (this.nowMs() + ms > giveUpMs) throw this.comeBack(wait.code, wait.reason, ms);
    const woken = new AbortController();
    const wake = (): void => woken.abort();
    this.wakers.add(wake);
    stopped.onStop(wake);
    await this.options.clock.sleep(ms, woken.signal);
    this.wakers.delete(wake);
    stopped.offStop(wake);
  }

  /** In a slot: the last look, then the call. */
  private async start<T>(request: Request, stopped: Stopped, call: () => Promise<T>): Promise<T | typeof again> {
    const spacing = this.options.spacingMs ?? 0;
    if (spacing > 0) {
      const startMs = Math.max(this.nowMs(), this.nextStartMs);
      this.nextStartMs = startMs + spacing;
      await this.options.clock.sleep(startMs - this.nowMs());
    }
    if (stopped.stopped()) {
      this.leases.giveBack(request.lane, request.cost);
      return stopped.fail();
    }
    if (this.pausedUntilMs > this.nowMs()) return again;
    const entry = this.breaker.enter(this.nowMs());
    if (entry === null) return again;
    let outcome: CallOutcome = 'neither';
    this.running += 1;
    try {
      const value = await call();
      outcome = this.judge({ value });
      return value;
    } catch (error) {
      outcome = stopped.stopped() ? 'neither' : this.judge({ error });
      throw error;
    } finally {
      this.running -= 1;
      this.breaker.leave(entry, outcome, this.nowMs());
      if (entry === 'probe') for (const wake of [...this.wakers]) wake();
    }
  }

  private judge(outcome: { readonly error: unknown } | { readonly value: unknown }): CallOutcome {
    return (this.options.isFailure ?? defaultIsFailure)(outcome) ? 'failure' : 'success';
  }

  private comeBack(code: string, reason: string, ms: number): RateLimited {
    const { spoke } = this.options;
    return new RateLimited(
      { spoke, code, message: `${spoke}: ${reason}`, hint: `calls go on in about ${Math.ceil(ms / 1000)} s` },
      ms,
    );
  }

  /** What other processes miss of a failed report, their own next answer tells them. */
  private tell(report: Promise<void>, what: string): void {
    report.catch((error: unknown) =>
      this.options.log.warn({ spoke: this.options.spoke, what, err: error }, 'the quota ledger was not told'),
    );
  }
}

interface Stopped {
  /** Resolves when one of the signals aborts. */
  readonly promise: Promise<void>;
  stopped(): boolean;
  check(): void;
  fail(): never;
  onStop(listener: () => void): void;
  offStop(listener: () => void): void;
  dispose(): void;
}

/** Like AbortSignal.any, but without a trace in the long-lived signals once the call is over. */
function whenStopped(signals: readonly (AbortSignal | undefined)[]): Stopped {
  const live = signals.filter((signal) => signal !== undefined);
  const listeners = new Set<() => void>();
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  const onAbort = (): void => {
    resolve();
    for (const listener of listeners) listener();
  };
  // One signal stops many calls: that is its purpose, not a leak.
  setMaxListeners(0, ...live);
  for (const signal of live) signal.addEventListener('abort', onAbort, { once: true });
  const aborted = (): AbortSignal | undefined => live.find((signal) => signal.aborted);
  const fail = (): never => {
    throw aborted()?.reason ?? new Error('stopped');
  };
  return {
    promise,
    stopped: () => aborted() !== undefined,
    check: () => void (aborted() === undefined || fail()),
    fail,
    onStop: (listener) => void listeners.add(listener),
    offStop: (listener) => void listeners.delete(listener),
    dispose: () => live.forEach((signal) => signal.removeEventListener('abort', onAbort)),
  };
}
