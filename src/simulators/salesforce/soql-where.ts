// Owns WHERE and HAVING: the parser's right-leaning chains become a tree with real precedence, then one predicate. Text
// compares without case, ids with it, null only with = and !=. Refuses what the platform refuses.
import { must } from '../../base/assert.js';
import type { Condition, HavingClause, Query, ValueQueryCondition, WhereClause } from '@jetstreamapp/soql-parser-js';
import { ApiError } from './errors.js';
import { normaliseId } from './ids.js';
import { parseStamp } from './stamps.js';
import { dateRange } from './soql-dates.js';
import type { FieldType, Row, Value } from './words.js';

export type Predicate = (row: Row) => boolean;

/** How a condition's left side is read, and of what type it is. */
export interface Operand {
  readonly get: (row: Row) => Value;
  readonly type: FieldType;
  /** Set when it is a stored field of the queried object itself: lets an index answer. */
  readonly own: string | null;
  readonly label: string;
}

export interface Scope {
  operand(path: string): Operand;
  aggregate(rawValue: string): Operand;
  /** Values of the single field of a sub-select. */
  semiJoin(query: Query): ReadonlySet<string>;
  readonly nowMs: number;
}

type Leaf = Extract<Condition, { operator: unknown }> | ValueQueryCondition;

type Token =
  { readonly kind: 'open' | 'close' | 'and' | 'or' | 'not' } | { readonly kind: 'leaf'; readonly leaf: Leaf };

export interface Compiled {
  readonly test: Predicate;
  /** Values that one own field must have: `{ field, values }` of a top-level AND, for an index. */
  readonly keys: { readonly field: string; readonly values: readonly string[] } | null;
}

export function compileWhere(where: WhereClause | HavingClause, scope: Scope): Compiled {
  const tokens: Token[] = [];
  flatten(where, tokens);
  const parser = new TreeParser(tokens, scope);
  const result = parser.expression();
  parser.end();
  return result;
}

function flatten(clause: WhereClause | HavingClause, tokens: Token[]): void {
  let at: WhereClause | HavingClause | undefined = clause;
  while (at !== undefined) {
    const { left } = at;
    const parens: { openParen?: number; closeParen?: number } = left ?? {};
    for (let i = 0; i < (parens.openParen ?? 0); i += 1) tokens.push({ kind: 'open' });
    if (left !== null && 'operator' in left) tokens.push({ kind: 'leaf', leaf: left });
    for (let i = 0; i < (parens.closeParen ?? 0); i += 1) tokens.push({ kind: 'close' });
    if ('operator' in at) {
      tokens.push({ kind: at.operator === 'AND' ? 'and' : at.operator === 'OR' ? 'or' : 'not' });
      at = at.right;
    } else at = undefined;
  }
}

class TreeParser {
  private at = 0;
  constructor(
    private readonly tokens: readonly Token[],
    private readonly scope: Scope,
  ) {}

  expression(): Compiled {
    let result = this.unary();
    let chain: 'and' | 'or' | null = null;
    for (let next = this.tokens[this.at]; next?.kind === 'and' || next?.kind === 'or'; next = this.tokens[this.at]) {
      // SOQL has no precedence between AND and OR: mixing them needs parentheses.
      if (chain !== null && chain !== next.kind)
        throw new ApiError('MALFORMED_QUERY', `unexpected token: '${next.kind}'`);
      chain = next.kind;
      this.at += 1;
      result = combine(chain, result, this.unary());
    }
    return result;
  }

  end(): void {
    if (this.at < this.tokens.length) throw new ApiError('MALFORMED_QUERY', 'unexpected token in WHERE');
  }

  private unary(): Compiled {
    const token = this.tokens[this.at];
    this.at += 1;
    if (token?.kind === 'not') {
      const { test } = this.unary();
      return { test: (row) => !test(row), keys: null };
    }
    if (token?.kind === 'open') {
      const inner = this.expression();
      if (this.tokens[this.at]?.kind !== 'close')
        throw new ApiError('MALFORMED_QUERY', "expecting a right parenthesis, found '<EOF>'");
      this.at += 1;
      return inner;
    }
    if (token?.kind === 'leaf') return compileLeaf(token.leaf, this.scope);
    throw new ApiError('MALFORMED_QUERY', 'unexpected token in WHERE');
  }
}

function combine(chain: 'and' | 'or', a: Compiled, b: Compiled): Compiled {
  if (chain === 'or') return { test: (row) => a.test(row) || b.test(row), keys: null };
  return { test: (row) => a.test(row) && b.test(row), keys: a.keys ?? b.keys };
}

function compileLeaf(leaf: Leaf, scope: Scope): Compiled {
  const operand = 'fn' in leaf ? scope.aggregate(must(leaf.fn.rawValue, 'function text')) : scope.operand(leaf.field);
  if ('valueQuery' in leaf) {
    const set = scope.semiJoin(leaf.valueQuery);
    const wanted = leaf.operator === 'IN';
    return { test: (row) => set.has(String(operand.get(row) ?? '')) === wanted, keys: null };
  }
  if ('dateLiteralVariable' in leaf || leaf.literalType === 'DATE_LITERAL') return compileDates(leaf, operand, scope);
  const kinds = Array.isArray(leaf.literalType) ? leaf.literalType : [leaf.literalType ?? 'STRING'];
  const texts = Array.isArray(leaf.value) ? leaf.value : [leaf.value];
  const values = texts.map((text, i) => literal(text, kinds[i] ?? kinds[0] ?? 'STRING', operand));
  return compileComparison(leaf.operator, operand, values);
}

function compileComparison(operator: string, operand: Operand, values: readonly Value[]): Compiled {
  const { get } = operand;
  const [first = null] = values;
  const keys =
    operand.own !== null && values.every((value) => typeof value === 'string')
      ? { field: operand.own, values: values.map(String) }
      : null;
  const folded = folding(operand);
  switch (operator) {
    case '=':
      return { test: equals(operand, first), keys };
    case '!=': {
      const same = equals(operand, first);
      return { test: (row) => !same(row), keys: null };
    }
    case 'IN':
    case 'NOT IN': {
      const set = new Set(values.map(folded));
      const wanted = operator === 'IN';
      return { test: (row) => set.has(folded(get(row))) === wanted, keys: wanted ? keys : null };
    }
    case 'LIKE':
      return { test: like(operand, String(first ?? '')), keys: null };
    case '<':
    case '>':
    case '<=':
    case '>=':
      return { test: ordered(operator, operand, first), keys: null };
    case 'INCLUDES':
    case 'EXCLUDES': {
      const wanted = values.map((value) => String(value).split(';'));
      const has = (row: Row): boolean => {
        const held = new Set(String(get(row) ?? '').split(';'));
        return wanted.some((all) => all.every((one) => held.has(one)));
      };
      return { test: operator === 'INCLUDES' ? has : (row) => !has(row), keys: null };
    }
    default:
      throw new ApiError('MALFORMED_QUERY', `unsupported operator: ${operator}`);
  }
}

const isId = (type: FieldType): boolean => type === 'id' || type === 'reference';

function folding(operand: Operand): (value: Value) => Value {
  return isId(operand.type) ? (value) => value : (value) => (typeof value === 'string' ? value.toLowerCase() : value);
}

function equals(operand: Operand, wanted: Value): Predicate {
  const folded = folding(operand);
  const target = folded(wanted);
  return (row) => folded(operand.get(row)) === target;
}

function ordered(operator: '<' | '>' | '<=' | '>=', operand: Operand, wanted: Value): Predicate {
  if (operand.type === 'boolean') throw new ApiError('INVALID_FIELD', `invalid operator on boolean field`);
  const folded = folding(operand);
  const target = folded(wanted);
  if (target === null) return () => false;
  return (row) => {
    const value = folded(operand.get(row));
    if (value === null) return false;
    if (operator === '<') return value < target;
    if (operator === '>') return value > target;
    return operator === '<=' ? value <= target : value >= target;
  };
}

function like(operand: Operand, pattern: string): Predicate {
  const escaped = pattern.replace(/\\?[\s\S]/g, (part) => {
    if (part === '%') return '[\\s\\S]*';
    if (part === '_') return '[\\s\\S]';
    const char = part.length === 2 ? part.slice(1) : part;
    return char.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  });
  const regex = new RegExp(`^${escaped}$`, 'i');
  return (row) => {
    const value = operand.get(row);
    return typeof value === 'string' && regex.test(value);
  };
}

function compileDates(leaf: Leaf, operand: Operand, scope: Scope): Compiled {
  if (!('value' in leaf)) throw new ApiError('MALFORMED_QUERY', 'unexpected date literal');
  const name = String(Array.isArray(leaf.value) ? leaf.value[0] : leaf.value);
  const range = dateRange(name, scope.nowMs);
  if (range === null) throw new ApiError('MALFORMED_QUERY', `unsupported date literal: ${name}`);
  const [from, to] = operand.type === 'date' ? range.map((stamp) => stamp.slice(0, 10)) : range;
  const at = (row: Row): string | null => {
    const value = operand.get(row);
    return typeof value === 'string' ? value : null;
  };
  const tests: Readonly<Record<string, (value: string) => boolean>> = {
    '=': (value) => value >= (from ?? '') && value < (to ?? ''),
    '!=': (value) => value < (from ?? '') || value >= (to ?? ''),
    '<': (value) => value < (from ?? ''),
    '>=': (value) => value >= (from ?? ''),
    '<=': (value) => value < (to ?? ''),
    '>': (value) => value >= (to ?? ''),
  };
  const test = must(tests[leaf.operator], 'date operator');
  return {
    test: (row) => {
      const value = at(row);
      return value === null ? leaf.operator === '!=' : test(value);
    },
    keys: null,
  };
}

const wrongType = (operand: Operand, text: string): ApiError =>
  new ApiError(
    'INVALID_FIELD',
    `value of filter criterion for field '${operand.label}' must be of type ${operand.type} and should${['id', 'string', 'reference'].includes(operand.type) ? '' : ' not'} be enclosed in quotes: ${text}`,
  );

/** A literal as the stored form of the field it is compared with; a literal of the wrong kind is refused. */
function literal(text: string, kind: string, operand: Operand): Value {
  const { type } = operand;
  switch (kind) {
    case 'NULL':
      return null;
    case 'BOOLEAN':
      if (type !== 'boolean') throw wrongType(operand, text);
      return text.toLowerCase() === 'true';
    case 'INTEGER':
    case 'DECIMAL':
    case 'INTEGER_WITH_CURRENCY_PREFIX':
    case 'DECIMAL_WITH_CURRENCY_PREFIX':
      if (!['int', 'double', 'currency', 'percent'].includes(type)) throw wrongType(operand, text);
      return Number(text.replace(/^[A-Za-z]{3}/, ''));
    case 'DATETIME':
      if (type !== 'datetime') throw wrongType(operand, text);
      return must(parseStamp(text), 'datetime literal');
    case 'DATE':
      if (type !== 'date') throw wrongType(operand, text);
      return text;
    case 'STRING': {
      if (['boolean', 'int', 'double', 'currency', 'percent', 'date', 'datetime'].includes(type))
        throw wrongType(operand, text);
      const value = unquote(text);
      if (!isId(type)) return value;
      if (value === '') return null;
      const id = normaliseId(value);
      if (id === null) throw new ApiError('INVALID_QUERY_FILTER_OPERATOR', `invalid ID field: ${value}`);
      return id;
    }
    default:
      throw new ApiError('MALFORMED_QUERY', `unexpected token: ${text}`);
  }
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' };

export function unquote(text: string): string {
  const inner = text.startsWith("'") ? text.slice(1, -1) : text;
  return inner.replace(/\\(u[0-9a-fA-F]{4}|[\s\S])/g, (_all, code: string) => {
    if (code.length === 5) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    // LIKE gives \_ and \% their own meaning, so they stay escaped for it.
    if (code === '%' || code === '_') return `\\${code}`;
    return escapes[code.toLowerCase()] ?? code;
  });
}
