// F27 and its opposite: what a stopping server asks, and what one in service asks of a reader that was busy.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Asks, type AskVerdict } from '../../src/outbound/stopping.js';

const serverMs = Date.UTC(2026, 0, 1);
/** Verdicts on asks for one position: [sent, arrived], each in ms since some moment of its own clock. */
function verdicts(timeoutMs: number, times: readonly (readonly [number, number])[], lsn = (_: number) => 7n) {
  const asks = new Asks(timeoutMs);
  return times.map(([sent, arrived], i) => asks.judge({ lsn: lsn(i), sentMs: serverMs + sent, arrivedMs: arrived }));
}
const every = (ms: number, count: number): [number, number][] =>
  Array.from({ length: count }, (_, i) => [i * ms, i * ms]);

test('F27 a server that asks again upon each answer, for half a second, is stopping', () => {
  const seen = verdicts(60_000, every(55, 12));
  expect(seen[0]).toBe('answer');
  expect(seen.indexOf('stopping')).toBe(10);
  expect(new Set(seen.slice(1, 10))).toEqual(new Set<AskVerdict>(['answer later']));
});

test('F27 answers that a busy machine delays by most of a second are still seen as one shutdown', () => {
  expect(verdicts(60_000, every(900, 3))).toEqual(['answer', 'answer later', 'stopping']);
});

test('F27 while the position moves on, the server still has something to send: it is left to send it', () => {
  expect(verdicts(60_000, every(55, 30), BigInt)).not.toContain('stopping');
});

test('a server without a timeout asks only when it stops', () => {
  expect(verdicts(0, every(55, 12))).toContain('stopping');
});

test('asks that piled up in the socket of a busy reader are no shutdown, however they arrive', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 300, max: 120_000 }),
      fc.array(fc.tuple(fc.nat({ max: 30_000 }), fc.nat({ max: 400 })), { minLength: 1, maxLength: 60 }),
      (timeoutMs, gaps) => {
        // In service the server waits at least half its timeout; the reader may come by them as fast as it likes.
        let [sent, arrived] = [0, 0];
        const times = gaps.map(([moreMs, readMs]): [number, number] => [
          (sent += timeoutMs / 2 + moreMs),
          (arrived += readMs),
        ]);
        expect(new Set(verdicts(timeoutMs, times))).toEqual(new Set(['answer']));
      },
    ),
  );
});

test('F99 a server clock that steps back proves nothing', () => {
  expect(verdicts(60_000, [[0, 0], [-3_600_000, 300], [-7_200_000, 600], [-10_800_000, 900]])).not.toContain('stopping'); // prettier-ignore
});
