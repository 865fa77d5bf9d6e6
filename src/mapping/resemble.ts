// Could the spoke have made this of what we sent? Pure. Asked only where an answer was lost, or did not show the record, and nothing else
// tells our own write from an edit of a person: a trimmed, re-cased, rounded, cut or re-sorted copy of our value is ours. A person who wrote the same thing in
// another spelling at that very moment meant what we sent.
import { isList } from './values.js';
import type { RemoteValue } from '../model/record.js';

/** Least length at which the beginning of a text counts as the text cut off. */
const cutLengthMin = 8;
const digitsMax = 8;

export function resembles(sent: RemoteValue, shown: RemoteValue): boolean {
  if (isBlank(sent) || isBlank(shown)) return isBlank(sent) && isBlank(shown);
  if (isList(sent) || isList(shown)) return isList(sent) && isList(shown) && sameEntries(sent, shown);
  const [a, b] = [numberOf(sent), numberOf(shown)];
  if (a !== null && b !== null) return a === b || isRounded(a, b);
  if (typeof sent === 'string' && typeof shown === 'string') return sameWords(sent, shown);
  return JSON.stringify(sent) === JSON.stringify(shown);
}

const isBlank = (value: RemoteValue): boolean =>
  value === null || (typeof value === 'string' && value.trim() === '') || (isList(value) && value.length === 0);

function numberOf(value: RemoteValue): number | null {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && /^-?\d{1,15}(\.\d+)?$/.test(value) ? Number(value) : null;
}

function isRounded(exact: number, rounded: number): boolean {
  for (let digits = 0; digits <= digitsMax; digits += 1) {
    const unit = 10 ** -digits;
    // A number that needs more digits than these was not rounded to them.
    if (Math.abs(rounded - Number(rounded.toFixed(digits))) > 1e-12 * Math.max(1, Math.abs(rounded))) continue;
    const off = Math.abs(exact - rounded);
    // Rounded to the nearest, or cut towards zero; the exact one has more digits than that.
    const nearest = off <= unit / 2 + 1e-9 * unit;
    const cut = off < unit && Math.abs(rounded) < Math.abs(exact);
    return off > 0 && (nearest || cut) && Number(exact.toFixed(digits)) !== exact;
  }
  return false;
}

function sameWords(sent: string, shown: string): boolean {
  const [a, b] = [fold(sent), fold(shown)];
  if (a === b || (b.length >= cutLengthMin && a.startsWith(b))) return true;
  // A telephone number with or without its country.
  if (/^\d{7,}$/.test(a) && /^\d{7,}$/.test(b)) return a.endsWith(b) || b.endsWith(a);
  return sortedWords(sent) === sortedWords(shown);
}

const fold = (text: string): string =>
  text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '');

const sortedWords = (text: string): string => text.split(/[,;]/).map(fold).sort().join(',');

/** The same entries in any order, doubles aside. */
function sameEntries(sent: readonly RemoteValue[], shown: readonly RemoteValue[]): boolean {
  const covers = (some: readonly RemoteValue[], others: readonly RemoteValue[]): boolean =>
    some.every((one) => others.some((other) => resembles(one, other)));
  return covers(sent, shown) && covers(shown, sent);
}
