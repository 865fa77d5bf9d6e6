// Owns paging: `first`/`after`, `last`/`before`, at most 250 a page, cursors that hold the sort value and id of a row. The
// cursor is a key, not an offset, so a row that moves while a reader pages is met again or not at all: page drift is real.
import { GraphQLError } from 'graphql';

export interface PageArguments {
  readonly first?: number | null;
  readonly last?: number | null;
  readonly after?: string | null;
  readonly before?: string | null;
  readonly reverse?: boolean | null;
}

export interface Connection<Row> {
  readonly nodes: readonly Row[];
  readonly edges: () => readonly { readonly node: Row; readonly cursor: string }[];
  readonly pageInfo: () => {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
}

export type SortKey = string | number;

export interface Paged<Row> {
  readonly rows: Iterable<Row>;
  readonly idOf: (row: Row) => number;
  /** null: the rows come in id order already. */
  readonly sortOf: ((row: Row) => SortKey) | null;
}

const pageMax = 250;

interface Key {
  readonly value: SortKey | null;
  readonly id: number;
}

function compare(a: Key, b: Key): number {
  if (a.value !== b.value && a.value !== null && b.value !== null) return a.value < b.value ? -1 : 1;
  return a.id - b.id;
}

function writeCursor({ value, id }: Key): string {
  return Buffer.from(JSON.stringify({ last_id: id, last_value: value ?? id })).toString('base64');
}

function readCursor(text: string, sorted: boolean): Key {
  try {
    const read = JSON.parse(Buffer.from(text, 'base64').toString('utf8')) as { last_id: unknown; last_value: SortKey };
    if (typeof read.last_id === 'number') return { id: read.last_id, value: sorted ? read.last_value : null };
  } catch {
    // Falls through to the API's own error.
  }
  throw new GraphQLError(`Invalid cursor for current pagination sort.`, { extensions: { code: 'BAD_REQUEST' } });
}

/** A page, or everything when `whole` (bulk operations page by themselves). */
export function connection<Row>(paged: Paged<Row>, page: PageArguments, whole = false): Connection<Row> {
  const keyed = keyRows(paged, page.reverse === true);
  if (whole) return connect(keyed, false, false);
  const size = sizeOf(page);
  const direction = page.reverse === true ? -1 : 1;
  const sorted = paged.sortOf !== null;
  const { after, before } = page;
  const from = typeof after === 'string' ? readCursor(after, sorted) : null;
  const to = typeof before === 'string' ? readCursor(before, sorted) : null;
  const start = from === null ? 0 : firstAfter(keyed, (entry) => direction * compare(entry.key, from) > 0);
  const end = to === null ? keyed.length : firstAfter(keyed, (entry) => direction * compare(entry.key, to) >= 0);
  if (typeof page.first === 'number') {
    const stop = Math.min(start + size, end);
    return connect(keyed.slice(start, stop), stop < end, start > 0);
  }
  const begin = Math.max(start, end - size);
  return connect(keyed.slice(begin, end), end < keyed.length, begin > start);
}

interface Keyed<Row> {
  readonly row: Row;
  readonly key: Key;
}

function keyRows<Row>({ rows, idOf, sortOf }: Paged<Row>, reverse: boolean): readonly Keyed<Row>[] {
  const keyed: Keyed<Row>[] = [];
  for (const row of rows) keyed.push({ row, key: { id: idOf(row), value: sortOf === null ? null : sortOf(row) } });
  if (sortOf !== null) keyed.sort((a, b) => compare(a.key, b.key));
  return reverse ? keyed.reverse() : keyed;
}

/** Index of the first entry for which `holds`; entries before it do not. Binary search. */
function firstAfter<Row>(keyed: readonly Keyed<Row>[], holds: (entry: Keyed<Row>) => boolean): number {
  let low = 0;
  let high = keyed.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const entry = keyed[middle];
    if (entry !== undefined && holds(entry)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function sizeOf({ first, last }: PageArguments): number {
  if (typeof first === 'number' && typeof last === 'number') throw bad('only one of first or last can be provided');
  const size = first ?? last;
  if (typeof size !== 'number') throw bad('you must provide one of first or last');
  if (size < 1) throw bad('first and last must be greater than 0');
  if (size > pageMax) throw bad(`first and last must be at most ${String(pageMax)}`);
  return size;
}

function bad(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_REQUEST' } });
}

function connect<Row>(keyed: readonly Keyed<Row>[], next: boolean, previous: boolean): Connection<Row> {
  const first = keyed[0];
  const last = keyed[keyed.length - 1];
  return {
    nodes: keyed.map(({ row }) => row),
    edges: () => keyed.map(({ row, key }) => ({ node: row, cursor: writeCursor(key) })),
    pageInfo: () => ({
      hasNextPage: next,
      hasPreviousPage: previous,
      startCursor: first === undefined ? null : writeCursor(first.key),
      endCursor: last === undefined ? null : writeCursor(last.key),
    }),
  };
}
