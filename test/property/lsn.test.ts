// Positions compare as numbers, never as text.
// Proves: Law 6
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatLsn, lsn, parseLsn } from '../../src/model/lsn.js';

const word = fc.bigInt({ min: 0n, max: 0xffffffffn });
const text = fc
  .tuple(word, word)
  .map(([high, low]) => `${high.toString(16).toUpperCase()}/${low.toString(16).toUpperCase()}`);

test('text and number are the same position', () => {
  fc.assert(fc.property(text, (written) => formatLsn(parseLsn(written)) === written));
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => parseLsn(formatLsn(lsn(value))) === value),
  );
});

test('order is that of (high, low), whatever the texts look like', () => {
  const half = (value: string, i: number): bigint => BigInt(`0x${value.split('/')[i] ?? '0'}`);
  fc.assert(
    fc.property(text, text, (a, b) => {
      const expected = half(a, 0) !== half(b, 0) ? half(a, 0) < half(b, 0) : half(a, 1) < half(b, 1);
      expect(parseLsn(a) < parseLsn(b)).toBe(expected);
    }),
  );
  expect(parseLsn('0/9') < parseLsn('0/10')).toBe(true);
});

test('what is no position is refused', () => {
  const pattern = /^[0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8}$/;
  fc.assert(
    fc.property(
      fc.string().filter((one) => !pattern.test(one)),
      (garbage) => {
        expect(() => parseLsn(garbage)).toThrow(RangeError);
      },
    ),
  );
});
