// Owns reading truespoke.yaml with the environment and `.env` beside it: parsed once, every problem at once with its place.
// With any problem nothing is returned. Never logs and never puts a value of a secret into a message.
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { checkYaml } from '../base/checked.js';
import { ConfigError, Problems, type Problem } from '../base/errors.js';
import { didYouMean } from '../base/suggest.js';
import { readYaml, yamlBytesMax, type YamlFile, type YamlPath } from '../base/yaml.js';
import type { ConfigPlace, Connector } from '../connectors/connector.js';
import { spokeName } from '../model/ids.js';
import type { SpokeName } from '../model/ids.js';
import type { Config, SpokeConfig } from './config.js';
import { resolveReferences, type Environment } from './references.js';
import { configSchema, connectorOptions, type RawConfig } from './schema.js';

export interface LoadOptions {
  /** With it, each spoke's own keys are parsed too, and an unknown connector is refused. */
  readonly connectors?: ReadonlyMap<string, Pick<Connector<unknown>, 'parseConfig'>> | undefined;
  /** How messages name the file; left out: its name without the folder. */
  readonly shown?: string | undefined;
}

const secretBytesMax = 65_536;

/** Throws Problems, or ConfigError when there is no such file. */
export async function loadConfig(path: string, environment: Environment, options: LoadOptions = {}): Promise<Config> {
  const file = resolve(path);
  const folder = dirname(file);
  const shown = options.shown ?? basename(file);
  const source = readYaml(await readConfigText(file, options.shown ?? path), shown);
  if (source.problems.length > 0) throw new Problems(source.problems);
  const resolved = await resolveReferences(source, { ...(await readDotEnv(folder)), ...environment }, (name) =>
    readSecret(folder, name),
  );
  const problems: Problem[] = [...resolved.problems];
  const checked = checkYaml(configSchema, { ...source, value: withoutEmpty(resolved.value) });
  // A key whose reference failed is null here: what the schema says of it would repeat the first message.
  if (!checked.ok)
    problems.push(...checked.problems.filter((problem) => !problems.some((other) => samePlace(other, problem))));
  const spokes = checked.ok
    ? parseSpokes(checked.value, source, options, problems, resolved.failed)
    : new Map<SpokeName, SpokeConfig>();
  if (!checked.ok || problems.length > 0) throw new Problems(problems);
  const raw = checked.value;
  if (!isLocal(raw.server.host) && raw.server.tokens.length === 0) {
    const place = source.place(['server', 'host']);
    const hint = 'add server.tokens (`truespoke token <name>` makes one), or bind 127.0.0.1';
    throw new Problems([
      { ...place, message: `the server would answer on ${raw.server.host} without any token`, hint },
    ]);
  }
  return {
    file,
    hub: { url: raw.hub.url ?? null, dataDir: resolve(folder, raw.hub.dataDir), poolSize: raw.hub.poolSize },
    mappings: resolve(folder, raw.mappings),
    spokes,
    server: {
      host: raw.server.host,
      port: raw.server.port,
      publicUrl: raw.server.publicUrl ?? null,
      tokens: raw.server.tokens,
    },
    schedule: {
      pollSeconds: raw.schedule.poll,
      reconcile: raw.schedule.reconcile === false ? null : raw.schedule.reconcile,
      catalogueSeconds: raw.schedule.catalogue,
      retentionDays: raw.schedule.retentionDays,
    },
    log: raw.log,
    secrets: resolved.secrets,
  };
}

function parseSpokes(
  raw: RawConfig,
  source: YamlFile,
  options: LoadOptions,
  problems: Problem[],
  failed: readonly YamlPath[],
): ReadonlyMap<SpokeName, SpokeConfig> {
  const spokes = new Map<SpokeName, SpokeConfig>();
  for (const [name, spoke] of Object.entries(raw.spokes)) {
    const place: ConfigPlace = (path) => source.place(['spokes', name, ...path]);
    const own = connectorOptions(spoke);
    spokes.set(spokeName(name), {
      name: spokeName(name),
      connector: spoke.connector,
      enabled: spoke.enabled,
      options: own,
      parsed: parseOwn(name, spoke.connector, own, place, options, problems, failed),
      limits: { concurrency: spoke.limits.concurrency ?? null, spacingMs: spoke.limits.spacingMs },
      quotaReservePercent: spoke.quota.reserve,
      deletions: spoke.deletions,
      place,
    });
  }
  return spokes;
}

function parseOwn(
  name: string,
  connector: string,
  own: Readonly<Record<string, unknown>>,
  place: ConfigPlace,
  options: LoadOptions,
  problems: Problem[],
  failed: readonly YamlPath[],
): unknown {
  const { connectors } = options;
  if (connectors === undefined) return null;
  const found = connectors.get(connector);
  if (found === undefined) {
    problems.push({
      ...place(['connector']),
      message: `'${name}' names an unknown connector '${connector}'`,
      hint: didYouMean(connector, [...connectors.keys()]),
    });
    return null;
  }
  // An option whose reference failed has been told already; the connector would only complain of the hole it left.
  if (failed.some(([section, spoke]) => section === 'spokes' && spoke === name)) return null;
  try {
    return found.parseConfig(own, place);
  } catch (error) {
    if (!(error instanceof Problems)) throw error;
    problems.push(...error.problems);
    return null;
  }
}

/** A section whose keys are all commented out is a null in YAML; it means the defaults. */
function withoutEmpty(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([, section]) => section !== null));
}

function samePlace(a: Problem, b: Problem): boolean {
  return a.line === b.line && a.column === b.column;
}

async function readConfigText(file: string, shown: string): Promise<string> {
  try {
    const { size } = await stat(file);
    return size > yamlBytesMax ? ' '.repeat(yamlBytesMax + 1) : await readFile(file, 'utf8');
  } catch (cause) {
    const absent = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    const message = absent ? `there is no ${shown}` : `${shown} cannot be read`;
    const hint = absent ? 'start with `truespoke init`, or say where it is with --config' : 'look at its permissions';
    throw new ConfigError({ code: 'no_configuration', message, hint, file: shown, cause });
  }
}

/** The real environment wins over `.env`. */
async function readDotEnv(folder: string): Promise<Environment> {
  try {
    return parseEnv(await readFile(resolve(folder, '.env'), 'utf8')) as Environment;
  } catch {
    // No .env is the ordinary case; a variable that is then missing is told by name.
    return {};
  }
}

async function readSecret(folder: string, name: string): Promise<{ text: string } | { fault: string }> {
  const path = isAbsolute(name) ? name : resolve(folder, name);
  try {
    const { size } = await stat(path);
    if (size > secretBytesMax) return { fault: `it is larger than ${secretBytesMax} bytes` };
    const text = (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
    return text === '' ? { fault: 'it is empty' } : { text };
  } catch (cause) {
    return { fault: cause instanceof Error && 'code' in cause ? String(cause.code) : 'unreadable' };
  }
}

function isLocal(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
