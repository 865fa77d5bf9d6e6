// Owns the search syntax of the connections' `query` argument: terms, field:value, comparators, AND / OR / NOT / minus,
// parentheses, quotes, prefix wildcards. Pure. As in the real shop an unknown field is not an error: its term is ignored,
// so that everything matches, and only a warning in `extensions.search` says so.

export type SearchValue = string | number | null | readonly (string | null)[];

/** How a field compares: `id` and `number` by value, `stamp` by second, `word` whole, `text` by words it contains. */
export interface SearchField<Row> {
  readonly kind: 'id' | 'number' | 'stamp' | 'word' | 'text';
  readonly of: (row: Row) => SearchValue;
}

export interface SearchFields<Row> {
  readonly named: Readonly<Record<string, SearchField<Row>>>;
  /** Fields that a bare word is looked for in. */
  readonly loose: readonly string[];
}

export interface SearchWarning {
  readonly field: string;
  readonly message: string;
  readonly code: string;
}

export interface Search<Row> {
  readonly matches: (row: Row) => boolean;
  readonly warnings: readonly SearchWarning[];
}

export interface SearchQuirks {
  /** `updated_at:>x` also matches x (F95). */
  readonly greaterActsAsGreaterOrEqual: boolean;
}

type Comparator = '' | '>' | '>=' | '<' | '<=';
type Token =
  | { readonly kind: '(' | ')' | 'AND' | 'OR' | 'NOT' }
  | { readonly kind: 'term'; readonly field: string | null; readonly comparator: Comparator; readonly value: string };

const tokenPattern =
  /\s*(?:(\()|(\))|(AND|OR|NOT)(?=[\s(]|$)|(-)(?=\S)|(?:([A-Za-z_][\w.$-]*):)?(>=|<=|>|<|=)?(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|((?:[^\s()\\]|\\.)+)))/gy;

function tokens(query: string): readonly Token[] {
  const found: Token[] = [];
  tokenPattern.lastIndex = 0;
  for (let match = tokenPattern.exec(query); match !== null; match = tokenPattern.exec(query)) {
    const [, open, close, word, minus, field, comparator, single, double, bare] = match;
    if (open !== undefined) found.push({ kind: '(' });
    else if (close !== undefined) found.push({ kind: ')' });
    else if (word !== undefined) found.push({ kind: word as 'AND' | 'OR' | 'NOT' });
    else if (minus !== undefined) found.push({ kind: 'NOT' });
    else {
      const value = (single ?? double ?? bare ?? '').replace(/\\(.)/g, '$1');
      const compare = (comparator === '=' ? '' : (comparator ?? '')) as Comparator;
      found.push({ kind: 'term', field: field?.toLowerCase() ?? null, comparator: compare, value });
    }
    if (tokenPattern.lastIndex >= query.length) break;
  }
  return found;
}

type Test<Row> = (row: Row) => boolean;

/** Nesting is bounded by the number of tokens, so a hostile query cannot exhaust the stack. */
const tokensMax = 500;
const tooComplex: Search<unknown> = {
  matches: () => false,
  warnings: [{ field: '', message: 'The query is too complex.', code: 'too_complex' }],
};

export function search<Row>(query: string, fields: SearchFields<Row>, quirks: SearchQuirks): Search<Row> {
  const warnings: SearchWarning[] = [];
  const list = tokens(query);
  if (list.length > tokensMax) return tooComplex;
  let at = 0;

  const any = (): Test<Row> => {
    const tests = [all()];
    while (list[at]?.kind === 'OR') {
      at += 1;
      tests.push(all());
    }
    return tests.length === 1 && tests[0] !== undefined ? tests[0] : (row) => tests.some((test) => test(row));
  };
  const all = (): Test<Row> => {
    const tests: Test<Row>[] = [];
    for (let token = list[at]; token !== undefined && token.kind !== 'OR' && token.kind !== ')'; token = list[at]) {
      if (token.kind === 'AND') at += 1;
      else tests.push(one());
    }
    return (row) => tests.every((test) => test(row));
  };
  const one = (): Test<Row> => {
    const token = list[at];
    at += 1;
    if (token === undefined) return () => true;
    if (token.kind === 'NOT') {
      const inner = one();
      return (row) => !inner(row);
    }
    if (token.kind === '(') {
      const inner = any();
      if (list[at]?.kind === ')') at += 1;
      return inner;
    }
    return token.kind === 'term' ? term(token, fields, quirks, warnings) : () => true;
  };

  const test = any();
  return { matches: test, warnings };
}

function term<Row>(
  token: Extract<Token, { kind: 'term' }>,
  fields: SearchFields<Row>,
  quirks: SearchQuirks,
  warnings: SearchWarning[],
): Test<Row> {
  const { field, comparator, value } = token;
  if (field === null) {
    const tests = fields.loose.map((name) => textTest(fields.named[name], value));
    return (row) => tests.some((test) => test(row));
  }
  const known = Object.hasOwn(fields.named, field) ? fields.named[field] : undefined;
  if (known === undefined) {
    warnings.push({ field, message: 'Invalid search field for this query.', code: 'invalid_field' });
    return () => true;
  }
  if (value === '*') return (row) => listOf(known.of(row)).length > 0;
  if (known.kind === 'word' || known.kind === 'text') return textTest(known, value);
  const wanted = known.kind === 'stamp' ? Date.parse(value) : Number(value.replace(/^gid:\/\/shopify\/\w+\//, ''));
  if (Number.isNaN(wanted)) {
    warnings.push({ field, message: `Input \`${value}\` is not an accepted value.`, code: 'invalid_value' });
    return () => true;
  }
  const loose = known.kind === 'stamp' && comparator === '>' && quirks.greaterActsAsGreaterOrEqual;
  const compare = comparison(loose ? '>=' : comparator);
  const unit = known.kind === 'stamp' ? 1000 : 1;
  return (row) => {
    const actual = known.of(row);
    return typeof actual === 'number' && compare(Math.floor(actual / unit), Math.floor(wanted / unit));
  };
}

function comparison(comparator: Comparator): (actual: number, wanted: number) => boolean {
  switch (comparator) {
    case '':
      return (actual, wanted) => actual === wanted;
    case '>':
      return (actual, wanted) => actual > wanted;
    case '>=':
      return (actual, wanted) => actual >= wanted;
    case '<':
      return (actual, wanted) => actual < wanted;
    case '<=':
      return (actual, wanted) => actual <= wanted;
  }
}

function textTest<Row>(field: SearchField<Row> | undefined, value: string): Test<Row> {
  if (field === undefined) return () => false;
  const wanted = value.toLowerCase();
  const prefix = wanted.endsWith('*') ? wanted.slice(0, -1) : null;
  return (row) =>
    listOf(field.of(row)).some((each) => {
      const actual = each.toLowerCase();
      if (prefix !== null) return actual.startsWith(prefix);
      return field.kind === 'text' ? ` ${actual} `.includes(` ${wanted} `) || actual === wanted : actual === wanted;
    });
}

function listOf(value: SearchValue): readonly string[] {
  if (Array.isArray(value))
    return (value as readonly (string | null)[]).filter((each) => each !== null && each !== '') as string[];
  return value === null || value === '' ? [] : [String(value as string | number)];
}
