// Owns the limiter without Postgres and without timers of its own: for the simulation, tests and single-process tools. Same gate,
// same rules; only the counting of running calls and the ledger live in memory.
import type { Clock } from '../base/clock.js';
import { observed, pauseLeftMs, takeTokens, type Quota, type QuotaLedger } from '../model/quota.js';
import type { Limiter } from './connector.js';
import { gatedLimiter, type BoundLimiter, type LimiterOptions, type Slots } from './limiter-gate.js';

/** Lets everything through at once. */
export const unlimited: Limiter = {
  run: (_request, call) => call(),
  observe: () => undefined,
  backOff: () => undefined,
};

export function plainLimiter(
  options: Omit<LimiterOptions, 'ledger'> & { readonly ledger?: QuotaLedger },
): BoundLimiter {
  return gatedLimiter(
    { ...options, ledger: options.ledger ?? memoryLedger(options.clock) },
    slots(options.concurrency),
  );
}

function slots(concurrency: number): Slots {
  const queue: { readonly priority: number; readonly start: () => void }[] = [];
  let running = 0;
  const next = (): void => {
    if (running >= concurrency) return;
    const first = queue.shift();
    if (first === undefined) return;
    running += 1;
    first.start();
  };
  return {
    schedule: (priority, call) =>
      new Promise((resolve, reject) => {
        const start = (): void => {
          const done = (): void => {
            running -= 1;
            next();
          };
          call().then(resolve, reject).finally(done);
        };
        const behind = queue.findIndex((entry) => entry.priority > priority);
        queue.splice(behind < 0 ? queue.length : behind, 0, { priority, start });
        next();
      }),
  };
}

/** A ledger for one process. */
export function memoryLedger(
  clock: Clock,
  initial: Readonly<Record<string, Quota>> = {},
): QuotaLedger & { read(spoke: string): Quota | null } {
  const quotas = new Map(Object.entries(initial));
  return {
    read: (spoke) => quotas.get(spoke) ?? null,
    take: (spoke, request) => {
      const quota = quotas.get(spoke);
      if (quota === undefined) return Promise.resolve({ granted: request.wanted, waitMs: 0, reason: null });
      const { grant, next } = takeTokens(quota, request, clock.now());
      quotas.set(spoke, next);
      return Promise.resolve(grant);
    },
    refund: (spoke, tokens) => {
      const quota = quotas.get(spoke);
      if (quota !== undefined)
        quotas.set(spoke, { ...quota, remaining: Math.min(quota.limit, quota.remaining + tokens) });
      return Promise.resolve();
    },
    observe: (spoke, budget) => {
      quotas.set(spoke, observed(quotas.get(spoke) ?? null, budget, clock.now()));
      return Promise.resolve();
    },
    pause: (spoke, ms) => {
      const quota = quotas.get(spoke);
      const nowMs = clock.now();
      if (quota !== undefined && pauseLeftMs(quota, nowMs) < ms)
        quotas.set(spoke, { ...quota, pausedAtMs: nowMs, pausedUntilMs: nowMs + ms });
      return Promise.resolve();
    },
  };
}
