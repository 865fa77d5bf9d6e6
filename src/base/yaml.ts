// Owns reading YAML that a person wrote: bounded (F125), without duplicate keys (F124) or keys that reach a prototype (F126),
// every object without a prototype, and every value traceable to file, line and column. Never touches the file system.
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit, type Document, type Node } from 'yaml';
import type { Problem } from './errors.js';

export type YamlPath = readonly (string | number)[];

export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface YamlFile {
  readonly file: string;
  /** Plain JSON-like data; objects have no prototype. null when `problems` is not empty. */
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** Where the value at `path` stands, or its nearest ancestor; `key: true` points at the key instead. */
  place(path: YamlPath, options?: { readonly key?: boolean }): Place;
}

export const yamlBytesMax = 1_000_000;
const aliasesMax = 50;
const entriesMax = 30_000;
const nestingMax = 200;
const forbiddenKeys = new Set(['__proto__', 'constructor', 'prototype']);

export function readYaml(text: string, file: string): YamlFile {
  if (Buffer.byteLength(text) > yamlBytesMax) {
    const hint = 'split it, or look whether this is the file that you meant';
    return broken(file, [
      { file, message: `the file is larger than ${yamlBytesMax / 1_000_000} MB and was not read`, hint },
    ]);
  }
  // Counted before it is parsed: composing half a million entries takes seconds.
  if ((text.match(/[\n,[{]/g)?.length ?? 0) > entriesMax) {
    return broken(file, [
      { file, message: `the file has more than ${entriesMax} lines and entries and was not read`, hint: 'split it' },
    ]);
  }
  if (nestingOf(text) > nestingMax) {
    return broken(file, [
      {
        file,
        message: `brackets are nested more than ${nestingMax} deep`,
        hint: 'look for a bracket that is not closed',
      },
    ]);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: true,
    prettyErrors: false,
    merge: false,
    version: '1.2',
  });
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  // After the first slip of syntax the parser guesses: what it says of the rest is noise.
  const slip = document.errors.find((error) => !ownExplanation.has(error.code));
  const problems: Problem[] = document.errors
    .filter((error) => ownExplanation.has(error.code) || error === slip)
    .map((error) => ({ ...at(error.pos[0]), ...explain(error.code, error.message) }));
  if (problems.length === 0) problems.push(...forbidden(document, at));
  if (problems.length > 0) return broken(file, problems);
  try {
    const value: unknown = bare(document.toJS({ maxAliasCount: aliasesMax }));
    return { file, value, problems: [], place: (path, options) => placeOf(document, path, options?.key ?? false, at) };
  } catch (cause) {
    // The yaml package throws a ReferenceError when aliases multiply beyond the bound.
    return broken(file, [
      { file, line: 1, column: 1, message: cause instanceof Error ? cause.message : String(cause) },
    ]);
  }
}

/** Deepest run of open brackets; those in texts and comments are counted too, which no real file can notice. */
function nestingOf(text: string): number {
  let [depth, deepest] = [0, 0];
  for (const [bracket] of text.matchAll(/[[\]{}]/g)) {
    depth = bracket === '[' || bracket === '{' ? depth + 1 : Math.max(0, depth - 1);
    deepest = Math.max(deepest, depth);
  }
  return deepest;
}

function broken(file: string, problems: readonly Problem[]): YamlFile {
  return { file, value: null, problems, place: () => ({ file, line: 1, column: 1 }) };
}

const ownExplanation: ReadonlySet<string> = new Set(['DUPLICATE_KEY', 'TAB_AS_INDENT']);

function explain(code: string, message: string): { message: string; hint?: string } {
  if (code === 'DUPLICATE_KEY')
    return { message: 'this key stands twice in the same place', hint: 'keep one of the two' };
  if (code === 'TAB_AS_INDENT') return { message: 'a tab is used for indentation', hint: 'YAML wants spaces' };
  return {
    message: `not YAML: ${message.split('\n')[0] ?? message}`,
    hint: 'look at the indentation, brackets and quotes here; the rest of the file is read once this is mended',
  };
}

function forbidden(document: Document.Parsed, at: (offset: number) => Place): Problem[] {
  const problems: Problem[] = [];
  let aliases = 0;
  visit(document, {
    Alias(_key, node) {
      aliases += 1;
      if (aliases <= aliasesMax) return undefined;
      const message = `more than ${aliasesMax} aliases in one file`;
      problems.push({ ...at(node.range?.[0] ?? 0), message, hint: 'write the values out' });
      return visit.BREAK;
    },
    Pair(_key, pair) {
      const key = isScalar(pair.key) ? String(pair.key.value) : null;
      const place = at((pair.key as Node | null)?.range?.[0] ?? 0);
      if (key === null) problems.push({ ...place, message: 'a key must be plain text' });
      else if (forbiddenKeys.has(key))
        problems.push({ ...place, message: `the key '${key}' is not allowed`, hint: 'choose another name' });
    },
  });
  return problems;
}

/** The same data in objects without a prototype: a look-up of any key finds only what the file says. */
function bare(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(bare);
  if (typeof value !== 'object' || value === null) return value;
  const copy = Object.create(null) as Record<string, unknown>;
  for (const [key, inner] of Object.entries(value)) copy[key] = bare(inner);
  return copy;
}

function placeOf(document: Document.Parsed, path: YamlPath, wantKey: boolean, at: (offset: number) => Place): Place {
  let node: unknown = document.contents;
  let offset = (document.contents as Node | null)?.range?.[0] ?? 0;
  for (const [depth, step] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find((entry) => isScalar(entry.key) && String(entry.key.value) === String(step));
      if (pair === undefined) break;
      const lastKey = wantKey && depth === path.length - 1;
      const target = lastKey || pair.value === null ? pair.key : pair.value;
      offset = (target as Node).range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      if (node === undefined || node === null) break;
      offset = (node as Node).range?.[0] ?? offset;
    } else break;
  }
  return at(offset);
}
