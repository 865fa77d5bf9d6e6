// Owns the house rules as pure checks over source files: each returns the breaches it finds, as sentences with a place.
// The tidy test runs them over the tree and, with a bad sample each, proves that they can fail.
import {
  functionsOf,
  identifiersOf,
  importsOf,
  literalsOf,
  promisesOf,
  type Import,
  type SourceFile,
} from './source-tree.js';

/** Order of the houses. Within level 2 the order is contract < mapping < store < limiter, so that no circle can form. */
const houses: readonly (readonly [RegExp, number, string])[] = [
  [/^src\/base\//, 0, 'base'],
  [/^src\/model\//, 1, 'model'],
  [/^src\/connectors\/connector\.ts$/, 2, 'connectors/connector'],
  [/^src\/mapping\//, 2.1, 'mapping'],
  [/^src\/store\//, 2.2, 'store'],
  [/^src\/connectors\/limiter[a-z-]*\.ts$/, 2.3, 'connectors/limiter'],
  [/^src\/connectors\/registry\.ts$/, 4, 'connectors/registry'],
  [/^src\/connectors\/([a-z-]+)\//, 3, 'connectors/*'],
  [/^src\/simulators\//, 3, 'simulators'],
  [/^src\/config\//, 5, 'config'],
  [/^src\/inbound\//, 6, 'inbound'],
  [/^src\/outbound\//, 6, 'outbound'],
  [/^src\/reconcile\//, 7, 'reconcile'],
  [/^src\/engine\//, 8, 'engine'],
  [/^src\/console\//, 9, 'console'],
  [/^src\/cli\//, 10, 'cli'],
];

function houseOf(path: string): { level: number; name: string } | null {
  for (const [pattern, level, name] of houses) {
    const match = pattern.exec(path);
    if (match !== null) return { level, name: name === 'connectors/*' ? `connectors/${match[1] ?? ''}` : name };
  }
  return null;
}

const pureStages = /^src\/(inbound\/(normalise|match|merge)|outbound\/(route|diff)|reconcile\/classify)\.ts$/;
const stages =
  /^src\/(inbound\/(source|normalise|match|merge|apply)|outbound\/(slot|capture|route|claim|diff|deliver))\.ts$/;

function layerBreach(file: SourceFile, used: Import): string | null {
  const from = houseOf(file.path);
  const to = houseOf(used.target);
  if (from === null) return `${file.path} stands in no house`;
  if (to === null) return `${file.path} imports ${used.target}, which stands in no house`;
  if (from.name === 'simulators' && to.level > 1 && to.name !== 'simulators') {
    return `${file.path} imports ${used.target}: simulators know base and model only`;
  }
  if (pureStages.test(file.path) && to.level > 1 && to.name !== 'mapping' && !used.typeOnly) {
    return `${file.path} imports ${used.target}: a pure stage knows base, model and mapping only`;
  }
  if (stages.test(file.path) && stages.test(used.target) && !used.typeOnly) {
    return `${file.path} imports ${used.target}: stages never call stages, the pipeline does`;
  }
  if (from.level === 3 && (to.name === 'store' || to.name === 'mapping') && from.name !== 'simulators') {
    return `${file.path} imports ${used.target}: a connector knows nothing of the hub`;
  }
  if (
    to.level === 3 &&
    to.name.startsWith('connectors/') &&
    from.name !== to.name &&
    from.name !== 'connectors/registry'
  ) {
    return `${file.path} imports ${used.target}: only the registry names a connector`;
  }
  if (from.name !== to.name && to.level >= from.level) {
    return `${file.path} (${from.name}, L${from.level}) imports ${used.target} (${to.name}, L${to.level}): only lower levels`;
  }
  return null;
}

export function layers(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) =>
    importsOf(file)
      .filter((used) => used.ours)
      .map((used) => layerBreach(file, used))
      .filter((breach) => breach !== null),
  );
}

/** Files may not grow past the ceiling; one that is past it may only shrink. */
export function fileSizes(
  files: readonly SourceFile[],
  ceiling: number,
  ratchet: Readonly<Record<string, number>>,
): string[] {
  return files.flatMap((file) => {
    const lines = file.text.split('\n').length - 1;
    const limit = ratchet[file.path] ?? ceiling;
    return lines > limit ? [`${file.path} has ${lines} lines, more than ${limit}`] : [];
  });
}

export function functionSizes(files: readonly SourceFile[], ceiling: number): string[] {
  return files.flatMap((file) =>
    functionsOf(file)
      .filter((fn) => fn.lines > ceiling)
      .map((fn) => `${file.path}:${fn.line} ${fn.name} has ${fn.lines} lines of its own, more than ${ceiling}`),
  );
}

/** Each of these packages has hazards that one wrapper knows; a second importer would not. */
export function oneDoor(files: readonly SourceFile[], packages: readonly string[]): string[] {
  return packages.flatMap((name) => {
    const importers = files
      .filter((file) => importsOf(file).some((used) => used.target === name || used.target.startsWith(`${name}/`)))
      .map((file) => file.path);
    return importers.length > 1 ? [`${name} has ${importers.length} importers: ${importers.join(', ')}`] : [];
  });
}

/** A family of packages that only files under one prefix may touch. */
export function onlyFrom(
  files: readonly SourceFile[],
  packages: readonly string[],
  prefixes: readonly string[],
): string[] {
  return files
    .filter((file) => !prefixes.some((prefix) => file.path.startsWith(prefix)))
    .flatMap((file) =>
      importsOf(file)
        .filter((used) => packages.includes(used.target) && !used.typeOnly)
        .map((used) => `${file.path} imports ${used.target}; only ${prefixes.join(', ')} may`),
    );
}

export function reExports(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) =>
    importsOf(file)
      .filter((used) => used.reExport)
      .map((used) => `${file.path} re-exports ${used.target}: import from the file that defines it`),
  );
}

/** `between`: files that are no source of ours but lead on to it, as a test's support does. */
export function deadFiles(
  files: readonly SourceFile[],
  entries: readonly SourceFile[],
  between: readonly SourceFile[] = [],
): string[] {
  const byPath = new Map([...files, ...between, ...entries].map((file) => [file.path, file]));
  const reached = new Set<string>();
  const queue = entries.map((file) => file.path);
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    const file = byPath.get(path);
    if (file === undefined || reached.has(path)) continue;
    reached.add(path);
    for (const used of importsOf(file)) if (used.ours) queue.push(used.target);
  }
  return files.filter((file) => !reached.has(file.path)).map((file) => `${file.path} is imported by nothing`);
}

export function missingImports(files: readonly SourceFile[], all: ReadonlySet<string>): string[] {
  return files.flatMap((file) =>
    importsOf(file)
      .filter((used) => used.ours && !all.has(used.target) && /\.ts$/.test(used.target))
      .map((used) => `${file.path} imports ${used.target}, which does not exist`),
  );
}

const words = (name: string): string[] =>
  name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '');

function namesEntity(identifier: string, entity: string): boolean {
  const have = words(identifier).join('_');
  return new RegExp(`(^|_)${entity}s?(_|$)`).test(have);
}

/** Entities are data: their names live in mappings/, simulators and the demo. A remote's own vocabulary is not an entity. */
export function entityNames(
  files: readonly SourceFile[],
  entities: readonly string[],
  homonyms: Readonly<Record<string, readonly string[]>> = {},
): string[] {
  return files.flatMap((file) => {
    const remote = /^src\/connectors\/[a-z-]+\//.test(file.path);
    const other = (name: string): boolean => homonyms[name]?.includes(file.path) === true;
    const names = entities.filter((name) => !other(name) && (!remote || name.includes('_')));
    const identifiers = identifiersOf(file)
      .filter((id) => names.some((name) => namesEntity(id.text, name)))
      .map((id) => `${file.path}:${id.line} names an entity: ${id.text}`);
    const literals = literalsOf(file)
      .filter(({ text }) =>
        names.some((name) =>
          text.includes(' ') ? new RegExp(`hub\\.${name}\\b`).test(text) : namesEntity(text, name),
        ),
      )
      .map(({ text, line }) => `${file.path}:${line} names an entity: ${JSON.stringify(text.slice(0, 60))}`);
    return [...identifiers, ...literals];
  });
}

/** Statements that move data, and those that shape the schema. Anchored: a hint may quote one to the person who must run it. */
const dml =
  /^\s*(with\s[\s\S]*\sas\s*\(|select\s[\s\S]*\sfrom\s|insert\s+into\s|update\s+[\w".]+\s+set\s|delete\s+from\s)/i;
const ddl = /^\s*(create|alter|drop|truncate)\s+(unique\s+)?(table|index|schema|publication|function|role|system)\s/i;

/** SQL outside its house: data statements anywhere, schema statements in a file that could run them, and any running at all. */
export function sqlOutside(files: readonly SourceFile[], allowed: readonly string[]): string[] {
  return files
    .filter((file) => !allowed.some((prefix) => file.path.startsWith(prefix)))
    .flatMap((file) => {
      const runs = /\b(pool|tx|db|client)\.query\s*[(<]/.test(file.text);
      const held = literalsOf(file)
        .filter(({ text }) => dml.test(text) || (runs && ddl.test(text)))
        .map(({ text, line }) => `${file.path}:${line} holds SQL: ${JSON.stringify(text.trim().slice(0, 60))}`);
      return runs ? [...held, `${file.path} runs SQL: ask a function of store/`] : held;
    });
}

const ambientWords =
  /\b(?:(?:now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|random|gen_random_uuid|uuidv4|uuidv7)\(\)|current_timestamp\b|current_date\b|localtimestamp\b)/gi;

/** Time and chance that Postgres would put into the engine's own decisions. `allowed`: words by path. */
export function ambientSql(
  files: readonly SourceFile[],
  allowed: Readonly<Record<string, readonly string[]>>,
): string[] {
  return files.flatMap((file) => {
    const texts = file.path.endsWith('.ts')
      ? literalsOf(file).filter(
          ({ text }) => /\s/.test(text) && /\b(select|insert|update|delete|default|where|set)\b/i.test(text),
        )
      : file.text.split('\n').map((line, i) => ({ text: line.replace(/--.*$/, ''), line: i + 1 }));
    return texts.flatMap(({ text, line }) =>
      [...text.matchAll(ambientWords)]
        .filter(([word]) => allowed[file.path]?.includes(word.toLowerCase()) !== true)
        .map(([word]) => `${file.path}:${line} asks Postgres for ${word}: take it as a parameter`),
    );
  });
}

export function pureStagePromises(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => pureStages.test(file.path))
    .flatMap((file) => promisesOf(file).map((line) => `${file.path}:${line} waits: a pure stage returns no promise`));
}

export function processUse(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const lines = file.text.split('\n');
    return lines.flatMap((text, index) =>
      /\bprocess\.(env|argv|exit|on|once|stdout|stderr)\b/.test(text) && !/^\s*(\/\/|\*)/.test(text)
        ? [`${file.path}:${index + 1} reads the process; only cli/ constructs`]
        : [],
    );
  });
}

const avoided = new Set([
  'sync',
  'sink',
  'job',
  'item',
  'data',
  'manager',
  'helper',
  'util',
  'utils',
  'helpers',
  'jobs',
  'items',
]);
const drawers = new Set(['utils', 'util', 'helpers', 'helper', 'common', 'misc', 'lib', 'shared']);

export function fileNames(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const parts = file.path.split('/');
    const base = (parts.at(-1) ?? '').replace(/(\.test)?\.ts$/, '');
    const folder = parts
      .slice(0, -1)
      .filter((part) => drawers.has(part))
      .map((part) => `${file.path}: no ${part}/ folder`);
    // A simulator speaks the language of the API that it stands for.
    const noun = words(base)
      .filter((word) => avoided.has(word) && !(file.path.startsWith('src/simulators/') && word.startsWith('job')))
      .map((word) => `${file.path}: "${word}" is a noun to avoid`);
    const kebab = /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)?$/.test(base) ? [] : [`${file.path} is not kebab-case`];
    return [...folder, ...noun, ...kebab];
  });
}

/** A module says what it owns before it says anything else. */
export function openingComments(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => !/^(#!.*\n)?\s*\/[/*]/.test(file.text))
    .map((file) => `${file.path} opens without a comment`);
}

/** Built from pieces, so that this file does not leave what it looks for. */
const leftover = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'HA' + 'CK'].join('|')})\\b`);

export function leftovers(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) =>
    file.text
      .split('\n')
      .flatMap((text, index) =>
        leftover.test(text) ? [`${file.path}:${index + 1} is unfinished: ${text.trim()}`] : [],
      ),
  );
}
