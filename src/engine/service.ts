// Owns how a loop is kept alive: it runs until told to stop; when it fails it is started again after a back-off, and what failed is
// logged once per failure with its cause. A `halt` error ends the engine.
import { setMaxListeners } from 'node:events';
import { backoffMs, type Backoff } from '../base/backoff.js';
import type { Clock } from '../base/clock.js';
import { RateLimited, TruespokeError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Random } from '../base/random.js';

export interface ServiceDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface Service {
  readonly name: string;
  run(signal: AbortSignal): Promise<void>;
  /** Looks at a failure first; true = handled (a paused spoke), start again without a back-off. */
  onFailure?(error: unknown): Promise<boolean>;
}

const restart: Backoff = { firstMs: 250, maxMs: 15_000 };
/** A loop that ran this long was healthy: its next failure is a first one. */
const healthyMs = 30_000;

export async function supervise(deps: ServiceDeps, service: Service, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    const startedMs = deps.clock.monotonic();
    try {
      await service.run(signal);
      return;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof TruespokeError && error.recovery === 'halt') throw error;
      if ((await service.onFailure?.(error)) === true) continue;
      failures = deps.clock.monotonic() - startedMs > healthyMs ? 1 : failures + 1;
      const delayMs = error instanceof RateLimited ? error.retryAfterMs : backoffMs(restart, failures, deps.random);
      deps.log.warn(
        { service: service.name, failures, delayMs, err: describe(error) },
        'service failed, starting again',
      );
      await deps.clock.sleep(delayMs, signal);
    }
  }
}

/** Runs services side by side. When one cannot go on, the others are told to stop and waited for: nothing runs on behind a failure. */
export async function superviseAll(
  deps: ServiceDeps,
  services: readonly Service[],
  signal: AbortSignal,
): Promise<void> {
  const scope = new AbortController();
  const stop = AbortSignal.any([signal, scope.signal]);
  let failure: { readonly error: unknown } | null = null;
  await Promise.all(
    services.map(async (service) => {
      try {
        await supervise(deps, service, stop);
      } catch (error) {
        failure ??= { error };
        scope.abort();
      }
    }),
  );
  if (failure !== null) throw (failure as { readonly error: unknown }).error;
}

/** An error as the log shows it: code, message, cause; no stack, no values. */
export function describe(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) };
  const cause = error.cause instanceof Error ? { cause: error.cause.message } : {};
  if (error instanceof TruespokeError) {
    const next = error.hint === undefined ? {} : { next: error.hint };
    return { code: error.code, message: error.message, ...next, ...error.place, ...cause };
  }
  return { name: error.name, message: error.message, ...cause, at: error.stack?.split('\n')[1]?.trim() };
}

/** Wakes a loop that waits; a wake-up while it works is not lost. */
export class Bell {
  private waiting: (() => void) | null = null;
  private rung = false;

  ring(): void {
    this.rung = true;
    this.waiting?.();
  }

  /** True when it was rung, false when the time was up. */
  async wait(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
    if (!this.rung) {
      const over = new AbortController();
      const end = (): void => over.abort();
      this.waiting = end;
      // Not AbortSignal.any: each call would leave a trace in the long-lived signal, and this loop never ends.
      setMaxListeners(0, signal);
      signal.addEventListener('abort', end, { once: true });
      if (signal.aborted) end();
      await clock.sleep(ms, over.signal);
      signal.removeEventListener('abort', end);
      this.waiting = null;
    }
    const { rung } = this;
    this.rung = false;
    return rung;
  }
}
