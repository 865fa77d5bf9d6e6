// Owns what a hint remembers of the state in which its record was seen: a read by id that lags behind that must not end the matter. Kept
// with the hint, as text.
import type { RemoteRecord } from './record.js';

export interface Shown {
  readonly version: string;
  readonly deleted: boolean;
  /** How often a read lagged so far. */
  readonly looks: number;
}

export function shownBy({ version, deleted }: Pick<RemoteRecord, 'version' | 'deleted'>): string | null {
  return version === '' ? null : JSON.stringify({ version, deleted, looks: 0 } satisfies Shown);
}
