// What bottleneck 2.19.5 does by itself, and that our one use of it (connectors/limiter.ts) does not suffer from it.
import Bottleneck from 'bottleneck';
import { afterEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { silentLog } from '../../src/base/log.js';
import { seeded } from '../../src/base/random.js';
import type { BoundLimiter } from '../../src/connectors/limiter-gate.js';
import { memoryLedger } from '../../src/connectors/limiter-plain.js';
import { openLimiter } from '../../src/connectors/limiter.js';
import { spokeName } from '../../src/model/ids.js';

let limiter: BoundLimiter | null = null;
afterEach(async () => {
  vi.restoreAllMocks();
  await limiter?.close();
  limiter = null;
});

const ours = (concurrency = 2): BoundLimiter => {
  const signal = new AbortController().signal;
  return (limiter = openLimiter({
    spoke: spokeName('remote'),
    clock: systemClock,
    random: seeded(1),
    log: silentLog,
    ledger: memoryLedger(systemClock),
    signal,
    concurrency,
  }));
};
const ask = { cost: 1, lane: 'interactive' } as const;

/** Resolves to what the promise gives, or to 'still waiting' when it does not within `ms`. */
const within = <T>(ms: number, promise: Promise<T>): Promise<T | 'still waiting'> =>
  Promise.race([promise, systemClock.sleep(ms).then(() => 'still waiting' as const)]);

/** The wall clock goes back an hour from the next look on. */
function stepBack(): void {
  const real = Date.now.bind(Date);
  vi.spyOn(Date, 'now').mockImplementation(() => real() - 3_600_000);
}

test('F99 a step back of the wall clock freezes bottleneck, even without minTime; our limiter goes on', async () => {
  const bare = new Bottleneck({ maxConcurrent: 2 });
  await bare.schedule(() => Promise.resolve());
  const bound = ours();
  await bound.run(ask, () => Promise.resolve());
  stepBack();
  expect(
    await within(
      300,
      bare.schedule(() => Promise.resolve('ran')),
    ),
  ).toBe('still waiting');
  expect(await bound.run(ask, () => Promise.resolve('ran'))).toBe('ran');
  vi.restoreAllMocks();
  await bare.stop({ dropWaitingJobs: true }).catch(() => undefined);
});

test("bottleneck's expiration rejects and leaves the call running; our limiter has none and waits for the call's own end", async () => {
  let bareEnded = false;
  const bare = new Bottleneck({ maxConcurrent: 1 });
  const call = (ended: () => void) => async (): Promise<string> => {
    await systemClock.sleep(120);
    ended();
    return 'done';
  };
  await expect(
    bare.schedule(
      { expiration: 20 },
      call(() => (bareEnded = true)),
    ),
  ).rejects.toThrow('timed out');
  expect(bareEnded).toBe(false);

  let oursEnded = false;
  const bound = ours(1);
  const stop = new AbortController();
  const running = bound.run(
    { ...ask, signal: stop.signal },
    call(() => (oursEnded = true)),
  );
  await expect.poll(() => bound.status().running).toBe(1);
  stop.abort();
  expect(await running).toBe('done');
  expect([oursEnded, bound.status().running]).toEqual([true, 0]);
});

test('the reservoir stops refilling after updateSettings; our quota is in the ledger and refills with time', async () => {
  const bare = new Bottleneck({ reservoir: 1, reservoirRefreshAmount: 1, reservoirRefreshInterval: 250 });
  bare.updateSettings({ maxConcurrent: 3 });
  await bare.schedule(() => Promise.resolve());
  expect(
    await within(
      900,
      bare.schedule(() => Promise.resolve('ran')),
    ),
  ).toBe('still waiting');
  await bare.stop({ dropWaitingJobs: true }).catch(() => undefined);

  const bound = ours();
  bound.observe({ remaining: 0, limit: 1, restorePerSecond: 4 });
  expect(
    await within(
      900,
      bound.run(ask, () => Promise.resolve('ran')),
    ),
  ).toBe('ran');
});

test('a call that throws at once, or is cancelled in the queue, does not cost its slot', async () => {
  const bound = ours(1);
  for (let n = 0; n < 5; n++) {
    await expect(bound.run(ask, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await expect(
      bound.run({ ...ask, signal: AbortSignal.abort(new Error('off')) }, () => Promise.resolve()),
    ).rejects.toThrow('off');
  }
  expect(
    await within(
      1_000,
      bound.run(ask, () => Promise.resolve('ran')),
    ),
  ).toBe('ran');
});
