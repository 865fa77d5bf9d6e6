// Owns the date literals of SOQL: a name to a half-open range [from, to) of stamps in UTC. Weeks start on Sunday.
import { stampOf } from './stamps.js';

const dayMs = 86_400_000;

type Unit = 'DAY' | 'WEEK' | 'MONTH' | 'QUARTER' | 'YEAR';

/** `LAST_N_DAYS:3`, `TODAY` …; null for an unknown name. */
export function dateRange(literal: string, nowMs: number): readonly [string, string] | null {
  const [name = '', count] = literal.toUpperCase().split(':');
  const range = count === undefined ? fixed(name, nowMs) : counted(name, Number(count), nowMs);
  return range === null ? null : [stampOf(range[0]), stampOf(range[1])];
}

function fixed(name: string, now: number): [number, number] | null {
  if (name === 'LAST_90_DAYS') return [shift('DAY', now, -90), shift('DAY', now, 1)];
  if (name === 'NEXT_90_DAYS') return [shift('DAY', now, 1), shift('DAY', now, 91)];
  const offset = { TODAY: 0, YESTERDAY: -1, TOMORROW: 1 }[name];
  if (offset !== undefined) return [shift('DAY', now, offset), shift('DAY', now, offset + 1)];
  const match = /^(LAST|THIS|NEXT)_(?:FISCAL_)?(WEEK|MONTH|QUARTER|YEAR)$/.exec(name);
  if (match === null) return null;
  const steps = match[1] === 'LAST' ? -1 : match[1] === 'NEXT' ? 1 : 0;
  const unit = match[2] as Unit;
  return [shift(unit, now, steps), shift(unit, now, steps + 1)];
}

function counted(name: string, n: number, now: number): [number, number] | null {
  const span = /^(LAST|NEXT)_N_(?:FISCAL_)?(DAY|WEEK|MONTH|QUARTER|YEAR)S$/.exec(name);
  if (span !== null) {
    const unit = span[2] as Unit;
    if (span[1] === 'NEXT') return [shift(unit, now, 1), shift(unit, now, n + 1)];
    // LAST_N_DAYS runs up to and including today; the longer units end with the last whole one.
    return [shift(unit, now, -n), shift(unit, now, unit === 'DAY' ? 1 : 0)];
  }
  const ago = /^N_(?:FISCAL_)?(DAY|WEEK|MONTH|QUARTER|YEAR)S_AGO$/.exec(name);
  if (ago === null) return null;
  return [shift(ago[1] as Unit, now, -n), shift(ago[1] as Unit, now, -n + 1)];
}

/** Start of the unit that holds `now`, moved by whole units. */
function shift(unit: Unit, now: number, steps: number): number {
  const date = new Date(now);
  const day = Math.floor(now / dayMs) * dayMs;
  switch (unit) {
    case 'DAY':
      return day + steps * dayMs;
    case 'WEEK':
      return day - date.getUTCDay() * dayMs + steps * 7 * dayMs;
    case 'MONTH':
      return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + steps, 1);
    case 'QUARTER':
      return Date.UTC(date.getUTCFullYear(), Math.floor(date.getUTCMonth() / 3) * 3 + steps * 3, 1);
    case 'YEAR':
      return Date.UTC(date.getUTCFullYear() + steps, 0, 1);
  }
}
