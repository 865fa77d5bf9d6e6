// Owns randomness and ids. Production draws from the operating system; simulations and seeds draw from `seeded`.
import { randomBytes } from 'node:crypto';
import type { Clock } from './clock.js';

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
}

export interface Ids {
  /** A uuid v7: sortable by creation time. */
  uuid(): string;
}

export const systemRandom: Random = { next: () => Math.random() };

/** mulberry32: small, fast, good enough for choosing faults and jitter; never for secrets. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return {
    next() {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = state;
      t = Math.imul(t ^ (t >>> 15), t | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    },
  };
}

/** uuid v7 (RFC 9562): 48 bits of milliseconds, then randomness. Bytes come from the given source. */
export function uuidV7(clock: Clock, bytes: (n: number) => Uint8Array): Ids {
  return {
    uuid() {
      const tail = bytes(10);
      const buffer = Buffer.alloc(16);
      buffer.writeUIntBE(Math.max(0, Math.floor(clock.now())), 0, 6);
      buffer.set(tail, 6);
      buffer[6] = ((buffer[6] ?? 0) & 0x0f) | 0x70;
      buffer[8] = ((buffer[8] ?? 0) & 0x3f) | 0x80;
      const hex = buffer.toString('hex');
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
    },
  };
}

/** Asked of the operating system by the page: a call each was 7 µs of the 118 that a record cost in a backfill. */
function pagedBytes(): (n: number) => Uint8Array {
  let page = randomBytes(0);
  let at = 0;
  return (n) => {
    if (at + n > page.length) {
      page = randomBytes(4_096);
      at = 0;
    }
    at += n;
    return page.subarray(at - n, at);
  };
}

export const systemIds = (clock: Clock): Ids => uuidV7(clock, pagedBytes());

export const seededIds = (clock: Clock, random: Random): Ids =>
  uuidV7(clock, (n) => Uint8Array.from({ length: n }, () => Math.floor(random.next() * 256)));
