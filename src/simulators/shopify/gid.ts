// Owns global ids: gid://shopify/Customer/7000000000001 and the number inside.
import { GraphQLError } from 'graphql';
import type { ObjectKind } from './rows.js';

export function gid(kind: ObjectKind, id: number): string {
  return `gid://shopify/${kind}/${String(id)}`;
}

export interface Gid {
  readonly kind: string;
  readonly id: number;
}

const pattern = /^gid:\/\/shopify\/([A-Za-z]+)\/(\d{1,16})(?:\?.*)?$/;

/** null when the text is no global id. */
export function readGid(text: string): Gid | null {
  const match = pattern.exec(text);
  if (match === null) return null;
  return { kind: match[1] ?? '', id: Number(match[2]) };
}

/** The number of a gid of the wanted kind, as an argument. Throws the API's own errors. */
export function idOf(kind: ObjectKind, text: string): number {
  const found = readGid(text);
  if (found === null) {
    throw new GraphQLError(`Invalid global id '${text}'`, { extensions: { code: 'argumentLiteralsIncompatible' } });
  }
  if (found.kind !== kind) {
    throw new GraphQLError(`Invalid id: ${text}`, { extensions: { code: 'RESOURCE_NOT_FOUND' } });
  }
  return found.id;
}

/** As `idOf`, but a wrong id is just an id that nothing has. */
export function idOrNull(kind: ObjectKind, text: string): number | null {
  const found = readGid(text);
  return found === null || found.kind !== kind ? null : found.id;
}
