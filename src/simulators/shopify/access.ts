// Owns access scopes: which scope each root field needs, and the error of one that is not granted. Scopes can be taken away
// while the simulator runs, as a merchant can.
import { GraphQLError } from 'graphql';
import type { Call } from './call.js';

const subjects: readonly (readonly [RegExp, string])[] = [
  [/^customer/, 'customers'],
  [/^product/, 'products'],
  [/^order/, 'orders'],
];

/** The scope that a root field needs, or null. */
export function scopeOf(operation: 'query' | 'mutation', field: string): string | null {
  const subject = subjects.find(([pattern]) => pattern.test(field))?.[1];
  if (subject === undefined) return null;
  return `${operation === 'mutation' ? 'write' : 'read'}_${subject}`;
}

export function requireScope(call: Call, operation: 'query' | 'mutation', field: string): void {
  const scope = scopeOf(operation, field);
  if (scope === null || call.scopes.includes(scope)) return;
  const requiredAccess = `\`${scope}\` access scope.`;
  throw new GraphQLError(`Access denied for ${field} field. Required access: ${requiredAccess}`, {
    extensions: { code: 'ACCESS_DENIED', documentation: 'https://shopify.dev/api/usage/access-scopes', requiredAccess },
  });
}
