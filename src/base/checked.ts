// Owns the step from parsed YAML to typed data: one pass of a zod schema, every problem with its place, cause and next step.
import { z } from 'zod';
import type { Problem } from './errors.js';
import { didYouMean } from './suggest.js';
import type { YamlFile, YamlPath } from './yaml.js';

type Issue = z.core.$ZodIssue;
type JsonSchema = { readonly [key: string]: unknown };

export type Checked<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problems: readonly Problem[] };

export function checkYaml<T>(schema: z.ZodType<T>, source: YamlFile): Checked<T> {
  if (source.problems.length > 0) return { ok: false, problems: source.problems };
  const result = schema.safeParse(source.value);
  if (result.success) return { ok: true, value: result.data };
  let json: JsonSchema | null = null;
  const keysAt = (path: YamlPath): readonly string[] => {
    json ??= z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
    return [...new Set(walk(json, json, path))];
  };
  return { ok: false, problems: result.error.issues.flatMap((issue) => problemsOf(issue, [], source, keysAt)) };
}

function problemsOf(
  issue: Issue,
  above: YamlPath,
  source: YamlFile,
  keysAt: (path: YamlPath) => readonly string[],
): Problem[] {
  const path = [...above, ...issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step))];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      ...source.place([...path, key], { key: true }),
      message: `unknown key '${key}'${inside(path)}`,
      hint: didYouMean(key, keysAt(path)),
    }));
  }
  if (issue.code === 'invalid_union') {
    const branch = bestBranch(issue.errors, valueAt(source.value, path));
    if (branch !== null) return branch.flatMap((inner) => problemsOf(inner, path, source, keysAt));
  }
  if (issue.code === 'invalid_key') {
    const cause = issue.issues[0]?.message ?? issue.message;
    return [{ ...source.place(path, { key: true }), message: `'${String(path.at(-1))}': ${cause}` }];
  }
  const subject = path.length === 0 ? 'the file' : `'${path.join('.')}'`;
  const options = issue.code === 'invalid_value' ? issue.values.map(String) : [];
  const given = typeof issue.input === 'string' ? issue.input : valueAt(source.value, path);
  const hint = typeof given === 'string' && options.length > 0 ? didYouMean(given, options) : undefined;
  return [{ ...source.place(path), message: `${subject}: ${plain(issue)}`, ...(hint === undefined ? {} : { hint }) }];
}

/** The alternative that the writer most likely meant: one of the same outer kind, with the fewest complaints. */
function bestBranch(branches: readonly (readonly Issue[])[], given: unknown): readonly Issue[] | null {
  const composite = typeof given === 'object' && given !== null;
  const wrongKind = (issue: Issue): boolean =>
    issue.path.length === 0 && (issue.code === 'invalid_type' || (composite && issue.code === 'invalid_value'));
  const near = branches.filter((issues) => !issues.some(wrongKind));
  return near.sort((a, b) => a.length - b.length)[0] ?? null;
}

function plain(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `${/undefined/.test(issue.message) ? 'missing: ' : ''}expected ${kind[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `expected ${issue.values.length === 1 ? '' : 'one of '}${issue.values.map(String).join(', ')}`;
    case 'too_big':
      return `expected at most ${issue.maximum}${countOf(issue.origin)}`;
    case 'too_small':
      return `expected at least ${issue.minimum}${countOf(issue.origin)}`;
    case 'invalid_union':
      return 'not one of the forms that are allowed here';
    default:
      return issue.message.replace(/^Invalid input: /, '');
  }
}

/** Types in the words of whoever writes YAML. */
const kind: Readonly<Record<string, string>> = {
  record: 'names, each with its own keys below it',
  object: 'keys below it',
  array: 'a list',
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
};

function countOf(origin: string): string {
  if (origin === 'string') return ' characters';
  return origin === 'array' || origin === 'set' || origin === 'object' ? ' entries' : '';
}

function inside(path: YamlPath): string {
  return path.length === 0 ? '' : ` in '${path.join('.')}'`;
}

function valueAt(value: unknown, path: YamlPath): unknown {
  return path.reduce<unknown>((node, step) => {
    return typeof node === 'object' && node !== null ? (node as Record<string | number, unknown>)[step] : undefined;
  }, value);
}

/** Keys that a JSON schema allows at a path, over all alternatives. */
function walk(root: JsonSchema, node: unknown, path: YamlPath): string[] {
  if (typeof node !== 'object' || node === null) return [];
  const schema = node as JsonSchema;
  if (typeof schema['$ref'] === 'string') {
    const target = schema['$ref']
      .slice(2)
      .split('/')
      .reduce<unknown>((at, step) => (at as JsonSchema | undefined)?.[step], root);
    return walk(root, schema['$ref'] === '#' ? root : target, path);
  }
  const alternatives = [schema['anyOf'], schema['oneOf'], schema['allOf']].flatMap((list) =>
    Array.isArray(list) ? (list as unknown[]) : [],
  );
  const found = alternatives.flatMap((alternative) => walk(root, alternative, path));
  const properties = (schema['properties'] ?? {}) as JsonSchema;
  const [step, ...rest] = path;
  if (step === undefined) return [...found, ...Object.keys(properties)];
  const next = typeof step === 'number' ? schema['items'] : (properties[step] ?? schema['additionalProperties']);
  return [...found, ...walk(root, next, rest)];
}
