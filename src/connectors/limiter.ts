// Owns the production limiter: the gate of limiter-gate.ts over bottleneck, the only importer of that package. bottleneck counts
// running calls and orders waiting ones, nothing else: its reservoir, its minTime and its expiration measure with the wall clock,
// freeze when it steps back, or leave calls running (HAZARDS.md). Spacing, quota and deadlines are ours.
import Bottleneck from 'bottleneck';
import { gatedLimiter, type BoundLimiter, type LimiterOptions, type Slots } from './limiter-gate.js';

export function openLimiter(options: LimiterOptions): BoundLimiter {
  return gatedLimiter(options, bottleneckSlots(options.concurrency));
}

/** bottleneck's own `expiration` is never set: it rejects the promise and lets the call run on. */
function bottleneckSlots(concurrency: number): Slots {
  const bottleneck = new Bottleneck({ maxConcurrent: concurrency });
  return { schedule: (priority, call) => bottleneck.schedule({ priority }, call) };
}
