import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  available,
  floorOf,
  laneShare,
  observed,
  pauseLeftMs,
  pollEveryMs,
  takeTokens,
  type Quota,
} from '../../src/model/quota.js';

const t0 = Date.UTC(2026, 0, 1);
const quota = (more: Partial<Quota> = {}): Quota => ({
  remaining: 100,
  limit: 100,
  restorePerSecond: 10,
  resetAtMs: null,
  reserve: 0,
  updatedAtMs: t0,
  pausedAtMs: null,
  pausedUntilMs: null,
  ...more,
});
const take = (state: Quota, cost: number, lane: 'interactive' | 'repair' | 'backfill' = 'interactive', atMs = t0) =>
  takeTokens(state, { lane, cost, wanted: cost }, atMs);

test('tokens come back with time, up to the limit, and at once at the reset', () => {
  const empty = quota({ remaining: 0 });
  expect(available(empty, t0 + 2_500)).toBe(25);
  expect(available(empty, t0 + 3_600_000)).toBe(100);
  expect(available(quota({ remaining: 0, restorePerSecond: 0, resetAtMs: t0 + 60_000 }), t0 + 59_999)).toBe(0);
  expect(available(quota({ remaining: 0, restorePerSecond: 0, resetAtMs: t0 + 60_000 }), t0 + 60_000)).toBe(100);
});

test('F99 a clock that steps back an hour restores nothing, takes nothing and does not freeze the refill', () => {
  const stepped = take(quota({ remaining: 50 }), 10, 'interactive', t0 - 3_600_000);
  expect(stepped.grant.granted).toBe(10);
  expect(stepped.next.remaining).toBe(40);
  expect(available(stepped.next, t0 - 3_600_000 + 1_000)).toBe(50);
});

test('backfill stops before repair, repair before interactive, and the reserve is nobody’s', () => {
  const state = quota({ restorePerSecond: 0, reserve: 0.2 });
  const drain = (from: Quota, lane: 'interactive' | 'repair' | 'backfill'): Quota => {
    let current = from;
    for (;;) {
      const { grant, next } = take(current, 1, lane);
      if (grant.granted === 0) return current;
      current = next;
    }
  };
  const afterBackfill = drain(state, 'backfill');
  const afterRepair = drain(afterBackfill, 'repair');
  const afterInteractive = drain(afterRepair, 'interactive');
  expect([afterBackfill.remaining, afterRepair.remaining, afterInteractive.remaining]).toEqual([52, 32, 20]);
});

test('a refusal says the shortest wait that helps', () => {
  expect(take(quota({ remaining: 0 }), 5).grant).toEqual({ granted: 0, waitMs: 500, reason: 'empty' });
  expect(take(quota({ remaining: 0, restorePerSecond: 0, resetAtMs: t0 + 7_000 }), 5).grant.waitMs).toBe(7_000);
  expect(take(quota({ remaining: 0, restorePerSecond: 0 }), 5).grant.waitMs).toBe(60_000);
});

test('a call dearer than its lane can ever hold starts when the lane is full, not never', () => {
  expect(take(quota(), 500).grant.granted).toBe(500);
  expect(take(quota({ remaining: 99 }), 500).grant).toMatchObject({ granted: 0, waitMs: 100 });
});

test('F61 a pause holds every lane until it ends', () => {
  const paused = quota({ pausedAtMs: t0, pausedUntilMs: t0 + 30_000 });
  expect(take(paused, 1).grant).toEqual({ granted: 0, waitMs: 30_000, reason: 'paused' });
  expect(take(paused, 1, 'interactive', t0 + 30_000).grant.granted).toBe(1);
});

test('F99 a clock step never makes a pause longer than it was meant to be', () => {
  const paused = { pausedAtMs: t0, pausedUntilMs: t0 + 30_000 };
  expect(pauseLeftMs(paused, t0 - 3_600_000)).toBe(0);
  expect(pauseLeftMs(paused, t0 - 2_000)).toBe(30_000);
  expect(pauseLeftMs(paused, t0 + 3_600_000)).toBe(0);
});

test('what the remote tells replaces what we believed, but not the reserve or a pause', () => {
  const before = quota({ reserve: 0.3, pausedAtMs: t0, pausedUntilMs: t0 + 5 });
  const after = observed(before, { remaining: 7, limit: 40 }, t0 + 1);
  expect(after).toMatchObject({
    remaining: 7,
    limit: 40,
    restorePerSecond: 10,
    reserve: 0.3,
    pausedUntilMs: t0 + 5,
    updatedAtMs: t0 + 1,
  });
  expect(observed(null, { remaining: -3, limit: 40 }, t0).remaining).toBe(0);
  expect(observed(null, { remaining: 90, limit: 40 }, t0).remaining).toBe(40);
});

test('whatever happens, nobody gets more than was there, and no lane goes below its floor', () => {
  const lane = fc.constantFrom('interactive' as const, 'repair' as const, 'backfill' as const);
  const step = fc.record({
    lane,
    cost: fc.integer({ min: 1, max: 30 }),
    extra: fc.integer({ min: 0, max: 50 }),
    waitMs: fc.integer({ min: -5_000, max: 5_000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.double({ min: 0, max: 0.9, noNaN: true }), (steps, reserve) => {
      let state = quota({ reserve, limit: 200, remaining: 200 });
      let nowMs = t0;
      for (const { lane: asked, cost, extra, waitMs } of steps) {
        nowMs += waitMs;
        const before = available(state, nowMs);
        const { grant, next } = takeTokens(state, { lane: asked, cost, wanted: cost + extra }, nowMs);
        const floor = floorOf(state, asked);
        if (grant.granted > 0) {
          expect(next.remaining).toBeCloseTo(before - Math.min(grant.granted, state.limit - floor), 6);
          expect(next.remaining).toBeGreaterThanOrEqual(floor - 1e-6);
          expect(grant.granted).toBeGreaterThanOrEqual(cost);
          expect(grant.granted).toBeLessThanOrEqual(cost + extra);
        } else {
          expect(grant.waitMs).toBeGreaterThan(0);
          expect(next.remaining).toBeCloseTo(before, 6);
        }
        state = next;
      }
    }),
  );
  expect(laneShare.interactive).toBeLessThan(laneShare.repair);
  expect(laneShare.repair).toBeLessThan(laneShare.backfill);
});

test('polls take no more than what is left of a day above the reserve, spread over it', () => {
  const day = { limit: 15_000, windowMs: 86_400_000 };
  const every = (remaining: number, more: object = day): number =>
    pollEveryMs(10_000, { calls: 5, budget: { limit: 100, remaining, ...more }, reserve: 0.2 });
  expect(every(15_000)).toBe(36_000);
  expect(every(9_000)).toBe(72_000);
  // Little is left, or nothing: it is looked again, but no less often than a refused call would be.
  expect([every(3_001), every(3_000), every(0)]).toEqual([900_000, 900_000, 900_000]);
  expect(every(1_000_000, { ...day, limit: 1_000_000 })).toBe(10_000);
  // A budget that refills by the second is kept by the limiter alone.
  expect(every(1, { restorePerSecond: 2 })).toBe(10_000);
  expect(pollEveryMs(10_000, { calls: 5, budget: null, reserve: 0.2 })).toBe(10_000);
});
