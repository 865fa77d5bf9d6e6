// Stage 3 of inbound: to which hub record does an unlinked remote record belong? Pure over candidates; never a guess.
import type { Entity, MatchRule } from '../mapping/mapping.js';
import type { ExternalId, HubId } from '../model/ids.js';
import type { ObservedFields } from './normalise.js';

export interface MatchKey {
  /** Index into `entity.match`. */
  readonly rule: number;
  readonly values: readonly string[];
}

export interface Candidate {
  readonly hubId: HubId;
  /** The record of the same spoke that this hub record is already linked to. */
  readonly linkedTo: ExternalId | null;
}

export type Matched =
  | { readonly kind: 'one'; readonly hubId: HubId }
  | { readonly kind: 'new' }
  | { readonly kind: 'ambiguous'; readonly candidates: readonly Candidate[] }
  /** It is linked by now: another transaction came first, after we had looked for its link. */
  | { readonly kind: 'raced' }
  /** The only candidate is already linked to another record of this spoke: the spoke holds two records of one thing. */
  | { readonly kind: 'duplicate'; readonly of: Candidate & { readonly linkedTo: ExternalId } };

/** The key of the first rule whose fields are all non-empty; null = nothing to match by. */
export function matchKey(entity: Entity, fields: ObservedFields): MatchKey | null {
  for (const [rule, { keys }] of entity.match.entries()) {
    const values: string[] = [];
    for (const key of keys) {
      const value = fields[key.field]?.hub;
      if (value !== null && value !== undefined && value !== '') values.push(value);
    }
    if (values.length === keys.length) return { rule, values };
  }
  return null;
}

/** Text under which two equal keys collide, for duplicates within one batch. */
export function keyText(rule: MatchRule, key: MatchKey): string {
  const parts = key.values.map((value, i) => (rule.keys[i]?.kind === 'case-insensitive' ? value.toLowerCase() : value));
  return JSON.stringify([key.rule, ...parts]);
}

export function match(self: ExternalId, candidates: readonly Candidate[]): Matched {
  if (candidates.some(({ linkedTo }) => linkedTo === self)) return { kind: 'raced' };
  const [only, second] = candidates;
  if (only === undefined) return { kind: 'new' };
  if (second !== undefined) return { kind: 'ambiguous', candidates };
  const { hubId, linkedTo } = only;
  return linkedTo === null ? { kind: 'one', hubId } : { kind: 'duplicate', of: { hubId, linkedTo } };
}
