// Owns who may ask for what: tokens known only by their SHA-256, each with a role. Compares in constant time, against every
// token, so that neither length nor position of a match shows.
import { createHash, timingSafeEqual } from 'node:crypto';

export type Role = 'viewer' | 'operator' | 'admin';

export interface AccessToken {
  readonly name: string;
  readonly role: Role;
  /** SHA-256 of the token, 64 hex digits. The token has at least 128 random bits, so a plain hash needs no salt. */
  readonly sha256: string;
}

const rank: Readonly<Record<Role, number>> = { viewer: 0, operator: 1, admin: 2 };

export function allows(have: Role, need: Role): boolean {
  return rank[have] >= rank[need];
}

export function hashToken(token: string): string {
  return createHash('sha256').update(token, 'utf8').digest('hex');
}

/** `Bearer <token>`, or Basic with the token as password, which is what a browser asks a person for. */
function presented(header: string | undefined): string | null {
  const bearer = /^Bearer ([^\s]{1,512})$/i.exec(header ?? '');
  if (bearer?.[1] !== undefined) return bearer[1];
  const basic = /^Basic ([A-Za-z0-9+/=]{1,1024})$/i.exec(header ?? '');
  if (basic?.[1] === undefined) return null;
  const pair = Buffer.from(basic[1], 'base64').toString('utf8');
  const cut = pair.indexOf(':');
  return cut === -1 || cut === pair.length - 1 ? null : pair.slice(cut + 1);
}

/** The token that an Authorization header carries, or null. */
export function findToken(header: string | undefined, tokens: readonly AccessToken[]): AccessToken | null {
  const token = presented(header);
  if (token === null) return null;
  const hash = Buffer.from(hashToken(token), 'hex');
  let found: AccessToken | null = null;
  for (const each of tokens) {
    const known = Buffer.from(each.sha256, 'hex');
    if (known.length === hash.length && timingSafeEqual(known, hash)) found = each;
  }
  return found;
}
