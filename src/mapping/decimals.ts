// Owns exact decimal arithmetic on text: no value ever passes through a double on its way to the hub (F112).
// Never rounds unless asked for a scale; then as Postgres does, half away from zero.

export interface Decimal {
  /** The digits as one integer, sign included. */
  readonly unscaled: bigint;
  /** Digits after the point, ≥ 0. */
  readonly scale: number;
}

// An exponent is a request for that many digits: bounded, or '1e999999999' would be a memory bomb.
const pattern = /^([+-]?)(\d{0,1000})(?:\.(\d{0,1000}))?(?:[eE]([+-]?\d{1,3}))?$/;

/** Parses `-12.50`, `.5`, `1e21`. null for anything else (NaN, infinity, words, more than 1,000 digits). */
export function parseDecimal(text: string): Decimal | null {
  const match = pattern.exec(text);
  if (match === null) return null;
  const whole = match[2] ?? '';
  const fraction = match[3] ?? '';
  if (whole === '' && fraction === '') return null;
  const exponent = Number(match[4] ?? '0');
  const digits = BigInt(whole + fraction);
  const unscaled = match[1] === '-' ? -digits : digits;
  const scale = fraction.length - exponent;
  return scale >= 0 ? { unscaled, scale } : { unscaled: unscaled * 10n ** BigInt(-scale), scale: 0 };
}

export function formatDecimal({ unscaled, scale }: Decimal): string {
  const negative = unscaled < 0n;
  const digits = (negative ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
  const whole = digits.slice(0, digits.length - scale);
  const text = scale === 0 ? whole : `${whole}.${digits.slice(digits.length - scale)}`;
  return negative ? `-${text}` : text;
}

/** To exactly `scale` digits after the point; half away from zero, as numeric(p, s) does on assignment. */
export function rescale(value: Decimal, scale: number): Decimal {
  if (scale >= value.scale) return { unscaled: value.unscaled * 10n ** BigInt(scale - value.scale), scale };
  const divisor = 10n ** BigInt(value.scale - scale);
  const negative = value.unscaled < 0n;
  const magnitude = negative ? -value.unscaled : value.unscaled;
  const rounded = (magnitude + divisor / 2n) / divisor;
  return { unscaled: negative ? -rounded : rounded, scale };
}

/** Without trailing zeros after the point: equal numbers become equal structures. */
export function normaliseDecimal(value: Decimal): Decimal {
  let { unscaled, scale } = value;
  while (scale > 0 && unscaled % 10n === 0n) {
    unscaled /= 10n;
    scale -= 1;
  }
  return { unscaled, scale };
}

/** One text for one number: `1.50` → `1.5`, `-0` → `0`, `1e2` → `100`; other text comes back as it is. */
export function canonicalNumber(text: string): string {
  const value = parseDecimal(text);
  return value === null ? text : formatDecimal(normaliseDecimal(value));
}
