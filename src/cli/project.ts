// Owns reading a project: truespoke.yaml, the environment and every mapping, with all problems of all files at once.
import { dirname, join, relative, resolve } from 'node:path';
import { ConfigError, Problems, type Problem } from '../base/errors.js';
import { nearest } from '../base/suggest.js';
import type { Config } from '../config/config.js';
import { loadConfig } from '../config/load.js';
import { connectors } from '../connectors/registry.js';
import { loadMapping, type LoadedMapping } from '../mapping/load.js';
import type { Common } from './command.js';
import type { Io } from './io.js';

export interface Project {
  readonly config: Config;
  readonly mappings: LoadedMapping;
}

const parsers = new Map(
  [...connectors].map(([name, connector]) => [name, { parseConfig: connector.configure.bind(connector) }]),
);

/** Throws Problems with every problem of configuration and mappings, or ConfigError when there is no configuration. */
export async function loadProject(options: Common, io: Io): Promise<Project> {
  const path = resolve(io.cwd, options.config);
  const problems: Problem[] = [];
  const config = await gather(
    loadConfig(path, io.env, { connectors: parsers, shown: relative(io.cwd, path) }),
    problems,
  );
  if (config !== null) io.hide?.(config.secrets);
  // Without a sound configuration the mappings are looked for where they stand by default, so that one run tells everything.
  const folder = config?.mappings ?? join(dirname(path), 'mappings');
  const names = config === null ? {} : { spokes: [...config.spokes.keys()] };
  const mappings = await gather(loadMapping(folder, { ...names, shownFrom: io.cwd }), problems);
  if (config === null || mappings === null) throw new Problems(problems);
  return { config, mappings };
}

async function gather<T>(work: Promise<T>, problems: Problem[]): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof Problems)) throw error;
    problems.push(...error.problems);
    return null;
  }
}

export function unknownSpoke(config: Config, spoke: string): ConfigError {
  const names = [...config.spokes.keys()];
  const near = nearest(spoke, names);
  const hint = `${near === null ? '' : `Did you mean ${near}? `}truespoke.yaml names: ${names.join(', ')}`;
  return new ConfigError({ code: 'unknown_spoke', message: `there is no spoke '${spoke}'`, hint });
}

export function unknownEntity(known: Iterable<string>, entity: string): ConfigError {
  const names = [...known];
  const near = nearest(entity, names);
  const hint = `${near === null ? '' : `Did you mean ${near}? `}mapped are: ${names.join(', ')}`;
  return new ConfigError({ code: 'unknown_entity', message: `there is no entity '${entity}'`, hint });
}
