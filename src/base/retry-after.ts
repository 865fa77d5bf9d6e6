// Owns the meaning of a Retry-After header (F59): seconds, an HTTP date, garbage or nothing. Pure.
import type { Random } from './random.js';

export interface RetryAfterOptions {
  /** Our wall clock, ms; used for dates when the response itself carries no Date. */
  readonly nowMs: number;
  /** The response's Date header: a date is then measured on the remote's own clock, whatever ours says (F99). */
  readonly date?: string | undefined;
  /** For absent or unreadable headers. Default 5 s. */
  readonly fallbackMs?: number | undefined;
  /** Default 15 min. */
  readonly maxMs?: number | undefined;
  readonly random: Random;
}

/** How long to wait, in ms: never less than told (up to the cap), plus up to a tenth so that callers do not return together. */
export function retryAfterMs(header: string | null | undefined, options: RetryAfterOptions): number {
  const told = parse(header ?? '', options) ?? options.fallbackMs ?? 5_000;
  const bounded = Math.min(Math.max(0, told), options.maxMs ?? 15 * 60_000);
  return Math.ceil(bounded + bounded * 0.1 * options.random.next());
}

function parse(header: string, options: RetryAfterOptions): number | null {
  const text = header.trim();
  if (/^\d{1,9}(\.\d{1,6})?$/.test(text)) return Number(text) * 1000;
  // Date.parse reads many things as dates ('-5', '2 apples'); an HTTP date starts with the name of a day.
  if (!/^(mon|tue|wed|thu|fri|sat|sun)[a-z]*,? /i.test(text)) return null;
  const at = Date.parse(text);
  if (Number.isNaN(at)) return null;
  const remoteNow = options.date === undefined ? NaN : Date.parse(options.date);
  return at - (Number.isNaN(remoteNow) ? options.nowMs : remoteNow);
}
