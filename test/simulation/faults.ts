// Owns which faults a seed brings: swarm style, each seed has a random few of them, so that one cannot always hide another.
import type { Random } from '../../src/base/random.js';
import type { Fault, FaultSettings } from '../../src/connectors/memory/faults.js';
import { spokeNames, type SpokeId } from './world.js';

export interface FaultPlan {
  readonly actRate: number;
  readonly faultRate: number;
  readonly passMs: number;
  readonly pollMs: number;
  readonly idleRounds: number;
  readonly crashes: boolean;
  readonly livesMax: number;
  /** Chance to die at a named instant. */
  readonly crashpointRate: number;
  readonly crashpoints: Readonly<Record<string, number>>;
  readonly clockSteps: boolean;
  readonly deletes: boolean;
  readonly together: boolean;
  /** One of these strikes the next write, now and then. */
  readonly scripted: readonly Fault[];
  readonly spokes: Readonly<Record<SpokeId, Partial<FaultSettings>>>;
}

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

const writeFaultsOnly: ReadonlySet<Fault> = new Set(['rejectSome', 'lockSome', 'reordered', 'fewer']);

export function drawFaults(random: Random): FaultPlan {
  const chance = (share: number): boolean => random.next() < share;
  const spokes = Object.fromEntries(spokeNames.map((name) => [name, drawSpoke(name, random)])) as Record<
    SpokeId,
    Partial<FaultSettings>
  >;
  return {
    actRate: 0.02 + random.next() * 0.05,
    faultRate: chance(0.9) ? 0.002 + random.next() * 0.006 : 0,
    passMs: 50 + Math.floor(random.next() * 600),
    pollMs: 500 + Math.floor(random.next() * 1_500),
    idleRounds: 10,
    crashes: chance(0.6),
    livesMax: 2 + Math.floor(random.next() * 6),
    crashpointRate: chance(0.5) ? random.next() * 0.03 : 0,
    crashpoints: {},
    clockSteps: chance(0.3),
    deletes: chance(0.5),
    together: chance(0.5),
    scripted: writeFaults.filter(() => chance(0.5)),
    spokes,
  };
}

function drawSpoke(name: SpokeId, random: Random): Partial<FaultSettings> {
  const chance = (share: number): boolean => random.next() < share;
  const rates: Partial<Record<Fault, number>> = {};
  for (const fault of writeFaults) {
    // Where neither a key nor a condition protects, a late effect can never be told from a new edit: the promise excludes it.
    if (fault === 'lateApplied' && name === 'gamma') continue;
    // Gap: a create that is answered without its record, and cannot be read back at once, leaves a base that is only assumed.
    if (name === 'gamma' && !writeFaultsOnly.has(fault)) continue;
    if (chance(0.25)) rates[fault] = random.next() * 0.08;
  }
  return {
    rates,
    retryAfterMs: 200 + Math.floor(random.next() * 2_000),
    lateMs: Math.floor(random.next() * 20_000),
    indexLagMs: chance(0.3) ? Math.floor(random.next() * 3_000) : 0,
    // A coarse stamp cannot tell a stale read of the same second from a new edit.
    staleReadMs: chance(0.3) && name !== 'gamma' ? Math.floor(random.next() * 3_000) : 0,
    hintDrop: chance(0.4) ? random.next() : 0,
    hintDouble: chance(0.4) ? random.next() : 0,
    hintGap: chance(0.2) ? random.next() * 0.3 : 0,
  };
}
