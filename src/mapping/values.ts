// Owns the canonical text of hub values and what "equal" means on each side. Text end to end: nothing passes through a
// double, a Date or JSON.parse on its way. What cannot be carried is a BadValue, never a silent change (F107–F115).
// Never does I/O; messages name the kind of fault, not the customer's value.
import { parse as parseArray } from 'postgres-array';
import type { HubValue, RemoteValue } from '../model/record.js';
import { canonicalNumber, formatDecimal, normaliseDecimal, parseDecimal, rescale } from './decimals.js';
import {
  formatHubInstant,
  formatIsoInstant,
  parseDate,
  parseInstant,
  sameInstant,
  type InstantFault,
} from './instants.js';
import { canonicalJson, exactNumber, remoteJson } from './exact-json.js';
import { BadValue, type FieldType, type HubField } from './mapping.js';

export interface ValueRules {
  readonly scale?: number | null;
  readonly maxLength?: number | null;
  readonly values?: readonly string[] | null;
  /** What a timestamp without an offset means; absent refuses it. */
  readonly zone?: string | null;
}

const numericDigits = 38;
const int8Max = 2n ** 63n - 1n;

/** Column type of a field. `idType`: type of the other entity's id, for a ref. */
export function sqlType(field: Pick<HubField, 'type' | 'scale'>, idType = 'uuid'): string {
  switch (field.type) {
    case 'text':
      return 'text';
    case 'integer':
      return 'bigint';
    case 'decimal':
      return field.scale === null ? 'numeric' : `numeric(${numericDigits},${field.scale})`;
    case 'boolean':
      return 'boolean';
    case 'date':
      return 'date';
    case 'timestamp':
      return 'timestamptz';
    case 'json':
      return 'jsonb';
    case 'list':
      return 'text[]';
    case 'ref':
      return idType;
    default:
      return field.type satisfies never;
  }
}

/**
 * WAL text (type output functions) → `column::text`, which is what every other reader of the hub sees.
 * The two differ for boolean, character(n), inet and for a session that is not in UTC.
 */
export function fromWal<T extends string | null | undefined>(typeOid: number, text: T): T {
  if (typeof text !== 'string') return text;
  return walText(typeOid, text) as T;
}

function walText(typeOid: number, text: string): string {
  switch (typeOid) {
    case 16:
      return text === 't' ? 'true' : text === 'f' ? 'false' : text;
    case 1042:
      return text.replace(/ +$/, '');
    case 869:
      return text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`;
    case 1184: {
      if (text.endsWith('+00')) return text;
      const instant = parseInstant(text, null);
      return instant.ok ? formatHubInstant(instant.value) : text;
    }
    default:
      return text;
  }
}

/** Equality of the meaning, not of the text: `1.50` is `1.5`, NFD is NFC, a second is its milliseconds cut off. */
export function sameHub(type: FieldType, a: HubValue, b: HubValue): boolean {
  if (a === b) return true;
  if (a === null || b === null) return false;
  switch (type) {
    case 'text':
      return a.normalize('NFC') === b.normalize('NFC');
    case 'integer':
    case 'decimal':
      return canonicalNumber(a) === canonicalNumber(b);
    case 'boolean':
      return walText(16, a) === walText(16, b);
    case 'timestamp': {
      const [left, right] = [parseInstant(a, 'UTC'), parseInstant(b, 'UTC')];
      return left.ok && right.ok && sameInstant(left.value, right.value);
    }
    case 'json': {
      const [left, right] = [canonicalJson(a), canonicalJson(b)];
      return left !== null && left === right;
    }
    case 'list':
      return sameList(a, b);
    case 'date':
    case 'ref':
      return false;
    default:
      return type satisfies never;
  }
}

function sameList(a: string, b: string): boolean {
  const [left, right] = [parseList(a), parseList(b)];
  return (
    left !== null &&
    left.length === right?.length &&
    left.every((entry, i) => (entry ?? null)?.normalize('NFC') === (right[i] ?? null)?.normalize('NFC'))
  );
}

/** Deep equality of two remote values; order of object keys and Unicode form aside. Types must agree: `5` is not `'5'`. */
export function sameRemote(a: RemoteValue, b: RemoteValue): boolean {
  if (a === b) return true;
  if (typeof a === 'string' && typeof b === 'string') return a.normalize('NFC') === b.normalize('NFC');
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (isList(a) || isList(b)) {
    return isList(a) && isList(b) && a.length === b.length && a.every((value, i) => sameRemote(value, b[i] ?? null));
  }
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && sameRemote(a[key] ?? null, b[key] ?? null))
  );
}

export function isList(value: RemoteValue): value is readonly RemoteValue[] {
  return Array.isArray(value);
}

/** A remote value as the hub holds it. null stays null and '' stays '' (F111). Throws BadValue. */
export function toHubText(type: FieldType, value: RemoteValue, rules: ValueRules = {}): HubValue {
  if (value === null) return null;
  switch (type) {
    case 'text':
      return textOf(value, rules);
    case 'integer':
      return integerOf(value);
    case 'decimal':
      return decimalOf(value, rules.scale ?? null);
    case 'boolean':
      if (value === true || value === 'true') return 'true';
      if (value === false || value === 'false') return 'false';
      throw new BadValue('not_boolean', `expected true or false, got ${kindOf(value)}`);
    case 'date':
      return dateOf(value);
    case 'timestamp':
      return instantOf(value, rules.zone ?? null);
    case 'json':
      return jsonOf(value);
    case 'list':
      return listFrom(value);
    case 'ref':
      return textOf(value, {});
    default:
      return type satisfies never;
  }
}

/** A hub value as JSON for a spoke. A number that a double cannot hold exactly leaves as a string (F112). Throws BadValue. */
export function toRemote(type: FieldType, value: HubValue): RemoteValue {
  if (value === null) return null;
  switch (type) {
    case 'text':
    case 'ref':
      return value;
    case 'integer':
    case 'decimal':
      return exactNumber(value);
    case 'boolean':
      return walText(16, value) === 'true';
    case 'date': {
      const date = parseDate(value);
      if (!date.ok) throw badInstant('date', date.fault);
      return date.value;
    }
    case 'timestamp': {
      const instant = parseInstant(value, 'UTC');
      if (!instant.ok) throw badInstant('timestamp', instant.fault);
      return formatIsoInstant(instant.value);
    }
    case 'json':
      return remoteJson(value);
    case 'list': {
      const list = parseList(value);
      if (list === null) throw new BadValue('not_list', 'the hub holds something that is not a one-dimensional list');
      return list;
    }
    default:
      return type satisfies never;
  }
}

/** NUL cannot be stored (F107); half of a surrogate pair would silently become U+FFFD (F108). A leading BOM stays (F109). */
export function checkText(text: string): string {
  if (text.includes('\u0000'))
    throw new BadValue('nul_character', 'the text contains a NUL character, which Postgres cannot store');
  if (/\p{Surrogate}/u.test(text)) {
    throw new BadValue('lone_surrogate', 'the text contains half of a surrogate pair, which no encoding can carry');
  }
  return text;
}

/** A `text[]` literal as entries; null when it is malformed or has more than one dimension. */
export function parseList(text: string): readonly (string | null)[] | null {
  if (!/^[{[]/.test(text)) return null;
  try {
    const list: unknown[] = parseArray(text, (entry) => entry);
    return list.every((entry) => entry === null || typeof entry === 'string') ? list : null;
  } catch {
    // postgres-array throws on malformed text; the caller says what that means.
    return null;
  }
}

/** Entries as Postgres prints a `text[]`: quoted only where it would quote. */
export function formatList(entries: readonly (string | null)[]): string {
  const quoted = entries.map((entry) => {
    if (entry === null) return 'NULL';
    const plain = entry !== '' && !/[{}",\\ \t\n\v\f\r]/.test(entry) && entry.toUpperCase() !== 'NULL';
    return plain ? entry : `"${entry.replace(/["\\]/g, '\\$&')}"`;
  });
  return `{${quoted.join(',')}}`;
}

/** Entries of a hub list without its nulls; nothing for null. Throws BadValue for text that is no list. */
export function listOf(text: HubValue): readonly string[] {
  if (text === null) return [];
  const list = parseList(text);
  if (list === null) throw new BadValue('not_list', 'the hub holds something that is not a one-dimensional list');
  return list.filter((entry) => entry !== null);
}

export const listText = (entries: readonly string[]): string => formatList(entries);

export function kindOf(value: RemoteValue): string {
  if (value === null) return 'nothing';
  if (isList(value)) return 'a list';
  return typeof value === 'string' ? `a text of ${value.length} characters` : `a ${typeof value}`;
}

function textOf(value: RemoteValue, rules: ValueRules): string {
  if (typeof value === 'object') throw new BadValue('not_text', `expected text, got ${kindOf(value)}`);
  const text = checkText(typeof value === 'number' ? canonicalNumber(String(value)) : String(value));
  const { maxLength = null, values = null } = rules;
  if (maxLength !== null && text.length > maxLength && [...text].length > maxLength) {
    throw new BadValue('too_long', `the text has more than the ${maxLength} characters that the field allows`);
  }
  if (values !== null && !values.includes(text)) {
    throw new BadValue('unknown_value', `${quoteShort(text)} is not one of the field's values: ${values.join(', ')}`);
  }
  return text;
}

/** Only for closed lists, where the value is vocabulary and the reader must know which word is missing. */
export function quoteShort(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}

function integerOf(value: RemoteValue): string {
  const parsed = typeof value === 'number' || typeof value === 'string' ? parseDecimal(String(value)) : null;
  if (parsed === null) throw new BadValue('not_integer', `expected a whole number, got ${kindOf(value)}`);
  const whole = normaliseDecimal(parsed);
  if (whole.scale !== 0) throw new BadValue('not_integer', 'expected a whole number, got a fraction');
  if (whole.unscaled > int8Max || whole.unscaled < -int8Max - 1n) {
    throw new BadValue('out_of_range', 'the number does not fit in a bigint column');
  }
  return whole.unscaled.toString();
}

function decimalOf(value: RemoteValue, scale: number | null): string {
  const parsed = typeof value === 'number' || typeof value === 'string' ? parseDecimal(String(value)) : null;
  if (parsed === null) {
    throw new BadValue('not_number', `expected a number, got ${kindOf(value)} (NaN and infinity are not carried)`);
  }
  if (scale === null) return formatDecimal(parsed);
  const scaled = rescale(parsed, scale);
  if (scaled.unscaled.toString().replace('-', '').length > numericDigits) {
    throw new BadValue('out_of_range', `the number does not fit in numeric(${numericDigits},${scale})`);
  }
  return formatDecimal(scaled);
}

function dateOf(value: RemoteValue): string {
  if (typeof value !== 'string') throw new BadValue('not_date', `expected a date, got ${kindOf(value)}`);
  const date = parseDate(value);
  if (!date.ok) throw badInstant('date', date.fault);
  return date.value;
}

function instantOf(value: RemoteValue, zone: string | null): string {
  if (typeof value !== 'string') throw new BadValue('not_timestamp', `expected a timestamp, got ${kindOf(value)}`);
  const instant = parseInstant(value, zone);
  if (!instant.ok) throw badInstant('timestamp', instant.fault);
  return formatHubInstant(instant.value);
}

export function badInstant(what: 'date' | 'timestamp', fault: InstantFault): BadValue {
  const reasons: Readonly<Record<InstantFault, string>> = {
    malformed: `not a ${what} in ISO 8601`,
    zoneless: 'the timestamp names no zone; say which one in the mapping: via: { timestamp: { zone: … } }',
    impossible: `a ${what} that does not exist`,
    out_of_range: `BC and infinity are not carried`,
    dst_gap: "a local time that the zone's clock change skips",
  };
  return new BadValue(`${what}_${fault}`, reasons[fault]);
}

function listFrom(value: RemoteValue): string {
  if (!isList(value)) throw new BadValue('not_list', `expected a list, got ${kindOf(value)}`);
  return formatList(value.map((entry) => (entry === null ? null : textOf(entry, {}))));
}

function jsonOf(value: RemoteValue): string {
  const check = (part: RemoteValue): void => {
    if (typeof part === 'string') checkText(part);
    else if (typeof part === 'number' && !Number.isFinite(part))
      throw new BadValue('not_number', 'JSON has no NaN or infinity');
    else if (typeof part === 'object' && part !== null) {
      for (const [key, inner] of Object.entries(part)) {
        checkText(key);
        check(inner);
      }
    }
  };
  check(value);
  return JSON.stringify(value);
}
