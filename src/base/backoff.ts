// Owns the shape of waiting between attempts: exponential with full jitter and a cap. Pure: the caller sleeps.
import type { Random } from './random.js';

export interface Backoff {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Delay before attempt `attempt` (1 = first retry), in ms, uniform in [half, full] of the exponential step. */
export function backoffMs(policy: Backoff, attempt: number, random: Random): number {
  const full = Math.min(policy.maxMs, policy.firstMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(full / 2 + (full / 2) * random.next());
}
