// Owns careful looks into JSON that came from outside. Null where the kind is not the expected one.
import type { JsonObject } from './objects/spec.js';

export const asObject = (value: unknown): JsonObject | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : null;

export const asArray = (value: unknown): readonly unknown[] =>
  Array.isArray(value) ? (value as readonly unknown[]) : [];

export const asText = (value: unknown): string | null => (typeof value === 'string' ? value : null);

export const asNumber = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) ? value : null;

/**
 * The value at a catalogue place (`variants(first:1).edges.node.price`); a list stands for its first element.
 * undefined = not in the answer; null = the remote says there is none.
 */
export function at(node: JsonObject, place: string): unknown {
  let here: unknown = node;
  for (const step of place.split('.')) {
    if (Array.isArray(here)) here = (here as unknown[])[0] ?? null;
    if (here === null || typeof here !== 'object') return here === null ? null : undefined;
    here = (here as JsonObject)[step.replace(/\(.*$/, '')];
  }
  return here;
}

/** A JSON object, or null for any other text; whoever asked knows what that means. */
export function parseJson(text: string): JsonObject | null {
  try {
    return asObject(JSON.parse(text));
  } catch {
    return null;
  }
}
