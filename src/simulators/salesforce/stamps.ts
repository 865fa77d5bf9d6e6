// Owns dates on the wire. A datetime is stored as `2026-11-21T10:00:00.000+0000`: fixed width, UTC, so text compares as time.

const pattern = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(\.\d{1,9})?(Z|[+-]\d{2}:?\d{2})?$/;

export function stampOf(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '+0000');
}

export function msOf(stamp: string): number {
  return Date.parse(stamp.replace(/([+-]\d{2})(\d{2})$/, '$1:$2'));
}

/** Reads an ISO 8601 datetime with or without zone (then UTC); null when it is none. */
export function parseStamp(text: string): string | null {
  const match = pattern.exec(text);
  if (match === null) return null;
  const [, day = '', time = '', fraction = '', zone = 'Z'] = match;
  const offset = zone === 'Z' || zone.includes(':') ? zone : `${zone.slice(0, 3)}:${zone.slice(3)}`;
  const ms = Date.parse(`${day}T${time}${fraction.slice(0, 4)}${offset}`);
  return Number.isNaN(ms) ? null : stampOf(ms);
}

/** Reads a calendar day, also from a datetime; null when it is none. */
export function parseDay(text: string): string | null {
  const day = /^(\d{4}-\d{2}-\d{2})(T.*)?$/.exec(text)?.[1];
  if (day === undefined) return null;
  const ms = Date.parse(`${day}T00:00:00Z`);
  return Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== day ? null : day;
}

/** HTTP dates carry whole seconds. */
export const wholeSecond = (ms: number): number => Math.floor(ms / 1000) * 1000;
