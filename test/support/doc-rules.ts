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

/** Scripts that a document tells people to run are in package.json. */
export function missingScripts(docs: readonly SourceFile[], scripts: readonly string[]): string[] {
  const pattern = /\bnpm (?:run (?:--?[a-z-]+ )*([a-z][\w:-]*)|(test|start)\b)/g;
  return docs.flatMap((doc) =>
    doc.text.split('\n').flatMap((line, index) =>
      [...line.matchAll(pattern)]
        .map((match) => match[1] ?? match[2] ?? '')
        .filter((name) => !scripts.includes(name))
        .map((name) => `${doc.path}:${index + 1} names the script ${name}, which package.json does not have`),
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

/** Sections of the specification by the number that a test refers to (`Law 3`, `Invariant 2`), with the files each names. */
function sectionsOf(spec: SourceFile): Map<string, Set<string>> {
  const sections = new Map<string, Set<string>>();
  for (const section of spec.text.split(/^(?=#{2,3} )/m)) {
    const number = /^### ((?:Law|Invariant) \d+)\b/.exec(section)?.[1];
    if (number === undefined) continue;
    sections.set(number, new Set([...section.matchAll(/^\s*- Test: `([^`]+)`/gm)].map((match) => match[1] ?? '')));
  }
  return sections;
}

const provesLine = /^\/\/ Proves: (.*)$/m;

/** What a test file says it proves: `// Proves: Law 3, Invariant 2` in its header. */
function provenBy(test: SourceFile): string[] {
  const list = provesLine.exec(test.text)?.[1] ?? '';
  return list.split(/,\s*/).filter((word) => word !== '');
}

const wantedProofs = (sections: ReadonlyMap<string, ReadonlySet<string>>, path: string): string[] =>
  [...sections].filter(([, paths]) => paths.has(path)).map(([number]) => number);

/** Both ways: a file that the specification names says which laws it proves, and what it says stands in the specification. */
export function proofBreaches(spec: SourceFile, tests: readonly SourceFile[]): string[] {
  const sections = sectionsOf(spec);
  return tests.flatMap((test) => {
    const said = provenBy(test);
    const wanted = wantedProofs(sections, test.path);
    const silent = wanted.filter((number) => !said.includes(number));
    const unknown = said.filter((number) => !wanted.includes(number));
    return [
      ...silent.map(
        (number) => `${test.path}: ${spec.path} names it under ${number}: write // Proves: ${wanted.join(', ')}`,
      ),
      ...unknown.map((number) =>
        sections.has(number)
          ? `${test.path} says that it proves ${number}, but ${spec.path} names no test of it there`
          : `${test.path} says that it proves ${number}, which ${spec.path} does not have`,
      ),
    ];
  });
}

/** The file with the line that the specification asks for, at the end of its opening comment. */
export function withTrueProofs(spec: SourceFile, test: SourceFile): string {
  const wanted = wantedProofs(sectionsOf(spec), test.path);
  const line = `// Proves: ${wanted.join(', ')}`;
  if (wanted.length === 0) return test.text.replace(new RegExp(`${provesLine.source}\n`, 'm'), '');
  if (provesLine.test(test.text)) return test.text.replace(provesLine, line);
  const lines = test.text.split('\n');
  const end = lines.findIndex((text) => !text.startsWith('//'));
  return [...lines.slice(0, end), line, ...lines.slice(end)].join('\n');
}
