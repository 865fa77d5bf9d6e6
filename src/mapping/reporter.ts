// Owns the collecting of problems while a mapping is compiled: one pass, every problem, each with its place.
import type { Problem } from '../base/errors.js';
import type { YamlFile, YamlPath } from '../base/yaml.js';
import type { MappingSpec } from './schema.js';

/** A mapping file whose shape has been checked. */
export interface MappingSource {
  readonly spec: MappingSpec;
  readonly source: YamlFile;
}

export class Reporter {
  readonly problems: Problem[] = [];

  /** `key: true` points at the key at the end of the path, not at its value. */
  add(source: YamlFile, path: YamlPath, message: string, hint: string, options: { readonly key?: boolean } = {}): void {
    this.problems.push({ ...source.place(path, options), message, hint });
  }
}
