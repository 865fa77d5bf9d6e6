import fc from 'fast-check';
import { expect, test } from 'vitest';
import { seeded, type Random } from '../../src/base/random.js';
import { retryAfterMs } from '../../src/base/retry-after.js';

const none: Random = { next: () => 0 };
const most: Random = { next: () => 0.999999 };
const nowMs = Date.UTC(2026, 10, 21, 10, 0, 0);
const parse = (header: string | null | undefined, more: object = {}): number =>
  retryAfterMs(header, { nowMs, random: none, ...more });

test('F59 seconds are seconds, not milliseconds', () => {
  expect(parse('2')).toBe(2_000);
  expect(parse(' 2.5 ')).toBe(2_500);
  expect(parse('0')).toBe(0);
});

test('F59 an HTTP date is waited for', () => {
  expect(parse('Sat, 21 Nov 2026 10:00:30 GMT')).toBe(30_000);
  expect(parse('Saturday, 21-Nov-26 10:00:30 GMT')).toBe(30_000);
});

test('F59 F99 with a Date header the wait is measured on the remote clock, however wrong ours is', () => {
  const hourAhead = nowMs + 3_600_000;
  expect(parse('Sat, 21 Nov 2026 10:00:30 GMT', { nowMs: hourAhead, date: 'Sat, 21 Nov 2026 10:00:00 GMT' })).toBe(
    30_000,
  );
});

test('F59 a date in the past is no wait; garbage and absence are the fallback', () => {
  expect(parse('Sat, 21 Nov 2026 09:00:00 GMT')).toBe(0);
  for (const garbage of ['soon', '-5', '2 apples', 'NaN', '1e9', '0x10', '', '2026-11-22', null, undefined]) {
    expect(parse(garbage, { fallbackMs: 4_000 }), String(garbage)).toBe(4_000);
  }
});

test('F59 the wait is capped, and jitter only ever lengthens it, by at most a tenth', () => {
  expect(parse('99999999', { maxMs: 60_000 })).toBe(60_000);
  expect(retryAfterMs('100', { nowMs, random: most })).toBeGreaterThan(109_000);
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.integer({ min: 0, max: 10_000 }).map(String)),
      fc.integer(),
      (header, seed) => {
        const ms = retryAfterMs(header, { nowMs, random: seeded(seed), maxMs: 60_000 });
        return ms >= parse(header, { maxMs: 60_000 }) && ms <= 66_001;
      },
    ),
  );
});
