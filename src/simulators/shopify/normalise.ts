// Owns what the shop does to values before it keeps them: emails lower-cased, phones to E.164, text trimmed, tags sorted,
// money at two decimals, HTML stripped of scripts. Pure. What is given back differs from what was sent, as with the real one.
import { parsePhoneNumberFromString, type CountryCode } from 'libphonenumber-js';

/** Trimmed; '' becomes null. */
export function text(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  const trimmed = String(value).trim();
  return trimmed === '' ? null : trimmed;
}

export function email(value: unknown): string | null {
  return text(value)?.toLowerCase() ?? null;
}

export function validEmail(value: string): boolean {
  return /^[^\s@,;<>()]+@[^\s@,;<>()]+\.[^\s@.,;<>()]{2,}$/.test(value);
}

/** E.164, null for an empty value, undefined when it is no phone number. */
export function phone(value: unknown, country: string): string | null | undefined {
  const given = text(value);
  if (given === null) return null;
  const parsed = parsePhoneNumberFromString(given, country as CountryCode);
  return parsed?.isPossible() === true ? parsed.number : undefined;
}

/** Trimmed, without empties, without repeats that differ in case only, in alphabetical order. */
export function tags(values: readonly unknown[] | null | undefined): readonly string[] {
  const seen = new Map<string, string>();
  for (const value of values ?? []) {
    for (const part of String(value).split(',')) {
      const tag = part.trim();
      if (tag !== '' && !seen.has(tag.toLowerCase())) seen.set(tag.toLowerCase(), tag);
    }
  }
  return [...seen].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, tag]) => tag);
}

/** Decimal text to cents, rounded half up; null for empty, undefined when it is no amount. */
export function cents(value: unknown): number | null | undefined {
  const given = text(value);
  if (given === null) return null;
  if (!/^[+-]?(\d+(\.\d*)?|\.\d+)$/.test(given)) return undefined;
  const negative = given.startsWith('-');
  const [whole = '', fraction = ''] = given.replace(/^[+-]/, '').split('.');
  const kept = Number(`${whole === '' ? '0' : whole}${fraction.padEnd(2, '0').slice(0, 2)}`);
  const rounded = kept + (Number(fraction[2] ?? '0') >= 5 ? 1 : 0);
  return negative ? -rounded : rounded;
}

/** The `Money` scalar: always two decimals. */
export function moneyText(amount: number): string {
  const sign = amount < 0 ? '-' : '';
  const digits = String(Math.abs(amount)).padStart(3, '0');
  return `${sign}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

/** The `Decimal` scalar: no trailing zeros but one. */
export function decimalText(amount: number): string {
  return moneyText(amount).replace(/0$/, '');
}

/** Scripts, inline handlers and javascript: links go; the rest stays as written. */
export function html(value: unknown): string {
  return String(value ?? '')
    .replace(/<script\b[\s\S]*?<\/script\s*>/gi, '')
    .replace(/<script\b[^>]*>/gi, '')
    .replace(/\son[a-z]+\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)/gi, '')
    .replace(/(href|src)\s*=\s*(["'])\s*javascript:[^"']*\2/gi, '$1=$2$2')
    .trim();
}

export function plain(markup: string): string {
  return markup
    .replace(/<[^>]*>/g, ' ')
    .replace(/&nbsp;/g, ' ')
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&amp;/g, '&')
    .replace(/\s+/g, ' ')
    .trim();
}

/** `Wool Socks (2 pack)` → `wool-socks-2-pack`. */
export function handle(value: string): string {
  return value
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 255);
}

/** Second precision, as the API shows stamps. */
export function stamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
