// Owns reading the source tree for the tidy test: files, imports, functions, literals. Judges nothing.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, posix, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

export interface SourceFile {
  /** From the repository root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

export interface Import {
  /** As written, for a package; from the repository root, for a file of ours. */
  readonly target: string;
  readonly ours: boolean;
  readonly typeOnly: boolean;
  readonly reExport: boolean;
}

export interface FunctionSize {
  readonly name: string;
  readonly line: number;
  /** Lines of its own: those of functions inside it are counted there. */
  readonly lines: number;
}

const skipped = new Set(['node_modules', 'dist', '.git', '.truespoke', 'coverage']);

/** Every file under `folder` (from the root) whose name ends with one of `endings`. */
export function listFiles(folder: string, endings: readonly string[]): SourceFile[] {
  const found: SourceFile[] = [];
  const walk = (at: string): void => {
    for (const entry of readdirSync(at, { withFileTypes: true })) {
      const full = join(at, entry.name);
      if (entry.isDirectory()) {
        if (!skipped.has(entry.name)) walk(full);
      } else if (endings.some((ending) => entry.name.endsWith(ending))) {
        found.push({ path: relative(root, full).split(sep).join('/'), text: readFileSync(full, 'utf8') });
      }
    }
  };
  walk(join(root, folder));
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

const parsed = new WeakMap<SourceFile, ts.SourceFile>();

export function parse(file: SourceFile): ts.SourceFile {
  const known = parsed.get(file);
  if (known !== undefined) return known;
  const tree = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true);
  parsed.set(file, tree);
  return tree;
}

function walkTree(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => walkTree(child, visit));
}

function resolve(from: string, specifier: string): { target: string; ours: boolean } {
  if (!specifier.startsWith('.')) return { target: specifier, ours: false };
  const joined = posix.normalize(posix.join(posix.dirname(from), specifier));
  return { target: joined.replace(/\.js$/, '.ts'), ours: true };
}

/** Static, type-only, re-exporting, and dynamic imports with a literal name. */
export function importsOf(file: SourceFile): Import[] {
  const found: Import[] = [];
  walkTree(parse(file), (node) => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      const clause = node.importClause;
      const named = clause?.namedBindings;
      const eachType =
        named !== undefined &&
        ts.isNamedImports(named) &&
        named.elements.length > 0 &&
        named.elements.every((e) => e.isTypeOnly);
      const typeOnly = clause?.phaseModifier === ts.SyntaxKind.TypeKeyword || (eachType && clause?.name === undefined);
      found.push({ ...resolve(file.path, node.moduleSpecifier.text), typeOnly, reExport: false });
    } else if (
      ts.isExportDeclaration(node) &&
      node.moduleSpecifier !== undefined &&
      ts.isStringLiteral(node.moduleSpecifier)
    ) {
      found.push({ ...resolve(file.path, node.moduleSpecifier.text), typeOnly: node.isTypeOnly, reExport: true });
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [first] = node.arguments;
      if (first !== undefined && ts.isStringLiteralLike(first)) {
        found.push({ ...resolve(file.path, first.text), typeOnly: false, reExport: false });
      }
    }
  });
  return found;
}

function nameOf(node: ts.SignatureDeclaration): string {
  if (node.name !== undefined) return node.name.getText();
  const parent = node.parent;
  if (ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent)) return parent.name.getText();
  return ts.isConstructorDeclaration(node) ? 'constructor' : '(anonymous)';
}

function lineSpan(tree: ts.SourceFile, node: ts.Node): readonly [number, number] {
  return [
    tree.getLineAndCharacterOfPosition(node.getStart()).line,
    tree.getLineAndCharacterOfPosition(node.getEnd()).line,
  ];
}

/** Functions, methods, arrows. Lines of nested functions belong to the nested one: a factory is as long as its own flow. */
export function functionsOf(file: SourceFile): FunctionSize[] {
  const tree = parse(file);
  const found: FunctionSize[] = [];
  const measure = (node: ts.Node): number => {
    let nested = 0;
    ts.forEachChild(node, (child) => {
      nested += measure(child);
    });
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return nested;
    const [first, last] = lineSpan(tree, node);
    const span = last - first + 1;
    found.push({ name: nameOf(node), line: first + 1, lines: span - nested });
    // A one-line callback shares its line with its surroundings.
    return span > 1 ? span - 1 : 0;
  };
  measure(tree);
  return found;
}

/** String literals and the fixed parts of templates, joined by a space where a value stands. */
export function literalsOf(file: SourceFile): { text: string; line: number }[] {
  const tree = parse(file);
  const found: { text: string; line: number }[] = [];
  const add = (node: ts.Node, text: string): void => {
    found.push({ text, line: tree.getLineAndCharacterOfPosition(node.getStart()).line + 1 });
  };
  walkTree(tree, (node) => {
    if (ts.isImportDeclaration(node.parent ?? node) || ts.isExportDeclaration(node.parent ?? node)) return;
    if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) add(node, node.text);
    if (ts.isTemplateExpression(node)) {
      add(node, [node.head.text, ...node.templateSpans.map((span) => span.literal.text)].join(' '));
    }
  });
  return found;
}

export function identifiersOf(file: SourceFile): { text: string; line: number }[] {
  const tree = parse(file);
  const found: { text: string; line: number }[] = [];
  walkTree(tree, (node) => {
    if (ts.isIdentifier(node)) {
      found.push({ text: node.text, line: tree.getLineAndCharacterOfPosition(node.getStart()).line + 1 });
    }
  });
  return found;
}

/** Where a file awaits, promises or declares itself asynchronous. */
export function promisesOf(file: SourceFile): number[] {
  const tree = parse(file);
  const lines: number[] = [];
  walkTree(tree, (node) => {
    const asynchronous =
      node.kind === ts.SyntaxKind.AsyncKeyword ||
      node.kind === ts.SyntaxKind.AwaitExpression ||
      (ts.isIdentifier(node) && node.text === 'Promise');
    if (asynchronous) lines.push(tree.getLineAndCharacterOfPosition(node.getStart()).line + 1);
  });
  return lines;
}

/** The sentences that tests in a file are named with; templates keep their fixed text. */
export function testNamesOf(file: SourceFile): string[] {
  const names: string[] = [];
  walkTree(parse(file), (node) => {
    if (!ts.isCallExpression(node)) return;
    const callee = node.expression.getText();
    if (!/^(test|it|describe|suite)\b/.test(callee)) return;
    const [first] = node.arguments;
    if (first === undefined) return;
    if (ts.isStringLiteralLike(first)) names.push(first.text);
    else if (ts.isTemplateExpression(first)) {
      names.push([first.head.text, ...first.templateSpans.map((span) => span.literal.text)].join('…'));
    }
  });
  return names;
}
