// Owns which faults a seed brings: swarm style, each seed has a random few of them, so that one cannot always hide another.
import type { Random } from '../../src/base/random.js';
import type { Fault, FaultSettings } from '../../src/connectors/memory/faults.js';
import { plainHabits, type Habits } from './habits.js';
import { spokeNames, type SpokeId } from './world.js';

export interface FaultPlan extends Habits {
  readonly actRate: number;
  readonly faultRate: number;
  readonly passMs: number;
  readonly pollMs: number;
  /** Calls for changes that must bring nothing, at the end. */
  readonly idlePolls: number;
  /** Fewer troubles than these are topped up. */
  readonly faultsMin: number;
  readonly spillRows: number;
  readonly leaseMs: number;
  readonly crashes: boolean;
  readonly livesMax: number;
  /** Chance to die at a named instant. */
  readonly crashpointRate: number;
  readonly crashpoints: Readonly<Record<string, number>>;
  /** Chance that a statement of this name fails without an effect (F38). */
  readonly refusals: Readonly<Record<string, number>>;
  /** A process stops, another takes over, the first one wakes (F24). */
  readonly stalls: boolean;
  /** Every connection to Postgres ends at once. */
  readonly restarts: boolean;
  /** The server loses acknowledgements, as in a crash before its checkpoint (F4). */
  readonly forgetsAcks: boolean;
  readonly clockSteps: boolean;
  /** Listings that are empty or end in the middle (F106). */
  readonly listings: boolean;
  /** Word of what never happened (F88, F89). */
  readonly forgeries: boolean;
  /** Credentials are refused; a person gives new ones later (F77). */
  readonly pauses: boolean;
  readonly deletes: boolean;
  /** Not only people are deleted: parcels, which are archived, kept or forgotten then, and lines. */
  readonly burials: boolean;
  /** So many records are enough: more edits of the same ones, more conflicts. */
  readonly crowd: number;
  /** People make records that a constraint of the hub's table refuses. */
  readonly forbidden: boolean;
  readonly together: boolean;
  /** People empty fields. */
  readonly clears: boolean;
  /** People merge two records inside a spoke (F104). */
  readonly merges: boolean;
  /** Our credential loses sight of a field for a while (F78). */
  readonly hides: boolean;
  /** The same person is made at more than one place (F119). */
  readonly twins: boolean;
  /** Applications write our marker themselves (F136). */
  readonly forges: boolean;
  /** At the end values change and no feed tells: the reconciler's work. */
  readonly damage: boolean;
  /** Spokes that count calls. */
  readonly quotas: readonly SpokeId[];
  /** How many records a page, a read and a write take, times those of the spoke's configuration. */
  readonly batches: number;
  /** One of these strikes the next write, now and then. */
  readonly scripted: readonly Fault[];
  readonly spokes: Readonly<Record<SpokeId, Partial<FaultSettings>>>;
}

/** The most that a seed draws for `batches`. */
export const batchesMax = 20;

/** The latest that an effect follows its request. */
export const lateMsMax = 20_000;

const writeFaults: readonly Fault[] = [
  'throttled',
  'refused',
  'lostApplied',
  'lostUnapplied',
  'lateApplied',
  'rejectSome',
  'lockSome',
  'reordered',
  'fewer',
];

export function drawFaults(random: Random): FaultPlan {
  const chance = (share: number): boolean => random.next() < share;
  const spokes = Object.fromEntries(spokeNames.map((name) => [name, drawSpoke(name, random)])) as Record<
    SpokeId,
    Partial<FaultSettings>
  >;
  return {
    // From a leisurely day to one on which everybody writes at once.
    actRate: 0.05 * 5 ** random.next(),
    faultRate: chance(0.9) ? 0.002 + random.next() * 0.008 : 0,
    passMs: 50 + Math.floor(random.next() * 600),
    pollMs: 500 + Math.floor(random.next() * 1_500),
    idlePolls: chance(0.04) ? 1_000 : 20,
    faultsMin: 5,
    spillRows: chance(0.3) ? 2 : 6,
    leaseMs: 60_000,
    crashes: chance(0.6),
    livesMax: 2 + Math.floor(random.next() * 6),
    crashpointRate: chance(0.5) ? random.next() * 0.03 : 0,
    crashpoints: {},
    refusals: {},
    stalls: chance(0.15),
    restarts: chance(0.3),
    clockSteps: chance(0.3),
    listings: chance(0.3),
    forgeries: chance(0.3),
    pauses: chance(0.2),
    deletes: chance(0.5),
    crowd: 1_000_000,
    forbidden: false,
    together: chance(0.5),
    clears: chance(0.4),
    merges: chance(0.15),
    quotas: spokeNames.filter(() => chance(0.1)),
    hides: chance(0.25),
    twins: chance(0.3),
    forges: chance(0.3),
    damage: chance(0.3),
    scripted: writeFaults.filter(() => chance(0.5)),
    forgetsAcks: chance(0.3),
    // Small pages have more edges, large ones let more than one thing happen to a record between two of them.
    batches: chance(0.3) ? 1 : chance(0.5) ? 5 : batchesMax,
    burials: chance(0.5),
    ...plainHabits,
    spokes,
  };
}

function drawSpoke(name: SpokeId, random: Random): Partial<FaultSettings> {
  const chance = (share: number): boolean => random.next() < share;
  const rates: Partial<Record<Fault, number>> = {};
  for (const fault of writeFaults) {
    // Where neither a key nor a condition protects, a late effect can never be told from a new edit: the promise excludes it.
    if (fault === 'lateApplied' && name === 'gamma') continue;
    if (chance(0.25)) rates[fault] = random.next() * 0.08;
  }
  return {
    rates,
    retryAfterMs: 200 + Math.floor(random.next() * 2_000),
    lateMs: Math.floor(random.next() * lateMsMax),
    indexLagMs: chance(0.3) ? Math.floor(random.next() * 3_000) : 0,
    // A coarse stamp cannot tell a stale read of the same second from a new edit.
    staleReadMs: chance(0.3) && name !== 'gamma' ? Math.floor(random.next() * 3_000) : 0,
    hintDrop: chance(0.4) ? random.next() : 0,
    hintDouble: chance(0.4) ? random.next() : 0,
    hintGap: chance(0.2) ? random.next() * 0.3 : 0,
  };
}
