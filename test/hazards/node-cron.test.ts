// What node-cron 4.6 does by itself, and that our one use of it (engine/schedule.ts) only lets it ring.
import type * as nodeCron from 'node-cron';
import { getTasks, schedule } from 'node-cron';
import { afterEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { silentLog } from '../../src/base/log.js';
import type { EngineContext, LiveSpoke } from '../../src/engine/context.js';
import { reconcileSpoke } from '../../src/engine/schedule.js';

const calls = vi.hoisted(() => ({ sweep: (): Promise<unknown[]> => Promise.resolve([]), options: [] as unknown[] }));
vi.mock('../../src/reconcile/sweep.js', () => ({ sweep: () => calls.sweep() }));
vi.mock('node-cron', async (original) => {
  const real = await original<typeof nodeCron>();
  return {
    ...real,
    schedule: (...given: Parameters<typeof real.schedule>) => {
      calls.options.push(given[2]);
      return real.schedule(...given);
    },
  };
});

afterEach(() => {
  calls.options = [];
});

const live = {
  name: 'remote',
  spoke: {},
  log: silentLog,
  whenOpen: () => Promise.resolve(),
  outboundBell: { ring: () => undefined },
  hintBell: { ring: () => undefined },
} as unknown as LiveSpoke;

function run(tryLock: () => Promise<boolean>, cron: string | null, signal: AbortSignal): Promise<void> {
  const context = { clock: systemClock, session: { tryLock } } as unknown as EngineContext;
  return reconcileSpoke(context, live, cron, signal);
}

test('node-cron follows the local time zone unless told otherwise: ours is always UTC', async () => {
  const stop = new AbortController();
  const service = run(() => Promise.resolve(false), '0 3 * * *', stop.signal);
  expect(calls.options).toEqual([expect.objectContaining({ timezone: 'UTC' })]);
  stop.abort();
  await service;
});

test('node-cron starts a run although the last one still goes on; ours never overlap', async () => {
  let bare = 0;
  const overlapping = schedule('* * * * * *', async () => {
    bare += 1;
    await systemClock.sleep(10_000);
  });
  let [running, most, runs] = [0, 0, 0];
  calls.sweep = async () => {
    most = Math.max(most, (running += 1));
    runs += 1;
    await systemClock.sleep(1_500);
    running -= 1;
    return [];
  };
  const stop = new AbortController();
  const service = run(() => Promise.resolve(true), '* * * * * *', stop.signal);
  await expect.poll(() => bare >= 3 && runs >= 2, { timeout: 10_000, interval: 50 }).toBe(true);
  stop.abort();
  await service;
  await overlapping.destroy();
  expect(most).toBe(1);
});

test('every process is woken, the one that holds the lock does the work', async () => {
  let [asked, sweeps] = [0, 0];
  calls.sweep = () => Promise.resolve([void (sweeps += 1)].slice(1));
  const stop = new AbortController();
  const service = run(() => Promise.resolve(((asked += 1), false)), '* * * * * *', stop.signal);
  await expect.poll(() => asked, { timeout: 5_000 }).toBeGreaterThan(0);
  stop.abort();
  await service;
  expect(sweeps).toBe(0);
});

test('stopping leaves no timer of node-cron behind, and no timetable means no work', async () => {
  const before = getTasks().size;
  const stop = new AbortController();
  const service = run(() => Promise.resolve(true), '0 3 * * *', stop.signal);
  expect(getTasks().size).toBe(before + 1);
  stop.abort();
  await service;
  await expect.poll(() => getTasks().size).toBe(before);
  await run(() => Promise.reject(new Error('asked')), null, new AbortController().signal);
});
