// Owns the library of lens steps that a mapping can name in `via:`. Each is pure, lets null through, and says what it loses.
import { isSupportedCountry, parsePhoneNumberFromString, type CountryCode } from 'libphonenumber-js/min';
import type { RemoteValue } from '../model/record.js';
import { canonicalNumber, formatDecimal, parseDecimal, rescale } from './decimals.js';
import { formatHubInstant, isZone, parseDate, parseInstant, utcDateOf } from './instants.js';
import type { Stage } from './lens.js';
import { BadValue, type FieldType } from './mapping.js';
import { badInstant, isList, kindOf, quoteShort } from './values.js';

const text: readonly FieldType[] = ['text'];

/** A step over texts. Other kinds are refused, null passes. */
function textStage(
  name: string,
  losses: readonly string[],
  get: (value: string) => string | null,
  put: (value: string) => string | null,
): Stage {
  const guard =
    (body: (value: string) => string | null) =>
    (value: RemoteValue): RemoteValue => {
      if (value === null) return null;
      if (typeof value !== 'string') throw new BadValue('not_text', `${name} expects text, got ${kindOf(value)}`);
      return body(value);
    };
  return { name, types: text, losses, get: guard(get), put: guard(put) };
}

// Not String.trim: that takes a leading BOM (F109). Not a pattern with `+$`: that takes quadratic time on long blanks (F127).
function trimText(value: string): string {
  const blank = (at: number): boolean => /[^\S\ufeff]/.test(value.charAt(at));
  let [start, end] = [0, value.length];
  while (start < end && blank(start)) start += 1;
  while (end > start && blank(end - 1)) end -= 1;
  return value.slice(start, end);
}

const same = (value: string): string => value;

export const plain = (): Stage => textStage('text', [], same, same);
export const trim = (): Stage => textStage('trim', ['white space at both ends'], trimText, trimText);
export const lowercase = (): Stage => textStage('lowercase', ['case'], lower, lower);
export const uppercase = (): Stage => textStage('uppercase', ['case'], upper, upper);
export const blankAsNull = (): Stage =>
  textStage(
    'blank-as-null',
    ["'' becomes null"],
    (v) => (v === '' ? null : v),
    (v) => (v === '' ? null : v),
  );

// Some letters change again when folded a second time: to the fixed point, or the laws would not hold.
function lower(value: string): string {
  return value.toLowerCase().normalize('NFC').toLowerCase().normalize('NFC');
}

function upper(value: string): string {
  return value.toUpperCase().normalize('NFC').toUpperCase().normalize('NFC');
}

export interface PhoneOptions {
  /** Where a number without +… is at home. */
  readonly country?: string | undefined;
  /** What to do with a text that is no number: park the record (default), drop it (null), or keep it as it is. */
  readonly invalid?: 'park' | 'drop' | 'keep' | undefined;
}

export function phoneE164(options: PhoneOptions): Stage {
  const country = options.country as CountryCode | undefined;
  const canonical = (value: string): string | null => {
    const cleaned = trimText(value);
    if (cleaned === '') return null;
    const number = cleaned.length > 60 ? undefined : parsePhoneNumberFromString(cleaned, country);
    if (number?.isPossible() === true) return number.number;
    if (options.invalid === 'keep') return value;
    if (options.invalid === 'drop') return null;
    throw new BadValue(
      'not_phone',
      `the text is not a telephone number${country === undefined ? ' with a country code' : ` of ${country} or with a country code`}`,
    );
  };
  return textStage('phone-e164', ['spacing, punctuation and extension', "'' becomes null"], canonical, canonical);
}

export const isCountry = (code: string): boolean => isSupportedCountry(code);

export type RemoteWord = string | number | boolean;

/** Hub word → remote word, or several remote words of which the first is written. Words are compared as text. */
export function valuesMap(table: Readonly<Record<string, RemoteWord | readonly RemoteWord[]>>): Stage {
  const toHub = new Map<string, RemoteValue>();
  const toSpoke = new Map<string, RemoteValue>();
  let several = false;
  for (const [hub, remote] of Object.entries(table)) {
    const words = typeof remote === 'object' ? remote : [remote];
    several ||= words.length > 1;
    for (const word of words) toHub.set(wordText(word), hub);
    if (words[0] !== undefined) toSpoke.set(hub, words[0]);
  }
  const translate =
    (words: ReadonlyMap<string, RemoteValue>, side: string) =>
    (value: RemoteValue): RemoteValue => {
      if (value === null) return null;
      if (typeof value === 'object') throw new BadValue('not_text', `values expects a word, got ${kindOf(value)}`);
      const found = words.get(wordText(value));
      if (found !== undefined) return found;
      const known = [...words.keys()].slice(0, 20).join(', ');
      throw new BadValue(
        'unknown_value',
        `${quoteShort(String(value))} is not among the ${side} values of the mapping: ${known}`,
      );
    };
  return {
    name: 'values',
    types: ['text', 'boolean', 'integer'],
    losses: several ? ['which of several remote words it was'] : [],
    get: translate(toHub, 'remote'),
    put: translate(toSpoke, 'hub'),
  };
}

function wordText(word: RemoteWord): string {
  return typeof word === 'number' ? canonicalNumber(String(word)) : String(word);
}

/** Decimal that the spoke wants as text, or with another number of digits than the hub keeps. */
export function decimal(options: {
  readonly scale?: number | undefined;
  readonly as?: 'text' | 'number' | undefined;
}): Stage {
  const fit = (value: RemoteValue): RemoteValue => {
    if (value === null || value === '') return null;
    const parsed = typeof value === 'number' || typeof value === 'string' ? parseDecimal(String(value)) : null;
    if (parsed === null) throw new BadValue('not_number', `expected a number, got ${kindOf(value)}`);
    return formatDecimal(options.scale === undefined ? parsed : rescale(parsed, options.scale));
  };
  const put = (value: RemoteValue): RemoteValue => {
    const fitted = fit(value);
    if (fitted === null || options.as === 'text') return fitted;
    const double = Number(fitted);
    return canonicalNumber(String(double)) === canonicalNumber(String(fitted)) ? double : fitted;
  };
  const losses = options.scale === undefined ? [] : [`digits beyond ${options.scale} after the point are rounded`];
  return { name: 'decimal', types: ['decimal', 'integer', 'text'], losses, get: fit, put };
}

/** A day of the hub from a remote date or instant; the time of day is dropped. `zone`: whose day it is (default UTC). */
export function date(options: { readonly zone?: string | undefined }): Stage {
  const get = (value: RemoteValue): RemoteValue => {
    if (value === null || value === '') return null;
    if (typeof value !== 'string') throw new BadValue('not_date', `expected a date, got ${kindOf(value)}`);
    const day = parseDate(value);
    if (day.ok) return day.value;
    const instant = parseInstant(value, options.zone ?? 'UTC');
    if (!instant.ok) throw badInstant('date', instant.fault);
    const zone = options.zone ?? 'UTC';
    return zone === 'UTC' ? utcDateOf(instant.value) : localDate(Number(instant.value.micros / 1_000n), zone);
  };
  return { name: 'date', types: ['date'], losses: ['the time of day'], get, put: (value) => value };
}

function localDate(epochMs: number, zone: string): string {
  return new Intl.DateTimeFormat('sv-SE', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' }).format(
    new Date(epochMs),
  );
}

/** For remotes whose stamps name no zone: `zone` says which one they mean. */
export function timestamp(options: { readonly zone?: string | undefined }): Stage {
  const get = (value: RemoteValue): RemoteValue => {
    if (value === null || value === '') return null;
    if (typeof value !== 'string') throw new BadValue('not_timestamp', `expected a timestamp, got ${kindOf(value)}`);
    const instant = parseInstant(value, options.zone ?? null);
    if (!instant.ok) throw badInstant('timestamp', instant.fault);
    return formatHubInstant(instant.value);
  };
  return {
    name: 'timestamp',
    types: ['timestamp'],
    losses: ['how the offset was written'],
    get,
    put: (value) => value,
  };
}

export { isZone };

/** A hub list ↔ a remote list, or with `separator` a text such as `a, b`. Trimmed, without blanks and doubles, sorted. */
export function tags(options: { readonly separator?: string | undefined }): Stage {
  const { separator } = options;
  const tidy = (entries: readonly RemoteValue[]): string[] => {
    const words = entries.map((entry) => {
      if (typeof entry !== 'string') throw new BadValue('not_text', `tags expects texts, got ${kindOf(entry)}`);
      return trimText(entry);
    });
    return [...new Set(words)].filter((word) => word !== '').sort();
  };
  const read = (value: RemoteValue): RemoteValue => {
    if (value === null) return null;
    if (isList(value)) return tidy(value.filter((entry) => entry !== null));
    if (typeof value === 'string') return tidy(value.split(separator?.trim() || ','));
    throw new BadValue('not_list', `tags expects a list or a text, got ${kindOf(value)}`);
  };
  const put = (value: RemoteValue): RemoteValue => {
    const list = read(value);
    if (separator === undefined || list === null || !isList(list)) return list;
    const mark = separator.trim() || separator;
    if (list.some((entry) => typeof entry === 'string' && entry.includes(mark))) {
      throw new BadValue('separator_in_entry', `an entry contains the separator ${quoteShort(mark)}`);
    }
    return list.join(separator);
  };
  return { name: 'tags', types: ['list'], losses: ['order, doubles and blanks of the list'], get: read, put };
}

/** The remote value is `prefix` + the hub's: `gid://shopify/Product/1` ↔ `1`. */
export function prefix(fixed: string): Stage {
  return textStage(
    'prefix',
    [],
    (value) => {
      if (!value.startsWith(fixed))
        throw new BadValue('no_prefix', `the text does not start with ${quoteShort(fixed)}`);
      return value.slice(fixed.length);
    },
    (value) => fixed + value,
  );
}

/** For a field that the spoke insists on and the hub may lack: nothing ↔ a fixed word. */
export function nullAs(word: string): Stage {
  const check = (value: RemoteValue): RemoteValue => {
    if (value !== null && typeof value !== 'string')
      throw new BadValue('not_text', `null-as expects text, got ${kindOf(value)}`);
    return value;
  };
  const get = (value: RemoteValue): RemoteValue => (check(value) === word || value === '' ? null : value);
  const put = (value: RemoteValue): RemoteValue => (check(value) === null || value === '' ? word : value);
  return { name: 'null-as', types: text, losses: [`'' and ${quoteShort(word)} become null`], get, put };
}

/** Several remote texts, one hub text: first and last name. Split at the first separator; the last path takes the rest. */
export function join(options: { readonly separator: string; readonly paths: number }): Stage {
  const { separator, paths } = options;
  const get = (value: RemoteValue): RemoteValue => {
    const parts = isList(value) ? value : [value];
    const words = parts.map((part) => {
      if (part !== null && typeof part !== 'string')
        throw new BadValue('not_text', `join expects texts, got ${kindOf(part)}`);
      return trimText(part ?? '');
    });
    const joined = words.filter((word) => word !== '').join(separator);
    return joined === '' ? null : joined;
  };
  const put = (value: RemoteValue): RemoteValue => {
    if (value === null) return Array.from({ length: paths }, () => null);
    if (typeof value !== 'string') throw new BadValue('not_text', `join expects text, got ${kindOf(value)}`);
    const words = value
      .split(separator)
      .map(trimText)
      .filter((word) => word !== '');
    const first = words.slice(0, paths - 1);
    const rest = words.slice(paths - 1).join(separator);
    // One word alone is the last name: the part that systems ask for.
    if (rest === '') return [...Array.from({ length: paths - words.length }, () => null), ...words];
    return [...first, rest];
  };
  return {
    name: 'join',
    types: text,
    losses: ['where one part ends and the next begins', 'doubled separators'],
    paths: 'many',
    get,
    put,
  };
}

const entities: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  '#39': "'",
  apos: "'",
  nbsp: '\u00a0',
};

/** Remote HTML as plain text; what is written back is the text as simple HTML. */
export function stripHtml(): Stage {
  const get = (value: string): string =>
    trimText(
      value
        .replace(/<br\s*\/?>|<\/(?:p|div|li|h[1-6]|tr)\s*>/gi, '\n')
        .replace(/<[a-z/!?][^<>]*>/gi, '')
        .replace(/&(amp|lt|gt|quot|#39|apos|nbsp);/g, (whole, name: string) => entities[name] ?? whole),
    );
  const put = (value: string): string =>
    trimText(value).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/\n/g, '<br>');
  return textStage('strip-html', ['all markup', 'white space at both ends'], get, put);
}
