// Owns dates and instants as text: what Postgres prints (`2026-11-21 10:00:00.123+00`), what remotes send (ISO 8601), and
// the comparison of the two. Microseconds are kept as bigints: a Date would drop them (F113). Never guesses a zone (F114).

export interface Instant {
  /** Since 1970-01-01 UTC; negative before. */
  readonly micros: bigint;
  /** Digits after the second that the text carries, in steps of 0, 3, 6: `.12` is milliseconds printed short. */
  readonly precision: 0 | 3 | 6;
}

export type InstantFault = 'malformed' | 'zoneless' | 'impossible' | 'out_of_range' | 'dst_gap';
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly fault: InstantFault };

const instantPattern =
  /^(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s?(Z|z|UTC|[+-]\d{2}(?::?\d{2}(?::\d{2})?)?)?$/;
const datePattern = /^(\d{4})-(\d{2})-(\d{2})$/;
const bad = (fault: InstantFault): { readonly ok: false; readonly fault: InstantFault } => ({ ok: false, fault });

/** `YYYY-MM-DD`, a day that exists, years 1–9999. */
export function parseDate(text: string): Parsed<string> {
  const match = datePattern.exec(text);
  if (match === null) return bad(/BC$|infinity/.test(text) ? 'out_of_range' : 'malformed');
  return daysOf(match) === null ? bad('impossible') : { ok: true, value: text };
}

/** `zone`: what a text without an offset means (`UTC` or an IANA name); null refuses such a text. */
export function parseInstant(text: string, zone: string | null): Parsed<Instant> {
  const match = instantPattern.exec(text);
  if (match === null) return bad(/BC$|infinity/.test(text) ? 'out_of_range' : 'malformed');
  const days = daysOf(match);
  const [hour, minute, second] = [number(match[4]), number(match[5]), number(match[6])];
  if (days === null || hour > 23 || minute > 59 || second > 59) return bad('impossible');
  const fraction = (match[7] ?? '').slice(0, 6);
  const local = BigInt(days * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000_000n;
  const micros = local + BigInt(fraction.padEnd(6, '0'));
  const precision = fraction.length === 0 ? 0 : fraction.length <= 3 ? 3 : 6;
  const offset = match[8] === undefined ? zoneOffset(local, zone) : textOffset(match[8]);
  if (typeof offset === 'string') return bad(offset);
  return { ok: true, value: { micros: micros - BigInt(offset) * 1_000_000n, precision } };
}

/** As Postgres prints timestamptz in UTC: no trailing zeros in the fraction. */
export function formatHubInstant({ micros }: Instant): string {
  const { date, time, fraction } = partsOf(micros);
  const short = fraction.replace(/0+$/, '');
  return `${date} ${time}${short === '' ? '' : `.${short}`}+00`;
}

/** ISO 8601 in UTC with milliseconds: what remotes accept. Microseconds are cut (a declared loss). */
export function formatIsoInstant({ micros }: Instant): string {
  const { date, time, fraction } = partsOf(micros);
  return `${date}T${time}.${fraction.slice(0, 3)}Z`;
}

/** Equal at the coarser of the two precisions (F113): a spoke that shows seconds agrees with a hub that holds microseconds. */
export function sameInstant(a: Instant, b: Instant): boolean {
  const step = 10n ** BigInt(6 - Math.min(a.precision, b.precision));
  return floorDivide(a.micros, step) === floorDivide(b.micros, step);
}

export function utcDateOf({ micros }: Instant): string {
  return partsOf(micros).date;
}

function number(text: string | undefined): number {
  return text === undefined ? 0 : Number(text);
}

function floorDivide(value: bigint, step: bigint): bigint {
  const quotient = value / step;
  return value % step < 0n ? quotient - 1n : quotient;
}

/** Days since the epoch, or null for a day that does not exist. */
function daysOf(match: RegExpExecArray): number | null {
  const [year, month, day] = [number(match[1]), number(match[2]), number(match[3])];
  if (year < 1 || month < 1 || month > 12 || day < 1) return null;
  const at = new Date(0);
  at.setUTCFullYear(year, month - 1, day);
  return at.getUTCDate() === day && at.getUTCMonth() === month - 1 ? at.getTime() / 86_400_000 : null;
}

function partsOf(micros: bigint): { date: string; time: string; fraction: string } {
  const ms = floorDivide(micros, 1_000n);
  const iso = new Date(Number(ms)).toISOString();
  const fraction = (micros - floorDivide(micros, 1_000_000n) * 1_000_000n).toString().padStart(6, '0');
  return { date: iso.slice(0, 10), time: iso.slice(11, 19), fraction };
}

function textOffset(text: string): number | InstantFault {
  if (/^(z|utc)$/i.test(text)) return 0;
  const [hours, minutes, seconds] = [text.slice(1, 3), text.slice(3).replace(/^:/, '').slice(0, 2), text.slice(7)];
  const magnitude = Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds);
  if (magnitude > 16 * 3_600) return 'impossible';
  return text.startsWith('-') ? -magnitude : magnitude;
}

/** Seconds that `zone` is ahead of UTC at this local time. An hour that a clock change skips has none; a doubled one takes the first. */
function zoneOffset(localMicros: bigint, zone: string | null): number | InstantFault {
  if (zone === null) return 'zoneless';
  if (zone === 'UTC') return 0;
  const local = Number(localMicros / 1_000_000n);
  const candidates = [offsetAt(local - 86_400, zone), offsetAt(local + 86_400, zone)];
  const holding = candidates.filter((offset) => offsetAt(local - offset, zone) === offset);
  return holding.length === 0 ? 'dst_gap' : Math.max(...holding);
}

const formatters = new Map<string, Intl.DateTimeFormat>();

function offsetAt(epochSeconds: number, zone: string): number {
  let formatter = formatters.get(zone);
  if (formatter === undefined) {
    formatter = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' });
    formatters.set(zone, formatter);
  }
  const name = formatter
    .formatToParts(new Date(epochSeconds * 1_000))
    .find((part) => part.type === 'timeZoneName')?.value;
  const match = /^GMT(?:([+-])(\d{2}):(\d{2})(?::(\d{2}))?)?$/.exec(name ?? '');
  if (match?.[1] === undefined) return 0;
  const magnitude = number(match[2]) * 3_600 + number(match[3]) * 60 + number(match[4]);
  return match[1] === '-' ? -magnitude : magnitude;
}

export function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: zone });
    return true;
  } catch {
    // A RangeError is how Intl says no: the correct answer, not a failure.
    return false;
  }
}
