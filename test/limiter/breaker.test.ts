import { expect, test } from 'vitest';
import { Breaker } from '../../src/connectors/limiter-breaker.js';
import type { Random } from '../../src/base/random.js';

const most: Random = { next: () => 1 };
const open = (openMs = 1_000): Breaker => {
  const breaker = new Breaker({ failuresMax: 2, openMs, openMsMax: 3_000 }, most);
  for (let n = 0; n < 2; n++) breaker.leave(breaker.enter(0) ?? 'ordinary', 'failure', 0);
  return breaker;
};

test('F62 half-open lets exactly one call through, however many stand at the gate at that moment', () => {
  const breaker = open();
  expect(breaker.enter(999)).toBeNull();
  expect(breaker.enter(1_000)).toBe('probe');
  expect(breaker.enter(1_000)).toBeNull();
  expect(breaker.waitMs(1_000)).toBe(Infinity);
});

test('each failed probe doubles the open time, up to its cap; one success closes', () => {
  const breaker = open();
  let nowMs = 1_000;
  for (const expected of [2_000, 3_000, 3_000]) {
    breaker.leave(breaker.enter(nowMs) ?? 'ordinary', 'failure', nowMs);
    expect(breaker.waitMs(nowMs)).toBe(expected);
    nowMs += expected;
  }
  breaker.leave(breaker.enter(nowMs) ?? 'ordinary', 'success', nowMs);
  expect(breaker.name).toBe('closed');
  expect(breaker.enter(nowMs)).toBe('ordinary');
});

test('a success between failures starts the count anew; a call from before the opening says nothing', () => {
  const breaker = new Breaker({ failuresMax: 2, openMs: 1_000, openMsMax: 1_000 }, most);
  for (const outcome of ['failure', 'success', 'failure', 'neither'] as const) breaker.leave('ordinary', outcome, 0);
  expect(breaker.name).toBe('closed');
  breaker.leave('ordinary', 'failure', 0);
  expect(breaker.name).toBe('open');
  breaker.leave('ordinary', 'success', 10);
  expect([breaker.name, breaker.waitMs(10)]).toEqual(['open', 990]);
});
