// Keeps one spoke's deliveries going out: its lanes stay busy with calls while the hub works on the batches before and after (lanes.ts).
// Owns when it is worth looking for work.
import { SpokePaused } from '../base/errors.js';
import type { OutboundDeps } from '../outbound/batch.js';
import { Pace } from '../outbound/pace.js';
import { deliver } from '../outbound/pipeline.js';
import { readReadiness } from './backfill.js';
import type { EngineContext, LiveSpoke } from './context.js';
import { Lanes, type Way } from './lanes.js';
import { describe } from './service.js';

export async function deliverSpoke(
  context: EngineContext,
  live: LiveSpoke,
  deps: OutboundDeps,
  signal: AbortSignal,
): Promise<void> {
  const { writeBatch, bulkWriteFrom } = live.spoke.capabilities;
  const lanes = new Lanes(Math.max(1, live.spoke.capabilities.lanes), () => lookForMissed());
  const pace = new Pace({
    clock: context.clock,
    lanes: lanes.count,
    writeBatch,
    bulkWriteFrom,
    isLaneFree: () => lanes.isFree,
  });
  const open = { name: live.name, spoke: live.spoke, defaults: live.defaults };
  let failure: unknown = null;
  let everyReady = false;
  let missed = false;
  let again = false;
  // One look at a time, and only when there may be something to find: whoever leaves something behind sends the next look, on the next lane.
  // A look on every lane at each ring found nothing four times of five, and the looks waited for each other's row locks (bench row 7: half of
  // all statements); a look after every batch found nothing two times of three.
  const look = (): void => {
    if (lanes.isFull) missed = true;
    else lanes.begin(task);
  };
  const lookAgain = (): void => {
    if (again || pace.againMs === null) return;
    again = true;
    void context.clock.sleep(pace.againMs, signal).then(() => {
      again = false;
      live.outboundBell.ring();
    });
  };
  // Someone rang while every lane was looking, perhaps just too early; or there was not enough for a batch beside others.
  const lookForMissed = (): void => {
    if (signal.aborted || failure !== null) return;
    if (missed || (pace.waitsForLane && lanes.isFree)) look();
  };
  const task = async ({ claimed, call }: Way): Promise<void> => {
    if (signal.aborted || failure !== null) return;
    missed = false;
    pace.begin();
    const onClaimed = (more: boolean): void => {
      claimed();
      if (more) look();
    };
    const inLane: OutboundDeps['inLane'] = (work) =>
      call(() => {
        // Told to stop while it waited: nothing of it was sent, and nothing counts as sent.
        signal.throwIfAborted();
        return work();
      });
    const onFreed = (): void => live.outboundBell.ring();
    try {
      const result = await deliver({ ...deps, onClaimed, onFreed, pace, inLane }, open, live.ready, signal);
      if (result.pause !== null) {
        await live.pause(result.pause);
        return;
      }
      if (result.claimed === 0) lookAgain();
      else {
        context.counters.recordsOut(live.name, 'all', 'applied', result.writes);
        live.log.debug({ ...result }, 'records out');
      }
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
    await lanes.end();
  }
}

/** A paused spoke is not a failed service. */
export async function pauseOn(live: LiveSpoke, error: unknown): Promise<boolean> {
  if (!(error instanceof SpokePaused)) return false;
  live.log.error({ err: describe(error) }, 'spoke paused');
  await live.pause(error);
  return true;
}
