// Proves that lanes are kept busy in time that does not depend on the machine: the hub's part of each batch takes a told while, the calls too.
import { beforeEach, expect, test, vi } from 'vitest';
import type { EngineContext, LiveSpoke } from '../../src/engine/context.js';
import { deliverSpoke } from '../../src/engine/outbound-service.js';
import { entityName } from '../../src/model/ids.js';
import { uncounted } from '../../src/model/status.js';
import { silentLog } from '../../src/base/log.js';
import type { OutboundDeps } from '../../src/outbound/batch.js';
import { VirtualClock } from '../support/virtual-clock.js';

const delivery = vi.hoisted(() => ({ deliver: (_: unknown): Promise<unknown> => Promise.reject(new Error('unset')) }));
vi.mock('../../src/outbound/pipeline.js', () => ({ deliver: (deps: unknown) => delivery.deliver(deps) }));

const [lanes, writeBatch] = [5, 200];
const ms = { look: 2, compare: 20, calls: 100, settle: 40 };

let clock: VirtualClock;
let due: number;
/** What the next batch leaves behind, due at once. */
let freed: number;
let ring: () => void;
let batches: { readonly records: number; readonly from: number; to: number }[];
let looks: number;
let claimedAhead: number;
let aheadMost: number;

beforeEach(() => {
  clock = new VirtualClock();
  [due, freed, batches, looks, claimedAhead, aheadMost, ring] = [0, 0, [], 0, 0, 0, () => undefined];
  delivery.deliver = (deps) => deliverOne(deps as OutboundDeps);
});

async function deliverOne({ pace, onClaimed, onFreed, inLane }: OutboundDeps): Promise<unknown> {
  looks += 1;
  await clock.sleep(ms.look);
  const idle = { claimed: 0, writes: 0, pause: null };
  if (due === 0 || pace?.admits({ entity: entityName('contact'), pending: due, first: 'a', unknown: false }) !== true)
    return idle;
  const records = Math.min(due, writeBatch);
  due -= records;
  claimedAhead += 1;
  aheadMost = Math.max(aheadMost, claimedAhead);
  onClaimed?.(due > 0);
  await clock.sleep(ms.compare);
  await inLane?.(async () => {
    claimedAhead -= 1;
    const batch = { records, from: clock.monotonic(), to: Infinity };
    batches.push(batch);
    await clock.sleep(ms.calls);
    batch.to = clock.monotonic();
  });
  await clock.sleep(ms.settle);
  due += freed;
  if (freed > 0) onFreed?.();
  freed = 0;
  return { claimed: records, writes: records, pause: null };
}

function start(signal: AbortSignal): Promise<void> {
  const live = {
    name: 'remote',
    spoke: { capabilities: { lanes, writeBatch, bulkWriteFrom: null } },
    objects: [],
    defaults: new Map(),
    ready: new Set(),
    log: silentLog,
    outboundBell: {
      ring: () => ring(),
      wait: (_clock: unknown, waitMs: number, stop: AbortSignal) =>
        Promise.race([clock.sleep(waitMs, stop), new Promise<void>((resolve) => (ring = resolve))]),
    },
    whenOpen: () => Promise.resolve(),
    pause: () => Promise.resolve(),
  } as unknown as LiveSpoke;
  const pool = { query: () => Promise.resolve({ rows: [] }) };
  return deliverSpoke(
    { clock, counters: uncounted, pool } as unknown as EngineContext,
    live,
    {} as OutboundDeps,
    signal,
  );
}

async function running(body: () => Promise<void>): Promise<void> {
  const stop = new AbortController();
  const service = start(stop.signal);
  await clock.advance(0);
  await body();
  due = 0;
  stop.abort();
  await clock.advance(1_000);
  await service;
}

/** How many batches had a lane at a time. */
const inLanesAt = (atMs: number): number => batches.filter(({ from, to }) => from <= atMs && to > atMs).length;

test('with work for all, the lanes are held for 0.95 of the time though the hub takes 62 ms beside 100 ms of calls', async () => {
  due = 200_000;
  await running(async () => {
    await clock.advance(500);
    const fromMs = clock.monotonic();
    await clock.advance(5_000);
    let held = 0;
    for (let atMs = fromMs; atMs < fromMs + 5_000; atMs += 1) {
      expect(inLanesAt(atMs)).toBeLessThanOrEqual(lanes);
      held += inLanesAt(atMs);
    }
    expect(held / (5_000 * lanes)).toBeGreaterThanOrEqual(0.95);
  });
  // The first batches of all lanes, else half as many as there are lanes: what was compared does not lie about for long.
  expect(aheadMost).toBeLessThanOrEqual(lanes + 1);
});

test('what fills no batch is not claimed ahead: it goes with the next lane, together with what came meanwhile', async () => {
  due = lanes * writeBatch - 1;
  await running(async () => {
    await clock.advance(60);
    expect(batches).toHaveLength(lanes);
    due = 10;
    ring();
    await clock.advance(20);
    due += 30;
    ring();
    await clock.advance(60 + ms.look + ms.compare);
    expect(batches.slice(lanes).map(({ records }) => records)).toEqual([40]);
    const [first] = batches.map(({ to }) => to).toSorted((a, b) => a - b);
    expect(batches[lanes]?.from).toBe((first ?? 0) + ms.look + ms.compare);
  });
});

test('a single edit begins its calls at once', async () => {
  await running(async () => {
    await clock.advance(1_000);
    const atMs = clock.monotonic();
    due = 1;
    ring();
    await clock.advance(50);
    expect(batches.map(({ from }) => from - atMs)).toEqual([ms.look + ms.compare]);
  });
});

test('who took all that was due is followed by no look; what a batch leaves behind goes at once', async () => {
  const batchMs = ms.look + ms.compare + ms.calls + ms.settle;
  await running(async () => {
    await clock.advance(1_000);
    looks = 0;
    due = 1;
    ring();
    await clock.advance(batchMs + 1);
    expect(looks).toBe(1);
    [due, freed] = [1, 1];
    ring();
    await clock.advance(2 * batchMs + 2);
    expect([batches.length, looks]).toEqual([3, 3]);
  });
});
