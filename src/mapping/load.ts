// Owns reading the mappings folder: the only file of this layer with I/O. Every problem of every file is told at once (F124); with any
// problem nothing is returned, so the configuration in use stays.
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { checkYaml } from '../base/checked.js';
import { Problems, type Problem } from '../base/errors.js';
import { readYaml, yamlBytesMax, type Place } from '../base/yaml.js';
import { compileMapping, type CompileOptions } from './compile.js';
import type { Mapping } from './mapping.js';
import type { MappingSource } from './reporter.js';
import { mappingSchema } from './schema.js';

export interface LoadedMapping {
  readonly mapping: Mapping;
  /** Where a key of an entity's file stands: `place('x', ['spokes', 'shop', 'fields', 'email'])`. */
  place(entity: string, path: readonly (string | number)[]): Place | null;
}

export interface MappingText {
  /** As shown in messages. */
  readonly file: string;
  readonly text: string;
}

const filesMax = 500;

export interface LoadOptions extends CompileOptions {
  /** Absolute; messages name the files as seen from here. Left out: from the folder that the process is in. */
  readonly shownFrom?: string | undefined;
}

/** Reads `*.yaml` and `*.yml` of the folder. Throws Problems. */
export async function loadMapping(folder: string, options: LoadOptions = {}): Promise<LoadedMapping> {
  return parseMapping(await readFolder(folder, options.shownFrom ?? process.cwd()), options);
}

/** The same without I/O: for checks of an edit before it is saved, and for tests. Throws Problems. */
export function parseMapping(texts: readonly MappingText[], options: CompileOptions = {}): LoadedMapping {
  const problems: Problem[] = [];
  const sources: MappingSource[] = [];
  for (const { file, text } of texts) {
    const source = readYaml(text, file);
    const checked = checkYaml(mappingSchema, source);
    if (checked.ok) sources.push({ spec: checked.value, source });
    else problems.push(...checked.problems);
  }
  const compiled = compileMapping(sources, options);
  // A file with a problem is missing from the others' sight: what they say of it would only be noise.
  if (!compiled.ok && problems.length === 0) problems.push(...compiled.problems);
  else if (!compiled.ok)
    problems.push(...compiled.problems.filter((problem) => !/unknown entity|is not mapped/.test(problem.message)));
  if (!compiled.ok || problems.length > 0) throw new Problems(problems, 'invalid_mapping');
  const byEntity = new Map(sources.map(({ spec, source }) => [spec.entity, source]));
  return { mapping: compiled.mapping, place: (entity, path) => byEntity.get(entity)?.place(path) ?? null };
}

async function readFolder(folder: string, from: string): Promise<readonly MappingText[]> {
  const shown = relative(from, folder) || '.';
  const fail = (message: string, hint: string): Problems =>
    new Problems([{ file: shown, message, hint }], 'invalid_mapping');
  let names: string[];
  try {
    names = (await readdir(folder)).filter((name) => /\.ya?ml$/.test(name)).sort();
  } catch {
    throw fail(
      'the folder of mappings cannot be read',
      'create it with `truespoke init`, or correct `mappings:` in truespoke.yaml',
    );
  }
  if (names.length === 0)
    throw fail('the folder holds no mapping (*.yaml)', 'copy the starter mappings with `truespoke init`');
  if (names.length > filesMax)
    throw fail(`the folder holds more than ${filesMax} mappings`, 'is this the right folder?');
  return Promise.all(names.map((name) => readText(join(folder, name), join(shown, name))));
}

async function readText(path: string, shown: string): Promise<MappingText> {
  try {
    // Looked at before it is read: a file of gigabytes must not be loaded to learn that it is too large (F125).
    const { size } = await stat(path);
    const text = size > yamlBytesMax ? ' '.repeat(yamlBytesMax + 1) : await readFile(path, 'utf8');
    return { file: shown, text };
  } catch {
    throw new Problems(
      [{ file: shown, message: 'the file cannot be read', hint: 'look at its permissions' }],
      'invalid_mapping',
    );
  }
}
