// Owns exact comparison and counting on decimal text, for merge policies. Pure; never rounds.
import { type Decimal, formatDecimal, parseDecimal } from './decimals.js';

function read(text: string): Decimal {
  const parsed = parseDecimal(text);
  if (parsed === null) throw new RangeError(`not a decimal: ${JSON.stringify(text)}`);
  return parsed;
}

const at = (value: Decimal, scale: number): bigint => value.unscaled * 10n ** BigInt(scale - value.scale);

export function compareDecimals(a: string, b: string): -1 | 0 | 1 {
  const [left, right] = [read(a), read(b)];
  const scale = Math.max(left.scale, right.scale);
  const difference = at(left, scale) - at(right, scale);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** a + b − c, at the largest scale of the three. */
export function addDifference(a: string, b: string, c: string): string {
  const values = [read(a), read(b), read(c)] as const;
  const scale = Math.max(...values.map((value) => value.scale));
  return formatDecimal({ unscaled: at(values[0], scale) + at(values[1], scale) - at(values[2], scale), scale });
}
