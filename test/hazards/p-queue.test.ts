// What p-queue 9 does by itself, and that our one use of it (engine/outbound-service.ts) bounds it.
import PQueue from 'p-queue';
import { afterEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { silentLog } from '../../src/base/log.js';
import { uncounted } from '../../src/model/status.js';
import type { EngineContext, LiveSpoke } from '../../src/engine/context.js';
import { deliverSpoke } from '../../src/engine/outbound-service.js';
import type { OutboundDeps } from '../../src/outbound/batch.js';

const delivery = vi.hoisted(() => ({
  deliver: (_: OutboundDeps): Promise<unknown> => Promise.resolve({ claimed: 0, writes: 0, pause: null }),
}));
vi.mock('../../src/outbound/pipeline.js', () => ({
  deliver: (deps: OutboundDeps) => delivery.deliver(deps),
}));

afterEach(() => void vi.restoreAllMocks());

const lanes = 3;
function run(signal: AbortSignal): Promise<void> {
  const bell = { wait: (_clock: unknown, _ms: number, stop: AbortSignal) => systemClock.sleep(5, stop) };
  const live = {
    name: 'remote',
    spoke: { capabilities: { lanes } },
    objects: [],
    defaults: new Map(),
    ready: new Set(),
    log: silentLog,
    outboundBell: bell,
    whenOpen: () => Promise.resolve(),
    pause: () => Promise.resolve(),
  } as unknown as LiveSpoke;
  const pool = { query: () => Promise.resolve({ rows: [] }) };
  const context = { clock: systemClock, counters: uncounted, pool } as unknown as EngineContext;
  return deliverSpoke(context, live, {} as OutboundDeps, signal);
}

test("p-queue's timeout leaves the work running and has no bound on what waits", async () => {
  let ended = false;
  const queue = new PQueue({ concurrency: 1, timeout: 20 });
  const work = queue.add(async () => {
    await systemClock.sleep(100);
    ended = true;
  });
  for (let n = 0; n < 1_000; n++) void queue.add(() => Promise.resolve());
  expect(queue.size).toBe(1_000);
  await expect(work).rejects.toThrow();
  expect(ended).toBe(false);
  queue.clear();
  await queue.onIdle();
});

test('with endless work due, no more batches are under way than lanes, and no more wait than that', async () => {
  const add = vi.spyOn(PQueue.prototype, 'add');
  let [running, most, rounds] = [0, 0, 0];
  delivery.deliver = async ({ onClaimed }) => {
    onClaimed?.(true);
    most = Math.max(most, (running += 1));
    await systemClock.sleep(1);
    running -= 1;
    rounds += 1;
    return { claimed: 10, writes: 10, pause: null };
  };
  const stop = new AbortController();
  const service = run(stop.signal);
  const fullest: number[] = [];
  await expect
    .poll(
      () => {
        for (const { value: queue } of [...new Set(add.mock.contexts)].map((value) => ({ value: value as PQueue })))
          fullest.push(queue.size + queue.pending);
        return rounds;
      },
      { interval: 1, timeout: 10_000 },
    )
    .toBeGreaterThan(100);
  stop.abort();
  await service;
  expect(most).toBe(lanes);
  expect(Math.max(...fullest)).toBeLessThanOrEqual(2 * lanes);
  expect(fullest.length).toBeGreaterThan(3);
});

test('stopping waits for the batches that are under way, and starts no other', async () => {
  let [started, ended] = [0, 0];
  let finish = (): void => undefined;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  delivery.deliver = async () => {
    started += 1;
    await finished;
    ended += 1;
    return { claimed: 1, writes: 1, pause: null };
  };
  const stop = new AbortController();
  const service = run(stop.signal);
  await expect.poll(() => started, { timeout: 10_000 }).toBe(lanes);
  stop.abort();
  finish();
  await service;
  expect([started, ended]).toEqual([lanes, lanes]);
});

test('a failed batch fails the service once the others have ended; nothing is rejected unseen', async () => {
  let ended = 0;
  let calls = 0;
  delivery.deliver = async () => {
    calls += 1;
    if (calls === 2) throw new Error('hub is gone');
    await systemClock.sleep(40);
    ended += 1;
    return { claimed: 0, writes: 0, pause: null };
  };
  await expect(run(new AbortController().signal)).rejects.toThrow('hub is gone');
  expect(ended).toBeGreaterThanOrEqual(1);
});
