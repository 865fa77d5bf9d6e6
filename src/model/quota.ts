// Owns the arithmetic of a shared call budget: what is left, who may have it, how long to wait. Pure; the ledgers (Postgres,
// in-process) only keep the numbers. Tokens are the spoke's own units: calls, or GraphQL points.

/** Who asks; same words as the connector contract's lanes. */
export type QuotaLane = 'interactive' | 'repair' | 'backfill';

export interface Quota {
  /** Tokens left at `updatedAtMs`. */
  readonly remaining: number;
  readonly limit: number;
  /** 0 where the budget only comes back at `resetAtMs`. */
  readonly restorePerSecond: number;
  readonly resetAtMs: number | null;
  /** Share of the limit, 0 to 1, that is never taken: it belongs to the other applications at that spoke. */
  readonly reserve: number;
  readonly updatedAtMs: number;
  /** No call before then. `pausedAtMs` bounds the wait when the wall clock steps back. */
  readonly pausedAtMs: number | null;
  readonly pausedUntilMs: number | null;
}

export interface Grant {
  /** Tokens that are now the caller's: 0, or at least the cost it named. */
  readonly granted: number;
  /** 0 when granted; else the shortest wait that can help, in ms. */
  readonly waitMs: number;
  readonly reason: 'paused' | 'empty' | null;
}

/** What a remote tells about the budget. */
export interface Budget {
  readonly remaining: number;
  readonly limit: number;
  readonly restorePerSecond?: number;
  readonly resetAtMs?: number;
  /** A rolling window: what is spent comes back so long after it was spent. */
  readonly windowMs?: number;
}

/** However little is left, it is looked whether there is more again. */
const pollMsMax = 900_000;

/**
 * Time from one poll of `calls` calls to the next. Where the budget is a rolling window, polls spend no more than what is left
 * of it above the reserve, spread over the window: a small one is not gone by noon, and edits find calls left.
 */
export function pollEveryMs(
  wantedMs: number,
  { calls, budget, reserve }: { readonly calls: number; readonly budget: Budget | null; readonly reserve: number },
): number {
  if (budget?.windowMs === undefined) return wantedMs;
  const spare = Math.max(1, budget.remaining - budget.limit * reserve);
  return Math.max(wantedMs, Math.min(pollMsMax, (calls * budget.windowMs) / spare));
}

/** Kept by all processes and both directions of an installation together. */
export interface QuotaLedger {
  /** Takes `cost` to `wanted` tokens at once. Where no budget is known, everything wanted is granted. */
  take(spoke: string, request: TakeRequest): Promise<Grant>;
  /** Gives back tokens that were not spent. */
  refund(spoke: string, tokens: number): Promise<void>;
  observe(spoke: string, budget: Budget): Promise<void>;
  /** Every process holds its calls to the spoke for so long. Never shortens a pause. */
  pause(spoke: string, ms: number, reason: string): Promise<void>;
}

export interface TakeRequest {
  readonly lane: QuotaLane;
  readonly cost: number;
  readonly wanted: number;
}

/** Share of what may be taken at all that a lane leaves to the lanes before it. */
export const laneShare: Readonly<Record<QuotaLane, number>> = { interactive: 0, repair: 0.15, backfill: 0.4 };

/** Longest wait that is ever answered: a budget without refill or reset is asked again after that. */
export const waitMsMax = 60_000;

/** Tokens left at `nowMs`. A clock that stepped back restores nothing and takes nothing. */
export function available(quota: Quota, nowMs: number): number {
  if (quota.resetAtMs !== null && quota.resetAtMs <= nowMs) return quota.limit;
  const elapsedMs = Math.max(0, nowMs - quota.updatedAtMs);
  return Math.min(quota.limit, quota.remaining + (elapsedMs / 1000) * quota.restorePerSecond);
}

/** The level below which a lane takes nothing. */
export function floorOf(quota: Quota, lane: QuotaLane): number {
  return quota.limit * (quota.reserve + (1 - quota.reserve) * laneShare[lane]);
}

export function takeTokens(
  quota: Quota,
  request: TakeRequest,
  nowMs: number,
): { readonly grant: Grant; readonly next: Quota } {
  const left = available(quota, nowMs);
  const pausedMs = pauseLeftMs(quota, nowMs);
  const next = {
    ...quota,
    remaining: left,
    updatedAtMs: nowMs,
    resetAtMs: passed(quota.resetAtMs, nowMs) ? null : quota.resetAtMs,
  };
  if (pausedMs > 0) return { grant: { granted: 0, waitMs: pausedMs, reason: 'paused' }, next };
  const spare = left - floorOf(quota, request.lane);
  const cost = payable(quota, request);
  if (spare < cost)
    return { grant: { granted: 0, waitMs: waitFor(quota, cost - spare, nowMs), reason: 'empty' }, next };
  const granted = Math.max(cost, Math.min(request.wanted, Math.floor(spare)));
  // The caller counts in what it asked for, also where a single call costs more than a full budget holds.
  return {
    grant: { granted: Math.max(granted, request.cost), waitMs: 0, reason: null },
    next: { ...next, remaining: left - granted },
  };
}

/** A call dearer than everything its lane can ever hold starts when the lane is full. */
export function payable(quota: Quota, request: Pick<TakeRequest, 'lane' | 'cost'>): number {
  return Math.min(request.cost, quota.limit - floorOf(quota, request.lane));
}

export function waitFor(quota: Quota, missing: number, nowMs: number): number {
  const refillMs = quota.restorePerSecond > 0 ? Math.ceil((missing / quota.restorePerSecond) * 1000) : Infinity;
  const resetMs = quota.resetAtMs === null ? Infinity : Math.max(0, quota.resetAtMs - nowMs);
  const waitMs = Math.min(refillMs, resetMs);
  return waitMs === Infinity ? waitMsMax : Math.max(1, waitMs);
}

/** Two machines' clocks may differ by this much without a pause being lost. */
export const skewMsMax = 5_000;

/**
 * Never longer than the pause was meant to be. A clock that stands clearly before its beginning has stepped back: then the
 * pause counts as over, instead of lasting until the clock is there again; who was told to wait still waits by its own watch.
 */
export function pauseLeftMs(quota: Pick<Quota, 'pausedAtMs' | 'pausedUntilMs'>, nowMs: number): number {
  if (quota.pausedUntilMs === null || quota.pausedAtMs === null || nowMs < quota.pausedAtMs - skewMsMax) return 0;
  return Math.max(0, Math.min(quota.pausedUntilMs - nowMs, quota.pausedUntilMs - quota.pausedAtMs));
}

export function observed(quota: Quota | null, budget: Budget, nowMs: number): Quota {
  return {
    remaining: Math.max(0, Math.min(budget.remaining, budget.limit)),
    limit: budget.limit,
    restorePerSecond: budget.restorePerSecond ?? quota?.restorePerSecond ?? 0,
    resetAtMs: budget.resetAtMs ?? (passed(quota?.resetAtMs ?? null, nowMs) ? null : (quota?.resetAtMs ?? null)),
    reserve: quota?.reserve ?? 0,
    updatedAtMs: nowMs,
    pausedAtMs: quota?.pausedAtMs ?? null,
    pausedUntilMs: quota?.pausedUntilMs ?? null,
  };
}

function passed(atMs: number | null, nowMs: number): boolean {
  return atMs !== null && atMs <= nowMs;
}
