// Owns record ids: 15 case-sensitive base-62 characters (key prefix, pod, counter) and the 18-character form whose last
// three characters are a checksum of the case, so that ids survive tools that fold case.

const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const checksum = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ012345';

/** The 18-character form of a 15-character id. */
export function longId(short: string): string {
  let suffix = '';
  for (let chunk = 0; chunk < 3; chunk += 1) {
    let bits = 0;
    for (let i = 0; i < 5; i += 1) {
      const char = short[chunk * 5 + i] ?? '';
      if (char >= 'A' && char <= 'Z') bits |= 1 << i;
    }
    suffix += checksum[bits] ?? '';
  }
  return short + suffix;
}

/** The 18-character form of a well-formed id, or null. A wrong checksum is refused, as the real API does. */
export function normaliseId(text: string): string | null {
  if (!/^[0-9A-Za-z]{15}([0-9A-Za-z]{3})?$/.test(text)) return null;
  const full = longId(text.slice(0, 15));
  return text.length === 15 || full.slice(15) === text.slice(15).toUpperCase() ? full : null;
}

export class IdMint {
  private readonly last = new Map<string, number>();

  /** The next id with the given three-character key prefix. */
  next(prefix: string): string {
    const n = (this.last.get(prefix) ?? 0) + 1;
    this.last.set(prefix, n);
    let digits = '';
    for (let rest = n; digits.length < 6; rest = Math.floor(rest / 62)) digits = (base62[rest % 62] ?? '0') + digits;
    return longId(`${prefix}Hs0000${digits}`);
  }

  /** How many ids of each prefix were given out. */
  counters(): readonly (readonly [string, number])[] {
    return [...this.last];
  }

  restore(counters: readonly (readonly [string, number])[]): void {
    for (const [prefix, n] of counters) this.last.set(prefix, n);
  }
}
