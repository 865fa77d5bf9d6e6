// Owns what the people and applications of a simulated run did: every value they wrote is unique, so that wherever a value turns up it
// tells who wrote it, to which record and field, over which other value. Knows nothing of the engine.
import type { RemoteValue } from '../../src/model/record.js';
import type { EntityId, Shape, SpokeId } from './world.js';

export type Site = 'hub' | SpokeId;

export interface Edit {
  readonly token: number;
  readonly entity: EntityId;
  readonly key: string;
  readonly field: string;
  readonly site: Site;
  /** What stood there when it was written: it is superseded by this edit. */
  readonly over: readonly number[];
  /** Scheduler's count when it happened. */
  readonly at: number;
  /** Virtual wall clock of the spokes. */
  readonly atMs: number;
  /** The field was emptied: what counts is that `over` does not come back. */
  readonly cleared?: boolean;
}

export class Model {
  readonly edits = new Map<number, Edit>();
  /** Superseded token → the tokens that were knowingly written over it. */
  readonly heirs = new Map<number, number[]>();
  /** Keys that somebody deleted somewhere, with the sites. */
  readonly deleted = new Map<string, Set<Site>>();
  readonly keys = new Map<string, EntityId>();
  /** Records made at a spoke under a key that exists elsewhere, with the time: they meet by matching. */
  readonly twins = new Map<string, number>();
  /** Keys of records that people merged inside a spoke: from then on their values may stand in each other's record. */
  readonly merged = new Set<string>();
  /** What all counts of a counter add up to, per key. */
  readonly counts = new Map<string, number>();
  /** Keys made at more than one site: they meet by matching. */
  private tokens = 0;
  private keyCount = 0;

  nextKey(entity: EntityId): string {
    this.keyCount += 1;
    const key = `${entity}-k${this.keyCount}`;
    this.keys.set(key, entity);
    return key;
  }

  get living(): number {
    return this.keys.size - this.deleted.size;
  }

  nextToken(): number {
    this.tokens += 1;
    return this.tokens;
  }

  /** From now on it may turn up anywhere. */
  record(edit: Edit): void {
    this.edits.set(edit.token, edit);
    for (const token of edit.over) {
      if (token === edit.token) continue;
      this.heirs.set(token, [...(this.heirs.get(token) ?? []), edit.token]);
    }
  }

  count(key: string, by: number): void {
    this.counts.set(key, (this.counts.get(key) ?? 0) + by);
  }

  merge(winner: string, loser: string, site: Site): void {
    this.merged.add(winner).add(loser);
    this.remove(loser, site);
  }

  remove(key: string, site: Site): void {
    this.deleted.set(key, (this.deleted.get(key) ?? new Set<Site>()).add(site));
  }

  /** Was `later` written knowing `earlier`, directly or through others? */
  descends(later: number, earlier: number): boolean {
    const seen = new Set<number>();
    const open = [earlier];
    for (let token = open.pop(); token !== undefined; token = open.pop()) {
      for (const heir of this.heirs.get(token) ?? []) {
        if (heir === later) return true;
        if (!seen.has(heir)) {
          seen.add(heir);
          open.push(heir);
        }
      }
    }
    return false;
  }
}

const spellings = [
  (n: number) => `anna w${n}`,
  (n: number) => ` Berta  W${n} `,
  (n: number) => `CARL w${n}`,
  (n: number) => `dora w${n}.`,
];

/** Long enough for Postgres to keep it outside of the row (F49). */
const long = (n: number): string => `emil w${n} ${'lorem ipsum '.repeat(200)}.`;

/** A value of the hub, as text, that carries the token; `before` are the entries of a list that stay. */
export function hubValue(shape: Shape, token: number, before: readonly number[]): string {
  switch (shape) {
    case 'text':
      return token % 17 === 0 ? long(token) : (spellings[token % spellings.length] ?? String)(token);
    case 'integer':
      return String(token);
    case 'decimal':
      return `${token}.25`;
    case 'list':
      return `{${[...before, token].map((one) => `w${one}`).join(',')}}`;
  }
}

export function remoteValue(shape: Shape, token: number, before: readonly number[]): RemoteValue {
  switch (shape) {
    case 'text':
      return hubValue(shape, token, before);
    case 'integer':
      return token;
    case 'decimal':
      return token + 0.25;
    case 'list':
      return [...before, token].map((one) => `w${one}`);
  }
}

/** Which tokens a value of either side carries. */
export function tokensOf(shape: Shape, value: RemoteValue | undefined): readonly number[] {
  if (value === null || value === undefined || value === '') return [];
  if (shape === 'integer' || shape === 'decimal') return [Math.floor(Number(value))];
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return [...text.matchAll(/w(\d+)/gi)].map((match) => Number(match[1])).sort((a, b) => a - b);
}

export const sameTokens = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((token, i) => token === b[i]);

/** The key in whatever case a spoke shows it. */
export const keyOf = (value: RemoteValue | undefined): string | null =>
  typeof value === 'string' && value !== '' ? value.toLowerCase() : null;
