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

/** Nothing but what a plan below asks for: a look of the reconciler, too, would mend what a bug breaks. */
const calm: Plan = {
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
  scripted: [],
  quotas: [],
};

/** Dies at these instants. */
export const diesAt = (rate: number, ...points: readonly string[]): Plan => ({
  ...calm,
  livesMax: 8,
  crashpoints: Object.fromEntries(
    points.flatMap((point) => [[point, rate], ...spokes.map((spoke) => [`${point}/${spoke}`, rate])]),
  ),
});

/** Many edits of few records before anybody has heard of the others. */
export const conflicts: Plan = { ...calm, actRate: 0.4, pollMs: 4_000, spokes: everywhere({ hintDrop: 1 }) };

export const lost: Plan = {
  ...calm,
  actRate: 0.3,
  spokes: everywhere({ rates: { lostApplied: 0.15, lostUnapplied: 0.1 } }),
};
export const unapplied: Plan = { ...calm, actRate: 0.3, spokes: everywhere({ rates: { lostUnapplied: 0.25 } }) };
export const stale: Plan = { ...calm, actRate: 0.3, spokes: everywhere({ staleReadMs: 1_500 }) };
export const lagging: Plan = { ...calm, actRate: 0.3, spokes: everywhere({ indexLagMs: 2_500, hintDrop: 1 }) };
export const throttled: Plan = {
  ...calm,
  spokes: everywhere({ rates: { throttled: 0.2 }, retryAfterMs: 500 }),
};
export const refused: Plan = { ...calm, spokes: everywhere({ rates: { rejectSome: 0.15 } }) };
export const reordered: Plan = { ...calm, actRate: 0.3, spokes: everywhere({ rates: { reordered: 0.4 } }) };
export const fewer: Plan = { ...calm, actRate: 0.3, spokes: everywhere({ rates: { fewer: 0.3 } }) };
/** Stream events are lost: what the poll skips, nobody brings. */
export const deaf: Plan = { ...calm, actRate: 0.3, together: true, spokes: everywhere({ hintDrop: 1 }) };
export const stalls: Plan = { ...calm, actRate: 0.3, stalls: true, livesMax: 8, faultRate: 0.02, leaseMs: 10_000 };
export const restarts: Plan = { ...calm, actRate: 0.3, restarts: true, faultRate: 0.02 };
export const hides: Plan = { ...calm, hides: true, faultRate: 0.02, actRate: 0.1 };
/** Looks of the reconciler amid everything. */
export const sweeps: Plan = { ...calm, actRate: 0.3, faultRate: 0.03, spokes: everywhere({ hintDrop: 1 }) };
