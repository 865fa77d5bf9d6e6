// Keeps one spoke's deliveries going out: as many batches at once as the spoke has lanes. p-queue bounds the concurrency and is fed
// from the delivery table at most twice over (it has no bound of its own).
import PQueue from 'p-queue';
import { SpokePaused } from '../base/errors.js';
import type { OutboundDeps } from '../outbound/batch.js';
import { Pace } from '../outbound/pace.js';
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
  const { lanes: lanesTold, writeBatch, bulkWriteFrom } = live.spoke.capabilities;
  const lanes = Math.max(1, lanesTold);
  // No batch is claimed ahead of a free lane: what it compared would be old when its turn comes, and a look at the spoke may lag by as much.
  // Seen in the simulation: edits of the spoke written over (7 of 20 seeds broke a law, 2 without).
  const queue = new PQueue({ concurrency: lanes });
  const pace = new Pace({ clock: context.clock, lanes, writeBatch, bulkWriteFrom });
  const open = { name: live.name, spoke: live.spoke, defaults: live.defaults };
  let failure: unknown = null;
  let everyReady = false;
  let missed = false;
  let again = false;
  // One look at a time: whoever finds work sends the next look, on the next lane. A look on every lane at each ring found nothing four
  // times of five, and the looks waited for each other's row locks (bench row 7: half of all statements).
  const look = (): void => {
    if (queue.pending >= lanes) missed = true;
    else if (queue.size === 0) void queue.add(task);
  };
  const lookAgain = (): void => {
    if (again || pace.againMs === null) return;
    again = true;
    void context.clock.sleep(pace.againMs, signal).then(() => {
      again = false;
      live.outboundBell.ring();
    });
  };
  const task = async (): Promise<void> => {
    if (signal.aborted || failure !== null) return;
    missed = false;
    try {
      const result = await deliver({ ...deps, onClaimed: look, pace }, open, live.ready, signal);
      if (result.pause !== null) {
        await live.pause(result.pause);
        return;
      }
      if (result.claimed === 0) {
        lookAgain();
        // Someone rang while every lane was looking, perhaps just too early.
        if (missed && queue.size === 0) void queue.add(task);
        return;
      }
      context.counters.recordsOut(live.name, 'all', 'applied', result.writes);
      live.log.debug({ ...result }, 'records out');
      // While it was under way its records may have become dirty again.
      if (queue.size < lanes) void queue.add(task);
    } catch (error) {
      failure ??= error;
    }
  };
  try {
    while (!signal.aborted) {
      await live.whenOpen(signal);
      // The process that reads the spoke may be another one: what it has read is in the cursors.
      everyReady ||= await readReadiness(context, live);
      look();
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
