// Two records of one thing were counted at two places before they met, and both had come to the same number: there is no base, both are equal,
// so they agree (law 3), and that number stands for both. Nothing tells it from one that was counted once.
import type { Model } from './model.js';
import { spokeNames } from './world.js';

/** Numbers that the counter of such a record showed at one spoke, and the sum of what was counted elsewhere as well. */
export function sameCounts(model: Model, key: string): readonly number[] {
  const both = spokeNames.flatMap((spoke) => {
    const elsewhere = new Set(model.countsAt(key, (site) => site !== spoke));
    return model.countsAt(key, (site) => site === spoke).filter((sum) => elsewhere.has(sum));
  });
  return [...new Set(both)];
}
