// Owns which call goes wrong, and how. Either scripted (the next call) or drawn from the remote's seeded randomness.
import { assert } from '../../base/assert.js';
import type { Random } from '../../base/random.js';

/** What can happen to one call. `…Applied`: the effect is there, the answer is not. */
export const faultKinds = [
  'throttled', // "come back later", without effect
  'refused', // no connection, without effect
  'lostApplied', // F64: done, answer lost
  'lostUnapplied', // F64's twin: lost on the way there
  'lateApplied', // F65: done, but only after `lateMs`
  'rejectSome', // F69: some records of the batch rejected, others applied
  'lockSome', // F72: some records answer "row locked"
  'reordered', // F70: results come back in another order
  'fewer', // F70: some results are missing, their effect is there
  'unauthorised', // F77: the credential is refused, without effect
  'emptyListing', // F106: an inventory of nothing that calls itself complete
  'cutListing', // an inventory that ends in the middle
] as const;
export type Fault = (typeof faultKinds)[number];

const writeOnly: ReadonlySet<Fault> = new Set(['lateApplied', 'rejectSome', 'lockSome', 'reordered', 'fewer']);
const listingOnly: ReadonlySet<Fault> = new Set(['emptyListing', 'cutListing']);
type Call = 'read' | 'write' | 'listing';
const suits = (fault: Fault, on: Call): boolean =>
  on === 'listing' ? listingOnly.has(fault) : !listingOnly.has(fault) && (on === 'write' || !writeOnly.has(fault));

export interface FaultSettings {
  /** Chance per call, 0 to 1. */
  rates: Partial<Record<Fault, number>>;
  retryAfterMs: number;
  lateMs: number;
  /** Share of a batch that rejectSome, lockSome and fewer touch. */
  share: number;
  /** How far the search index (scan, changes, find, inventory) and single reads lie behind. */
  indexLagMs: number;
  staleReadMs: number;
  /** Chances that a stream event is dropped, doubled, or that the stream reports a gap. */
  hintDrop: number;
  hintDouble: number;
  hintGap: number;
  latencyMs: number;
}

export class Faults implements FaultSettings {
  rates: Partial<Record<Fault, number>> = {};
  retryAfterMs = 1_000;
  lateMs = 30_000;
  share = 0.5;
  indexLagMs = 0;
  staleReadMs = 0;
  hintDrop = 0;
  hintDouble = 0;
  hintGap = 0;
  latencyMs = 0;
  /** How many calls suffered so far. */
  struck = 0;
  /** Records whose write was never answered, by what had become of it. */
  readonly unanswered = { applied: 0, unapplied: 0 };
  private readonly script: { readonly fault: Fault; readonly on: Call }[] = [];

  constructor(private readonly random: Random) {}

  /** The next `times` calls of that kind suffer this, in the order given, before any drawn fault. */
  next(fault: Fault, on: Call = 'write', times = 1): void {
    assert(suits(fault, on), `${fault} cannot happen to a ${on}`);
    for (let count = 0; count < times; count++) this.script.push({ fault, on });
  }

  /** Everything is well again; what was already decided (late effects) still happens. */
  heal(): void {
    this.script.length = 0;
    this.rates = {};
    this.indexLagMs = this.staleReadMs = this.latencyMs = 0;
    this.hintDrop = this.hintDouble = this.hintGap = 0;
  }

  draw(on: Call): Fault | null {
    const fault = this.scripted(on) ?? this.drawn(on);
    if (fault !== null) this.struck += 1;
    return fault;
  }

  private scripted(on: Call): Fault | null {
    const index = this.script.findIndex((entry) => entry.on === on);
    return index < 0 ? null : (this.script.splice(index, 1)[0]?.fault ?? null);
  }

  private drawn(on: Call): Fault | null {
    for (const fault of faultKinds) {
      const rate = this.rates[fault] ?? 0;
      if (rate > 0 && suits(fault, on) && this.random.next() < rate) return fault;
    }
    return null;
  }

  chance(probability: number): boolean {
    return probability > 0 && this.random.next() < probability;
  }

  /** True for the records of a batch that a partial fault touches: at least one. */
  some(count: number): readonly boolean[] {
    const touched = Array.from({ length: count }, () => this.random.next() < this.share);
    if (count > 0 && !touched.includes(true)) touched[Math.floor(this.random.next() * count)] = true;
    return touched;
  }

  shuffle<T>(list: readonly T[]): T[] {
    const result = [...list];
    for (let index = result.length - 1; index > 0; index--) {
      const other = Math.floor(this.random.next() * (index + 1));
      [result[index], result[other]] = [result[other] as T, result[index] as T];
    }
    return result;
  }
}
