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

/** It is done with nearly everything before the next thing happens: what is forgotten then, no later look brings along. */
export const leisurely: Plan = { actRate: 0.015, pollMs: 1_000, spokes: everywhere({}) };

/** Dies at these instants. */
export const diesAt = (rate: number, ...points: readonly string[]): Plan => ({
  livesMax: 8,
  crashpoints: Object.fromEntries(
    points.flatMap((point) => [[point, rate], ...spokes.map((spoke) => [`${point}/${spoke}`, rate])]),
  ),
});

/** Many edits of few records before anybody has heard of the others. */
export const conflicts: Plan = { actRate: 0.1, spokes: everywhere({ hintDrop: 1 }) };
/** Everybody edits what somebody has just edited, and polls are far apart. */
export const crowded: Plan = { ...conflicts, focus: 0.7 };
/** The stream lags: what happens to a record within seconds comes as one. */
export const gathering: Plan = {
  ...unhurried,
  focus: 0.8,
  captureMs: 4_000,
  captureMessages: 200,
  spillRows: 50,
  spokes: everywhere({}),
};
/** Parents, children and circles in one moment, while polls never cease. */
export const families: Plan = {
  ...unhurried,
  ...growing,
  families: 0.3,
  pollMs: 300,
  spokes: everywhere({ hintDrop: 1 }),
};
/** The same, and the engine keeps pace. */
export const settled: Plan = { ...leisurely, ...growing, families: 0.15 };
/** The same, and each answer takes its time. */
export const slowFamilies: Plan = {
  ...growing,
  actRate: 0.05,
  pollMs: 500,
  families: 0.3,
  answerMs: 3_000,
  spokes: everywhere({}),
};
/** Answers take their time, and more becomes due meanwhile. */
export const slow: Plan = {
  ...growing,
  actRate: 0.02,
  passMs: 200,
  pollMs: 1_000,
  answerMs: 600,
  spokes: everywhere({}),
};
/** What is deleted comes back. */
export const returns: Plan = { ...leisurely, crowd: 24, deletes: true, burials: false, revives: 0.25 };
/** Edited and deleted soon after; listings lag behind reads by id, and half of the events are lost. */
export const hasty: Plan = {
  ...unhurried,
  crowd: 80,
  deletes: true,
  burials: false,
  hasty: true,
  removals: 0.3,
  passMs: 150,
  pollMs: 300,
  spokes: everywhere({ indexLagMs: 3_000, hintDrop: 0.6 }),
};
/** Edited at one side while it is deleted at the other. */
export const crossing: Plan = {
  ...unhurried,
  actRate: 0.06,
  crowd: 80,
  deletes: true,
  burials: false,
  removals: 0.2,
  focus: 0.8,
  captureMs: 4_000,
  captureMessages: 200,
  pollMs: 4_000,
  spokes: everywhere({ hintDrop: 1 }),
};
/** The same person is made where somebody has just been made; `later`: before the next poll. */
export const twins: Plan = {
  ...unhurried,
  crowd: 24,
  merges: false,
  twins: true,
  twinShare: 0.15,
  focus: 0.7,
  spokes: everywhere({}),
};
export const unseenTwins: Plan = { ...twins, pollMs: 5_000, spokes: everywhere({ hintDrop: 1 }) };

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
/** Much is still parked when all is well again. */
export const parked: Plan = { ...unhurried, spokes: everywhere({ rates: { rejectSome: 0.5 } }) };
export const reordered: Plan = { actRate: 0.1, spokes: everywhere({ rates: { reordered: 0.4 } }) };
export const fewer: Plan = { ...unhurried, spokes: everywhere({ rates: { fewer: 0.3 } }) };
/** Many events within one second: one stamp for several edits. */
export const coarse: Plan = { actRate: 0.05, passMs: 50, pollMs: 500 };
/** Stream events are lost: what the poll skips, nobody brings. Many edits carry one stamp. */
export const deaf: Plan = {
  ...unhurried,
  crowd: 24,
  pollMs: 2_000,
  together: true,
  bundle: 10,
  bundleShare: 0.3,
  spokes: everywhere({ hintDrop: 1 }),
};
export const stalls: Plan = { ...unhurried, stalls: true, livesMax: 8, faultRate: 0.02, leaseMs: 10_000 };
/** Dies while requests are under way. */
export const kills: Plan = { ...unhurried, crashes: true, livesMax: 10, faultRate: 0.03 };
/** Dies at instants that have nothing to do with reading, while nothing but reading tells of what people make. */
export const diesReading: Plan = {
  ...unhurried,
  ...growing,
  ...diesAt(0.04, 'journal_committed', 'acknowledged', 'delivery_claimed', 'delivery_sent', 'delivery_settled'),
  livesMax: 20,
  together: false,
  spokes: everywhere({ hintDrop: 1 }),
};
/** Answers cannot be settled, where a search does not show at once what was made. */
export const unsettled: Plan = {
  ...unhurried,
  ...growing,
  passMs: 100,
  refusals: { link_lock_hub: 0.25 },
  spokes: { alpha: {}, beta: {}, gamma: { indexLagMs: 600 } },
};
export const hides: Plan = { ...unhurried, hides: true, faultRate: 0.02 };
/** Looks of the reconciler amid everything. */
export const sweeps: Plan = { ...unhurried, pollMs: 5_000, faultRate: 0.03, spokes: everywhere({ hintDrop: 1 }) };
export const staleSweeps: Plan = {
  ...unhurried,
  faultRate: 0.03,
  spokes: everywhere({ hintDrop: 1, staleReadMs: 1_500 }),
};
