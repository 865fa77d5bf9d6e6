// Owns the text of queries. Identifiers arrive as catalogue entries, never as text of a caller; values are written by the type
// of their field, with backslash and quotes escaped. A value that does not fit its type is refused, never quoted around.
import type { RemoteValue } from '../../model/record.js';
import type { CatalogueField } from './catalogue.js';
import { isId } from './errors.js';

/** Longest query sent in a URL: 16 KB is the limit of the whole request line, and each quote takes three bytes there. */
export const soqlUrlMax = 11_000;

export class Unspeakable extends Error {
  override readonly name = 'Unspeakable';
}

export function quoted(text: string): string {
  if (text.includes('\0')) throw new Unspeakable('a NUL character cannot be searched for');
  const escaped = text
    .replaceAll('\\', '\\\\')
    .replaceAll("'", "\\'")
    .replaceAll('"', '\\"')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r')
    .replaceAll('\t', '\\t')
    .replaceAll('\b', '\\b')
    .replaceAll('\f', '\\f');
  return `'${escaped}'`;
}

export function literal(field: Pick<CatalogueField, 'name' | 'type'>, value: RemoteValue): string {
  if (value === null) return 'null';
  const wrong = (): Unspeakable => new Unspeakable(`the value does not fit ${field.name}, which holds ${field.type}`);
  switch (field.type) {
    case 'text':
      if (typeof value !== 'string' && typeof value !== 'number') throw wrong();
      return quoted(String(value));
    case 'id':
      if (typeof value !== 'string' || !isId(value)) throw wrong();
      return quoted(value);
    case 'number':
      if (
        typeof value === 'number'
          ? !Number.isFinite(value)
          : typeof value !== 'string' || !/^-?\d+(\.\d+)?$/.test(value)
      )
        throw wrong();
      return String(value);
    case 'boolean':
      if (typeof value !== 'boolean') throw wrong();
      return String(value);
    case 'date':
      if (typeof value !== 'string' || !/^\d{4}-\d{2}-\d{2}$/.test(value)) throw wrong();
      return value;
    case 'timestamp': {
      const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
      if (!Number.isFinite(ms)) throw wrong();
      return stamp(ms);
    }
    case 'list':
    case 'json':
      throw wrong();
    default:
      return field.type satisfies never;
  }
}

/** Fixed-width UTC with milliseconds: sorts as text. */
export const stamp = (ms: number): string => new Date(ms).toISOString();

export const encodedLength = (text: string): number => encodeURIComponent(text).length;

/** Splits so that each group's texts stay below `lengthMax` encoded characters and `countMax` entries. At least one a group. */
export function groups<T>(
  entries: readonly T[],
  lengthOf: (entry: T) => number,
  lengthMax: number,
  countMax: number,
): T[][] {
  const all: T[][] = [];
  let group: T[] = [];
  let length = 0;
  for (const entry of entries) {
    const more = lengthOf(entry);
    if (group.length > 0 && (length + more > lengthMax || group.length >= countMax)) {
      all.push(group);
      group = [];
      length = 0;
    }
    group.push(entry);
    length += more;
  }
  if (group.length > 0) all.push(group);
  return all;
}
