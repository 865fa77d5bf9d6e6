// What a listing showed of a record that is read again by id: a read that lags behind it must not end the matter, or the change would be
// found by the reconciler only. Pure. Versions tell; where the spoke has none, the read is taken at its word.
import type { RemoteRecord } from '../model/record.js';
import type { Shown } from '../model/shown.js';

/** 0.5, 1, 2 … 30 s: a minute and a half in all, longer than any index is documented to lag; the reconciler stands behind it. */
const looksMax = 8;
const delayMs = (looks: number): number => Math.min(500 * 2 ** looks, 30_000);

/** When to look again and with what in mind; null: this read shows what the listing showed, or something newer. */
export function lookAgain(
  shown: string | null,
  read: RemoteRecord | undefined,
): { readonly delayMs: number; readonly shown: string } | null {
  if (shown === null) return null;
  const listed = JSON.parse(shown) as Shown;
  // An absence is doubted, and believed, elsewhere.
  if (read === undefined || read.deleted || read.version === '' || listed.looks >= looksMax) return null;
  const lags = listed.deleted ? read.version <= listed.version : read.version < listed.version;
  if (!lags) return null;
  return { delayMs: delayMs(listed.looks), shown: JSON.stringify({ ...listed, looks: listed.looks + 1 }) };
}
