// Owns JSON whose numbers stay exact: 9007199254740993 in a jsonb column is not 9007199254740992 (F112).
// Compares by meaning: order of keys, spelling of numbers and Unicode form aside.
import type { RemoteValue } from '../model/record.js';
import { canonicalNumber, parseDecimal } from './decimals.js';
import { BadValue } from './mapping.js';

/** One text for one meaning of JSON: keys sorted, numbers exact. null when it is not JSON. */
export function canonicalJson(text: string): string | null {
  try {
    return printSorted(parseExactJson(text));
  } catch {
    return null;
  }
}

/** A number where a double holds it exactly, else its text. Throws BadValue. */
export function exactNumber(text: string): number | string {
  const value = Number(text);
  if (!Number.isFinite(value) || parseDecimal(text) === null) {
    throw new BadValue('not_number', 'NaN and infinity are not carried to a spoke');
  }
  return canonicalNumber(String(value)) === canonicalNumber(text) ? value : text;
}

type ExactJson =
  { readonly number: string } | null | boolean | string | readonly ExactJson[] | ReadonlyMap<string, ExactJson>;

// Numbers become marked strings before JSON.parse sees them, so 9007199254740993 stays itself. The mark cannot occur
// otherwise: jsonb holds no NUL.
const mark = '\\u0000';
const tokens = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

function parseExactJson(text: string): ExactJson {
  const marked = text.replace(tokens, (token) => (token.startsWith('"') ? token : `"${mark}${token}"`));
  return revive(JSON.parse(marked));
}

function revive(value: unknown): ExactJson {
  if (typeof value === 'string')
    return value.startsWith('\u0000') ? { number: canonicalNumber(value.slice(1)) } : value;
  if (Array.isArray(value)) return value.map(revive);
  if (typeof value === 'object' && value !== null)
    return new Map(Object.entries(value).map(([key, part]) => [key, revive(part)]));
  return value as null | boolean;
}

function printSorted(value: ExactJson): string {
  if (value === null || typeof value !== 'object')
    return JSON.stringify(typeof value === 'string' ? value.normalize('NFC') : value);
  if (value instanceof Map) {
    const entries = [...(value as ReadonlyMap<string, ExactJson>)].sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, part]) => `${JSON.stringify(key)}:${printSorted(part)}`).join(',')}}`;
  }
  if (Array.isArray(value)) return `[${(value as readonly ExactJson[]).map(printSorted).join(',')}]`;
  return (value as { readonly number: string }).number;
}

/** Hub JSON for a spoke. Throws BadValue. */
export function remoteJson(text: string): RemoteValue {
  const plain = (value: ExactJson): RemoteValue => {
    if (value === null || typeof value !== 'object') return value;
    if (value instanceof Map) {
      const entries = [...(value as ReadonlyMap<string, ExactJson>)].map(([key, part]) => [key, plain(part)] as const);
      return Object.fromEntries(entries);
    }
    if (Array.isArray(value)) return (value as readonly ExactJson[]).map(plain);
    return exactNumber((value as { readonly number: string }).number);
  };
  try {
    return plain(parseExactJson(text));
  } catch (cause) {
    if (cause instanceof BadValue) throw cause;
    throw new BadValue('not_json', 'the hub holds text that is not JSON');
  }
}
