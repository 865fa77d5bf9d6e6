// Owns the production limiter: the gate of limiter-gate.ts over bottleneck, the only importer of that package. bottleneck counts
// running calls and orders waiting ones, nothing else: its reservoir, minTime and expiration measure with the wall clock, freeze
// when that steps back, or leave calls running (HAZARDS.md). Spacing, quota and deadlines are the gate's.
import Bottleneck from 'bottleneck';
import { assert } from '../base/assert.js';
import { gatedLimiter, type BoundLimiter, type LimiterOptions, type Slots } from './limiter-gate.js';

export function openLimiter(options: LimiterOptions): BoundLimiter {
  return gatedLimiter(options, bottleneckSlots(options.concurrency));
}

function bottleneckSlots(concurrency: number): Slots {
  const bottleneck = new Bottleneck({ maxConcurrent: concurrency });
  withoutClock(bottleneck);
  return { schedule: (priority, call) => bottleneck.schedule({ priority }, call) };
}

/**
 * Two things of bottleneck's insides are replaced. It remembers by Date.now() when the next call may start, also without
 * minTime: after a step back of an hour every call waits for an hour (F99, test/hazards/bottleneck.test.ts); without minTime
 * that moment is always "now", so it is pinned to the epoch. And each of its steps waits for a timer: 5 ms a call in all,
 * 1 ms without. The version is pinned and has not changed since 2019; a change of its insides fails here, at start.
 */
function withoutClock(bottleneck: Bottleneck): void {
  const { _store: store } = bottleneck as unknown as { readonly _store?: Insides };
  const known = typeof store?._nextRequest === 'number' && typeof store.yieldLoop === 'function';
  assert(known, 'bottleneck has changed inside: see withoutClock in connectors/limiter.ts');
  Object.defineProperty(store, '_nextRequest', { get: () => 0, set: () => undefined });
  Object.defineProperty(store, 'yieldLoop', { value: () => Promise.resolve() });
}

interface Insides {
  readonly _nextRequest?: unknown;
  readonly yieldLoop?: unknown;
}
