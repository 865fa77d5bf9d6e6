// Owns habits of the world that a plan can ask for beside its faults: people who crowd around one record, families made at once, haste, slow
// answers, a capture that lags. A seed draws none of them: the runs of the long campaign stay what they were; a hunt asks for what its bug
// needs, and the clean engine keeps all laws under the same plan.
export interface Habits {
  /** Chance that whoever acts takes a record that somebody has just touched. */
  readonly focus: number;
  /** Share of acts that make parents together with their children, before anybody has heard of either. */
  readonly families: number;
  /** Share of what anybody does that deletes, beside the ordinary one. */
  readonly removals: number;
  /** Share of what people do that brings a deleted record back. */
  readonly revives: number;
  /** Share of what people do that makes somebody else's record once more. */
  readonly twinShare: number;
  /** Who deletes a record edits it a moment before. */
  readonly hasty: boolean;
  /** Edits in one transaction of a spoke, and their share of what people do (F94). */
  readonly bundle: number;
  readonly bundleShare: number;
  /** The longest that a spoke's answer is on its way, ms. */
  readonly answerMs: number;
  /** The longest pause of the stream between two looks, ms, and the most messages that it brings at once. */
  readonly captureMs: number;
  readonly captureMessages: number;
}

export const plainHabits: Habits = {
  focus: 0,
  families: 0,
  removals: 0,
  revives: 0,
  twinShare: 0,
  hasty: false,
  bundle: 3,
  bundleShare: 0,
  answerMs: 0,
  captureMs: 200,
  captureMessages: 12,
};
