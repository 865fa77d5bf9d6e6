// Whose turn it is: one process at a time in each role of a spoke, and each object of a spoke for itself (law 9).
import { ConfigError, RateLimited, SpokePaused } from '../base/errors.js';
import type { EngineContext, LiveSpoke } from './context.js';

/** Waits until this process is the one that reads the spoke. */
export async function elected(
  context: EngineContext,
  live: LiveSpoke,
  role: string,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted && !(await context.session.tryLock(`${role}/${live.name}`))) {
    await context.clock.sleep(1_000, signal);
  }
}

/** An object that cannot be read holds up no other (law 9): the failure is reported once all had their turn. */
export async function eachAlone<T>(
  all: Iterable<T>,
  signal: AbortSignal,
  body: (one: T) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  for (const one of all) {
    if (signal.aborted) return;
    try {
      await body(one);
    } catch (error) {
      // These are about the whole spoke.
      if (error instanceof RateLimited || error instanceof SpokePaused || error instanceof ConfigError) throw error;
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
