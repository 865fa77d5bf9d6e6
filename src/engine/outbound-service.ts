// Keeps one spoke's deliveries going out: as many batches at once as the spoke has lanes. p-queue bounds the concurrency and is fed
// from the delivery table at most twice over (it has no bound of its own).
import PQueue from 'p-queue';
import { SpokePaused } from '../base/errors.js';
import type { OutboundDeps } from '../outbound/batch.js';
import { deliver } from '../outbound/pipeline.js';
import { readReadiness } from './backfill.js';
import type { EngineContext, LiveSpoke } from './context.js';
import { describe } from './service.js';

export async function deliverSpoke(
  context: EngineContext,
  live: LiveSpoke,
  deps: OutboundDeps,
  signal: AbortSignal,
): Promise<void> {
  const lanes = Math.max(1, live.spoke.capabilities.lanes);
  const queue = new PQueue({ concurrency: lanes });
  const open = { name: live.name, spoke: live.spoke, defaults: live.defaults };
  let failure: unknown = null;
  let everyReady = false;
  const task = async (): Promise<void> => {
    if (signal.aborted || failure !== null) return;
    try {
      const result = await deliver(deps, open, live.ready, signal);
      if (result.pause !== null) {
        await live.pause(result.pause);
        return;
      }
      if (result.claimed === 0) return;
      context.counters.recordsOut(live.name, 'all', 'applied', result.writes);
      live.log.debug({ ...result }, 'records out');
      if (queue.size + queue.pending < 2 * lanes) void queue.add(task);
    } catch (error) {
      failure ??= error;
    }
  };
  try {
    while (!signal.aborted) {
      await live.whenOpen(signal);
      // The process that reads the spoke may be another one: what it has read is in the cursors.
      everyReady ||= await readReadiness(context, live);
      while (queue.size + queue.pending < lanes) void queue.add(task);
      await live.outboundBell.wait(context.clock, 500, signal);
      if (failure !== null) throw failure;
    }
  } finally {
    queue.clear();
    await queue.onIdle();
  }
}

/** A paused spoke is not a failed service. */
export async function pauseOn(live: LiveSpoke, error: unknown): Promise<boolean> {
  if (!(error instanceof SpokePaused)) return false;
  live.log.error({ err: describe(error) }, 'spoke paused');
  await live.pause(error);
  return true;
}
