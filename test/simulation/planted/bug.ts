// Owns what a planted bug is and how it gets into the engine's source. Production code knows nothing of it: the text is changed on its
// way into a simulated run. A bug that no longer fits its file fails loudly.
import type { FaultPlan } from '../faults.js';

/** One place of the source: `find` must stand there exactly once. */
export interface Edit {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface PlantedBug extends Edit {
  /** kebab-case, unique. */
  readonly name: string;
  /** What it breaks, in the words of SPEC.md. */
  readonly law: `law ${number}` | 'no lost edit' | 'one live record';
  /** How someone could come to write it, or what it does to a customer. */
  readonly why: string;
  /** Where one edit is not enough to write the bug down. */
  readonly also?: readonly Edit[];
  /** Faults that it needs more often than chance brings them. */
  readonly plan?: Partial<FaultPlan>;
  readonly operations?: number;
  /** Why no seed shows it: which other rule holds the law. Hunted only by name. Without this, escaping is a hole to close. */
  readonly escapes?: string;
}

/** Left in the global object by each planted file once it runs, so that a bug nobody loads does not count as planted. */
export const plantedMark = 'truespokePlanted';

export const editsOf = (bug: PlantedBug): readonly Edit[] => [bug, ...(bug.also ?? [])];

export const filesOf = (bug: PlantedBug): readonly string[] => [...new Set(editsOf(bug).map(({ file }) => file))];

/** The file's text with the bug in it. */
export function plant(source: string, file: string, bug: PlantedBug): string {
  let text = source;
  for (const { find, replace } of editsOf(bug).filter((edit) => edit.file === file)) {
    const count = text.split(find).length - 1;
    if (count !== 1)
      throw new Error(`planted bug ${bug.name}: its text stands ${count} times in ${file}, not once:\n${find}`);
    text = text.replace(find, () => replace);
  }
  return text;
}
