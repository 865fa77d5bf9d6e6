// Owns CEL in mappings: `where`, `when`, `in`, `out`. Checked when loaded, free of side effects, and bounded (F127): length, nesting
// and node count at load; text and list sizes at run time; no regular expressions, no loop in a loop. Throws BadValue at run time.
import { Environment, ParseError } from '@marcbachmann/cel-js';
import type { HubValue, RemoteValue } from '../model/record.js';
import { canonicalNumber } from './decimals.js';
import { remoteJson } from './exact-json.js';
import { surveyOf, type ExpressionOptions } from './expression-survey.js';
import { BadValue, type FieldType } from './mapping.js';
import { isList, listOf } from './values.js';

export interface Expression {
  /** Paths or fields that the expression reads: `RecordType.DeveloperName`, `email`. */
  readonly names: readonly string[];
  /** Absent names count as null. A timestamp result comes as ISO text, a CEL int beyond 2^53 as text. */
  evaluate(values: ReadonlyMap<string, CelInput>): RemoteValue;
}

/** What an expression sees: JSON, with CEL ints as bigint. */
export type CelInput = RemoteValue | bigint;

export type ExpressionResult =
  | { readonly ok: true; readonly expression: Expression }
  | { readonly ok: false; readonly message: string; readonly hint?: string };

const lengthMax = 1_000;
const textMax = 4_000;
const textMaxInLoops = 1_000;
const entriesMax = 1_000;
const limits = { maxAstNodes: 300, maxDepth: 24, maxListElements: 100, maxMapEntries: 100, maxCallArguments: 8 };
const celTypes: Readonly<Record<FieldType, string>> = {
  text: 'string',
  integer: 'int',
  decimal: 'double',
  boolean: 'bool',
  date: 'string',
  timestamp: 'string',
  json: 'dyn',
  list: 'list<string>',
  ref: 'string',
};

export function compileExpression(source: string, options: ExpressionOptions): ExpressionResult {
  if (source.length > lengthMax) {
    return {
      ok: false,
      message: `the expression has ${source.length} characters; ${lengthMax} is the most`,
      hint: 'use a lens (via:) instead',
    };
  }
  const environment = dynamic[options.root];
  let parsed;
  try {
    parsed = environment.parse(source);
  } catch (error) {
    return { ok: false, message: `not a CEL expression: ${summary(error)}` };
  }
  const survey = surveyOf(parsed.ast, options);
  if (survey.problem !== null) return { ok: false, ...survey.problem };
  const checked = (options.fields === undefined ? environment : typed(options.fields)).check(source);
  if (!checked.valid) return { ok: false, message: `the expression does not type-check: ${summary(checked.error)}` };
  if (options.want === 'bool' && checked.type !== 'bool' && checked.type !== 'dyn') {
    return {
      ok: false,
      message: `the expression must be true or false, but it is ${checked.type ?? 'something else'}`,
    };
  }
  const names = [...survey.names];
  const bound = survey.loops > 0 ? textMaxInLoops : textMax;
  const evaluate = (values: ReadonlyMap<string, CelInput>): RemoteValue => {
    const context = contextOf(names, values, bound);
    try {
      return plain(parsed({ [options.root]: context }));
    } catch (error) {
      if (error instanceof BadValue) throw error;
      // Only the library's code, never its message: that may quote the customer's value.
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'failed';
      throw new BadValue(
        'expression_failed',
        `the expression \`${source}\` could not be computed for this record (${code})`,
      );
    }
  };
  return { ok: true, expression: { names, evaluate } };
}

/** A hub value as CEL sees it: integers as int, decimals as double, lists as lists, stamps as text. */
export function celValue(type: FieldType, value: HubValue): CelInput {
  if (value === null) return null;
  switch (type) {
    case 'integer':
      return BigInt(canonicalNumber(value));
    case 'decimal':
      return Number(value);
    case 'boolean':
      return value === 'true' || value === 't';
    case 'list':
      return listOf(value);
    case 'json':
      return remoteJson(value);
    case 'text':
    case 'date':
    case 'timestamp':
    case 'ref':
      return value;
    default:
      return type satisfies never;
  }
}

const dynamic = { remote: base('remote', 'map<string, dyn>'), hub: base('hub', 'map<string, dyn>') };

function base(root: string, type: string): Environment {
  return withOperators(new Environment({ homogeneousAggregateLiterals: false, limits })).registerVariable(root, type);
}

/** For the check only: CEL has no nullable types, so comparison with null is added for each scalar. */
function typed(fields: ReadonlyMap<string, FieldType>): Environment {
  const environment = withOperators(new Environment({ homogeneousAggregateLiterals: false, limits }));
  for (const type of ['string', 'int', 'double', 'bool', 'list<string>'])
    environment.registerOperator(`${type} == null`, () => false);
  const schema = Object.fromEntries([...fields].map(([name, type]) => [name, celTypes[type]]));
  return environment.registerVariable({ name: 'hub', schema });
}

/** Remote numbers are doubles and literals are ints: `remote.quantity * 2` must simply work. null adds nothing to a text. */
function withOperators(environment: Environment): Environment {
  const arithmetic: Readonly<Record<string, (a: number, b: number) => number>> = {
    '+': (a, b) => a + b,
    '-': (a, b) => a - b,
    '*': (a, b) => a * b,
    '/': (a, b) => a / b,
  };
  for (const [operator, compute] of Object.entries(arithmetic)) {
    const mixed = (a: bigint | number, b: bigint | number): number => compute(Number(a), Number(b));
    environment.registerOperator(`int ${operator} double`, mixed).registerOperator(`double ${operator} int`, mixed);
  }
  return environment
    .registerOperator('string + null', (a: string) => a)
    .registerOperator('null + string', (_a: null, b: string) => b)
    .registerFunction('text(dyn): string', (value: unknown) => (value === null ? '' : scalarText(value)))
    .registerFunction('string.lower(): string', (value: string) => value.toLowerCase())
    .registerFunction('string.upper(): string', (value: string) => value.toUpperCase());
}

function scalarText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean' || typeof value === 'bigint' || typeof value === 'number')
    return canonicalNumber(String(value));
  throw new BadValue('not_text', 'text() takes a text, a number, true, false or null');
}

/** Maps, not objects: no key can be mistaken for what every object has (F126). */
type Tree = CelInput | Tree[] | Map<string, Tree>;

/** Every named path is there, null when absent: an expression never fails because a value is missing. */
function contextOf(
  names: readonly string[],
  values: ReadonlyMap<string, CelInput>,
  textBound: number,
): Map<string, Tree> {
  const root = new Map<string, Tree>();
  for (const path of names) {
    const steps = path.split('.');
    const last = steps.pop() ?? path;
    let at = root;
    for (const step of steps) {
      const next = at.get(step);
      const branch = next instanceof Map ? next : new Map<string, Tree>();
      at.set(step, branch);
      at = branch;
    }
    const value = values.get(path) ?? null;
    checkSize(value, textBound);
    at.set(last, treeOf(value));
  }
  return root;
}

function treeOf(value: CelInput): Tree {
  if (typeof value !== 'object' || value === null) return value;
  if (isList(value)) return value.map(treeOf);
  return new Map(Object.entries(value).map(([key, inner]) => [key, treeOf(inner)]));
}

function checkSize(value: CelInput, textBound: number): void {
  if (typeof value === 'string' && value.length > textBound) {
    throw new BadValue(
      'too_big_for_expression',
      `expressions take texts of up to ${textBound} characters; use a lens (via:) for longer ones`,
    );
  }
  if (typeof value !== 'object' || value === null) return;
  const entries = isList(value) ? value : Object.values(value);
  if (entries.length > entriesMax) {
    throw new BadValue('too_big_for_expression', `expressions take lists of up to ${entriesMax} entries`);
  }
  for (const entry of entries) checkSize(entry, textBound);
}

function plain(value: unknown): RemoteValue {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new BadValue('not_number', 'the expression yields NaN or infinity');
    return value;
  }
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map)
    return Object.fromEntries([...value].map(([key, part]) => [String(key), plain(part)] as const));
  if (
    typeof value === 'object' &&
    (Object.getPrototypeOf(value) === null || Object.getPrototypeOf(value) === Object.prototype)
  ) {
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)] as const));
  }
  throw new BadValue('not_json', 'the expression yields something that is not JSON');
}

function summary(error: unknown): string {
  if (error instanceof ParseError) return error.summary;
  if (error instanceof Error)
    return ('summary' in error ? String(error.summary) : error.message).split('\n')[0] ?? error.message;
  return String(error);
}
