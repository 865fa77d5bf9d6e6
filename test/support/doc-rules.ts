// Owns the checks that keep the documents true to the code. Pure: text in, breaches out.
import type { SourceFile } from './source-tree.js';

/** Paths that a document names must exist. A placeholder (`<name>`, `*`) names no file. */
export function missingPaths(docs: readonly SourceFile[], exists: (path: string) => boolean): string[] {
  const pattern = /(?<![\w./-])((?:src|test|docs|mappings|migrations|bin|\.ci)\/[\w./<>*{},-]*)/g;
  return docs.flatMap((doc) =>
    doc.text.split('\n').flatMap((line, index) =>
      [...line.matchAll(pattern)]
        .map((match) => (match[1] ?? '').replace(/[.,:]+$/, ''))
        .filter((path) => !/[<*{]/.test(path) && !exists(path))
        .map((path) => `${doc.path}:${index + 1} names ${path}, which does not exist`),
    ),
  );
}

/** The line of the tree that is true for a folder: `src/base/: assert clock …`, TypeScript files by stem. */
function trueTree(files: readonly SourceFile[]): Map<string, string> {
  const folders = new Map<string, string[]>();
  for (const file of files) {
    const cut = file.path.lastIndexOf('/') + 1;
    const stem = file.path.slice(cut).replace(/\.ts$/, '');
    folders.set(file.path.slice(0, cut), [...(folders.get(file.path.slice(0, cut)) ?? []), stem]);
  }
  return new Map([...folders].map(([folder, stems]) => [folder, stems.sort().join(' ')]));
}

/** The document's tree: lines `folder/: stem stem …` inside code fences; a longer list goes on in indented lines. */
export function treeBreaches(doc: SourceFile, files: readonly SourceFile[]): string[] {
  const told = new Map<string, string>();
  let folder: string | null = null;
  for (const line of doc.text.split('\n')) {
    const start = /^(src\/[\w/-]*\/):\s*(.*)$/.exec(line);
    if (start !== null) {
      folder = start[1] ?? '';
      told.set(folder, start[2] ?? '');
    } else if (folder !== null && /^\s+[\w-]/.test(line)) told.set(folder, `${told.get(folder) ?? ''} ${line}`);
    else folder = null;
  }
  const is = trueTree(files);
  const sorted = (text: string): string =>
    text
      .split(/\s+/)
      .filter((word) => word !== '')
      .sort()
      .join(' ');
  const wrong = [...is]
    .filter(([path, stems]) => sorted(told.get(path) ?? '') !== stems)
    .map(([path, stems]) => `${doc.path}: the tree should say\n${path}: ${stems}`);
  const gone = [...told.keys()]
    .filter((path) => !is.has(path))
    .map((path) => `${doc.path}: the tree names ${path}, which is gone`);
  return [...wrong, ...gone];
}

/** The document with the tree as it is. Long lines go on indented. */
export function withTrueTree(doc: SourceFile, files: readonly SourceFile[]): string {
  const lines = [...trueTree(files)].map(([path, stems]) => wrap(`${path}: ${stems}`, 118));
  return doc.text.replace(/^```\nsrc\/base\/:[\s\S]*?^```$/m, `\`\`\`\n${lines.join('\n')}\n\`\`\``);
}

function wrap(line: string, width: number): string {
  const lines = [''];
  for (const word of line.split(' ')) {
    const last = lines.at(-1) ?? '';
    if (last !== '' && last.length + 1 + word.length > width) lines.push(`  ${word}`);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines.join('\n');
}

export interface TestNames {
  readonly path: string;
  readonly names: readonly string[];
}

/** Each fault number the specification claims, and each test it names, exists. Lines that begin with `- Gap:` claim nothing. */
export function specBreaches(spec: SourceFile, tests: readonly TestNames[]): string[] {
  const all = tests.flatMap((file) => file.names);
  const byPath = new Map(tests.map((file) => [file.path, file.names]));
  return spec.text.split('\n').flatMap((line, index) => {
    if (/^\s*- Gap:/.test(line)) return [];
    const place = `${spec.path}:${index + 1}`;
    const faults = [...line.matchAll(/\bF(\d+)\b/g)]
      .filter(([fault]) => !all.some((name) => new RegExp(`\\b${fault}\\b`).test(name)))
      .map(([fault]) => `${place} claims ${fault}, which no test names`);
    const named = /^\s*- Test: `([^`]+)`(?:[:,] "(.+)")?\s*$/.exec(line);
    if (named === null)
      return /^\s*- Test:/.test(line)
        ? [...faults, `${place} is not of the form - Test: \`path\`, "sentence"`]
        : faults;
    const [, path, sentence] = named;
    const names = byPath.get(path ?? '');
    if (names === undefined) return [...faults, `${place} names ${path ?? ''}, which is no test file`];
    const known = sentence === undefined || names.some((name) => name.includes(sentence));
    return known ? faults : [...faults, `${place}: ${path ?? ''} has no test "${sentence ?? ''}"`];
  });
}

/** Every numbered heading (`### Law 3 …`, `### Invariant 2 …`) has a test or says that it has none. */
export function unprovenLaws(spec: SourceFile): string[] {
  return spec.text
    .split(/^(?=### )/m)
    .filter((section) => /^### (Law|Invariant)/.test(section) && !/^\s*- (Test|Gap):/m.test(section))
    .map((section) => `${spec.path}: "${section.split('\n')[0] ?? ''}" names neither a test nor a gap`);
}
