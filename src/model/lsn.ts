// Owns WAL positions. LSN text is unpadded hex, so text never compares: bigints do.

export type Lsn = bigint & { readonly __brand: 'Lsn' };

export const zeroLsn = 0n as Lsn;

export function lsn(value: bigint): Lsn {
  return value as Lsn;
}

/** Parses `16/B374D848`. Throws on anything else. */
export function parseLsn(text: string): Lsn {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) throw new RangeError(`not an LSN: ${JSON.stringify(text)}`);
  return ((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)) as Lsn;
}

export function formatLsn(value: Lsn): string {
  return `${(value >> 32n).toString(16).toUpperCase()}/${(value & 0xffffffffn).toString(16).toUpperCase()}`;
}
