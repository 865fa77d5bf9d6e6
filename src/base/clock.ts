// Owns time. The only file (with random.ts) that may touch an ambient source; everything else takes a Clock.

import { setMaxListeners } from 'node:events';

export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch. May step; never used for ordering or limits. */
  now(): number;
  /** Milliseconds from an arbitrary start; never goes back. */
  monotonic(): number;
  /** Resolves after `ms`, or at once when the signal aborts (it does not reject: loops check the signal). */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** A longer timer would fire at once: Node keeps 31 bits. Whoever sleeps 24 days looks again. */
const timerMsMax = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep(ms, signal) {
    if (signal?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(Math.max(0, ms), timerMsMax));
      // Many sleepers on one signal is how a process is stopped, not a leak.
      if (signal !== undefined) setMaxListeners(0, signal);
      signal?.addEventListener('abort', done, { once: true });
    });
  },
};

/** A signal that aborts after `ms` on the given clock or when the parent aborts. */
export function deadline(clock: Clock, ms: number, parent?: AbortSignal): { signal: AbortSignal; cancel(): void } {
  const ended = new AbortController();
  const cancelled = new AbortController();
  const onParent = (): void => ended.abort(parent?.reason);
  void clock.sleep(ms, cancelled.signal).then(() => {
    if (!cancelled.signal.aborted) ended.abort(new Error(`deadline of ${ms} ms passed`));
  });
  if (parent?.aborted === true) onParent();
  // No AbortSignal.any: it would leave a trace in the parent, which outlives thousands of deadlines.
  if (parent !== undefined) setMaxListeners(0, parent);
  parent?.addEventListener('abort', onParent, { once: true });
  const cancel = (): void => {
    parent?.removeEventListener('abort', onParent);
    // With a reason of its own an abort makes no exception with a stack that nobody reads.
    cancelled.abort(null);
  };
  return { signal: ended.signal, cancel };
}
