// Owns JSON text that a jsonb column takes. What Postgres cannot store (NUL, half a surrogate pair) is shown as U+FFFD: for evidence
// that people read, never for a value that is compared or sent.

const unstorable = /\u0000|\p{Surrogate}/gu;

const clean = (text: string): string => text.replace(unstorable, '\ufffd');

/** JSON of `value`; keys and texts without what Postgres refuses. */
export function storableJson(value: unknown): string {
  const json = JSON.stringify(value);
  // Cheap for what nearly every value is: clean.
  if (!/\\u(?:0000|[dD][89a-fA-F])/.test(json)) return json;
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part === 'string') return clean(part);
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).map(([key, inner]) => [clean(key), inner] as const));
  });
}
