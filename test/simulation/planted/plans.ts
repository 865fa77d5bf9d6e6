// Owns the circumstances that planted bugs need more often than chance brings them. The same plan is kept by the clean engine.
import type { FaultSettings } from '../../../src/connectors/memory/faults.js';
import type { FaultPlan } from '../faults.js';

type Plan = Partial<FaultPlan>;

/** Everywhere, within what the promise covers: gamma's coarse stamps cannot tell a stale read from an edit of the same second. */
const everywhere = (settings: Partial<FaultSettings>): FaultPlan['spokes'] => ({
  alpha: settings,
  beta: settings,
  gamma: { ...settings, staleReadMs: 0 },
});

const spokes = ['alpha', 'beta', 'gamma'] as const;

/**
 * Of every hunt, where a bug's own plan says nothing else: busy, brief, few records, and no trouble but what the spokes of the seed make. A
 * look of the reconciler, too, would mend what a bug breaks.
 */
export const calm: Plan = {
  actRate: 0.1,
  batches: 1,
  crowd: 9,
  pollMs: 3_000,
  idlePolls: 3,
  faultRate: 0,
  faultsMin: 0,
  crashes: false,
  crashpointRate: 0,
  stalls: false,
  restarts: false,
  clockSteps: false,
  listings: false,
  forgeries: false,
  pauses: false,
  hides: false,
  damage: false,
  forgetsAcks: false,
  scripted: [],
  quotas: [],
};

/** People and applications go on making records: parents, children, twins. */
export const growing: Plan = { crowd: 1_000_000 };

/** The engine keeps pace: most writes go out while things still go wrong. */
const unhurried: Plan = { actRate: 0.03, pollMs: 800 };

/** Dies at these instants. */
export const diesAt = (rate: number, ...points: readonly string[]): Plan => ({
  livesMax: 8,
  crashpoints: Object.fromEntries(
    points.flatMap((point) => [[point, rate], ...spokes.map((spoke) => [`${point}/${spoke}`, rate])]),
  ),
});

/** Many edits of few records before anybody has heard of the others. */
export const conflicts: Plan = { actRate: 0.1, spokes: everywhere({ hintDrop: 1 }) };

export const lost: Plan = {
  actRate: 0.1,
  spokes: everywhere({ rates: { lostApplied: 0.15, lostUnapplied: 0.1 } }),
};
export const unapplied: Plan = { ...unhurried, spokes: everywhere({ rates: { lostUnapplied: 0.25 } }) };
/** Reads by id lag behind, listings more so. */
export const stale: Plan = { ...unhurried, spokes: everywhere({ staleReadMs: 1_500, indexLagMs: 2_500 }) };
export const lagging: Plan = { ...unhurried, spokes: everywhere({ indexLagMs: 2_500, hintDrop: 1 }), ...growing };
export const throttled: Plan = {
  ...unhurried,
  spokes: everywhere({ rates: { throttled: 0.2 }, retryAfterMs: 500 }),
};
export const refused: Plan = { ...unhurried, spokes: everywhere({ rates: { rejectSome: 0.15 } }) };
export const reordered: Plan = { actRate: 0.1, spokes: everywhere({ rates: { reordered: 0.4 } }) };
export const fewer: Plan = { ...unhurried, spokes: everywhere({ rates: { fewer: 0.3 } }) };
/** Many events within one second: one stamp for several edits. */
export const coarse: Plan = { actRate: 0.05, passMs: 50, pollMs: 500 };
/** Stream events are lost: what the poll skips, nobody brings. */
export const deaf: Plan = { ...unhurried, together: true, spokes: everywhere({ hintDrop: 1 }) };
export const stalls: Plan = { ...unhurried, stalls: true, livesMax: 8, faultRate: 0.02, leaseMs: 10_000 };
/** Dies while requests are under way. */
export const kills: Plan = { ...unhurried, crashes: true, livesMax: 10, faultRate: 0.03 };
export const restarts: Plan = { ...unhurried, restarts: true, faultRate: 0.02 };
export const hides: Plan = { ...unhurried, hides: true, faultRate: 0.02 };
/** Looks of the reconciler amid everything. */
export const sweeps: Plan = { ...unhurried, faultRate: 0.03, spokes: everywhere({ hintDrop: 1 }) };
