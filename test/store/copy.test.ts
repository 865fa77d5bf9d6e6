// Values handed to Postgres as one text: what the fast ways write is what the plain way would.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CopyBuffer, jsonArray, textArray } from '../../src/store/copy.js';

test('an array of JSON texts is written like any array of texts, whatever the values hold', () => {
  const nasty = fc.string({
    unit: fc.constantFrom('"', '\\', '\n', '\u0000', '\u2028', '\ud800', '{', '}', ',', 'ä', 'NULL'),
  });
  const texts = fc.array(
    fc.option(fc.jsonValue().chain((value) => nasty.map((text) => JSON.stringify({ value, text })))),
  );
  fc.assert(
    fc.property(texts, (values) => {
      expect(jsonArray(values)).toBe(textArray(values));
    }),
  );
});

test('lines put down as bytes are the lines that were given, over any number of pieces and after any number of uses', () => {
  const line = fc.oneof(
    fc.string({ unit: fc.constantFrom('a', 'ä', '\u2028', '😀', '\t') }),
    fc.integer({ min: 50_000, max: 400_000 }).map((length) => 'é'.repeat(length)),
  );
  const [all, part] = [new CopyBuffer(), new CopyBuffer()];
  fc.assert(
    fc.property(fc.array(fc.array(line, { maxLength: 5 }), { maxLength: 5 }), (groups) => {
      all.clear();
      for (const lines of groups) {
        part.clear();
        for (const one of lines) part.add(`${one}\n`);
        all.append(part);
      }
      const wanted = groups.flat().map((one) => `${one}\n`);
      expect(Buffer.concat(all.filled()).equals(Buffer.from(wanted.join('')))).toBe(true);
      expect(all.lines).toBe(wanted.length);
    }),
    { numRuns: 50 },
  );
});
