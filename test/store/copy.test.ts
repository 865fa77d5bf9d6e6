// Values handed to Postgres as one text: what the fast ways write is what the plain way would.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { jsonArray, textArray } from '../../src/store/copy.js';

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
