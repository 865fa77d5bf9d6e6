// Keeps one spoke's deliveries going out: its lanes stay busy with calls while the hub works on the batches before and after. p-queue
// bounds what is under way and is fed from the delivery table at most twice over (it has no bound of its own).
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
  // A lane holds a batch from its first look to its last answer. Meanwhile others are claimed and compared, or settled: with as many batches
  // as lanes, the lanes of a 50 ms spoke stood idle while the hub worked (bench row 9). What a batch ahead compared is checked once more as
  // it is recorded as sent (`markSent`); few are ahead, so that few are compared in vain.
  const batches = 2 * lanes;
  const aheadMax = Math.ceil(lanes / 2);
  const queue = new PQueue({ concurrency: batches });
  const calls = new PQueue({ concurrency: lanes });
  // Without a lane yet: batches that look for work or have some, and those of them that have.
  let ahead = 0;
  let claimedAhead = 0;
  const pace = new Pace({
    clock: context.clock,
    lanes,
    writeBatch,
    bulkWriteFrom,
    isLaneFree: () => calls.pending + claimedAhead < lanes,
  });
  const open = { name: live.name, spoke: live.spoke, defaults: live.defaults };
  let failure: unknown = null;
  let everyReady = false;
  let missed = false;
  let again = false;
  // One look at a time: whoever finds work sends the next look, on the next lane. A look on every lane at each ring found nothing four
  // times of five, and the looks waited for each other's row locks (bench row 7: half of all statements).
  const look = (): void => {
    if (queue.pending >= batches || ahead >= Math.max(aheadMax, lanes - calls.pending)) missed = true;
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
  const lookForMissed = (): void => {
    if (missed || pace.waitsForLane) look();
  };
  const task = async (): Promise<void> => {
    if (signal.aborted || failure !== null) return;
    missed = false;
    ahead += 1;
    let [isAhead, isClaimed] = [true, false];
    const leave = (): void => {
      if (isAhead) ahead -= 1;
      if (isAhead && isClaimed) claimedAhead -= 1;
      isAhead = false;
    };
    const onClaimed = (): void => {
      isClaimed = true;
      claimedAhead += 1;
      look();
    };
    const inLane: OutboundDeps['inLane'] = async (work) => {
      const result = await calls.add(() => {
        leave();
        lookForMissed();
        // Told to stop while it waited: nothing of it was sent, and nothing counts as sent.
        signal.throwIfAborted();
        return work();
      });
      // What was not worth a claim ahead may go now.
      lookForMissed();
      return result;
    };
    try {
      const result = await deliver({ ...deps, onClaimed, pace, inLane }, open, live.ready, signal);
      leave();
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
    } finally {
      leave();
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
