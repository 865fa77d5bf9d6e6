// Plants one bug into the engine while a simulated run loads it.
import path from 'node:path';
import type { Plugin } from 'vitest/config';
import { allBugs } from './all.js';
import { filesOf, plant, plantedMark, type PlantedBug } from './bug.js';

export function bugNamed(name: string): PlantedBug {
  const found = allBugs.find((bug) => bug.name === name);
  if (found === undefined) throw new Error(`there is no planted bug ${name}`);
  return found;
}

export function plantedBug(name: string): Plugin {
  const bug = bugNamed(name);
  const files = new Map(filesOf(bug).map((file) => [path.resolve(file), file]));
  return {
    name: 'planted bug',
    enforce: 'pre',
    transform(code, id) {
      const file = files.get(id.split('?')[0] ?? '');
      if (file === undefined) return null;
      const mark = `;((globalThis as Record<string, unknown>)['${plantedMark}'] = [...(((globalThis as Record<string, unknown>)['${plantedMark}'] ?? []) as string[]), '${file}']);`;
      return { code: `${plant(code, file, bug)}\n${mark}\n`, map: null };
    },
  };
}
