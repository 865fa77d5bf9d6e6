// Owns what the people and applications of a simulated run did: every value they wrote is unique, so that wherever a value turns up it
// tells who wrote it, to which record and field, over which other value. Knows nothing of the engine.
import { remotePath } from '../../src/model/ids.js';
import type { RemoteFields, RemoteValue } from '../../src/model/record.js';
import { followedEntities, type EntityId, type Shape, type SpokeId } from './world.js';

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
  /** The same on the watch that no step moves. */
  readonly watchMs: number;
  /** The field was emptied: what counts is that `over` does not come back. */
  readonly cleared?: boolean;
}

/** Somebody deleted a record: what it showed there is superseded, what was on its way there is not. */
export interface Deletion {
  readonly site: Site;
  readonly shown: ReadonlySet<number>;
}

/** When something happened: scheduler's count, and the time on the watch that no step moves. */
export interface Instant {
  readonly at: number;
  readonly watchMs: number;
}

/** So many records are what everybody is at. */
const recentMax = 2;

export class Model {
  readonly edits = new Map<number, Edit>();
  /** Superseded token → the tokens that were knowingly written over it. */
  readonly heirs = new Map<number, number[]>();
  /** Keys that somebody deleted somewhere, with the sites. */
  readonly deleted = new Map<string, Set<Site>>();
  readonly deletions = new Map<string, Deletion[]>();
  readonly keys = new Map<string, EntityId>();
  /** Records made at a spoke under a key that exists elsewhere, with the time: they meet by matching. */
  readonly twins = new Map<string, Instant>();
  /** Keys whose record somebody deleted, and not only merged into another. */
  readonly destroyed = new Set<string>();
  /** Keys that were made more than once. */
  readonly doubled = new Set<string>();
  /** Keys of records that people merged inside a spoke, each with the others: their values may stand in each other's record. */
  readonly merged = new Map<string, Set<string>>();
  /** All counts of a counter in their order, per key. */
  readonly counts = new Map<string, { readonly by: number; readonly site: Site }[]>();
  /** Keys that somebody touched last, the newest first. */
  recent: readonly string[] = [];
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
    this.heed(edit.key);
    for (const token of edit.over) {
      if (token === edit.token) continue;
      this.heirs.set(token, [...(this.heirs.get(token) ?? []), edit.token]);
    }
  }

  count(key: string, by: number, site: Site): void {
    this.counts.set(key, [...(this.counts.get(key) ?? []), { by, site }]);
  }

  /** What all counts of a counter add up to. */
  counted(key: string): number {
    return this.countsAt(key, () => true).at(-1) ?? 0;
  }

  /** Where its counter stood after each of the counts made there. */
  countsAt(key: string, isThere: (site: Site) => boolean): readonly number[] {
    const there = (this.counts.get(key) ?? []).filter(({ site }) => isThere(site));
    return there.reduce<readonly number[]>((sums, { by }) => [...sums, (sums.at(-1) ?? 0) + by], []);
  }

  merge(winner: string, loser: string, site: Site, shown: ReadonlySet<number>): void {
    const group = new Set([winner, loser, ...(this.merged.get(winner) ?? []), ...(this.merged.get(loser) ?? [])]);
    for (const key of group) this.merged.set(key, group);
    this.lose(loser, site, shown);
  }

  /** `shown`: all that stood there when it was deleted. */
  remove(key: string, site: Site, shown: ReadonlySet<number>): void {
    this.destroyed.add(key);
    this.lose(key, site, shown);
  }

  private lose(key: string, site: Site, shown: ReadonlySet<number>): void {
    this.touch(key, site);
    this.deletions.set(key, [...(this.deletions.get(key) ?? []), { site, shown }]);
  }

  private heed(key: string): void {
    if (this.recent[0] !== key) this.recent = [key, ...this.recent.filter((one) => one !== key)].slice(0, recentMax);
  }

  /** Deleted and brought back: whether it lives anywhere is for the engine to decide. */
  touch(key: string, site: Site): void {
    this.heed(key);
    this.deleted.set(key, (this.deleted.get(key) ?? new Set<Site>()).add(site));
  }

  /** Did somebody delete the record, or one that people made one with it, who saw this edit in it, or whose place has no such field? */
  isSupersededByDeletion({ token, entity, key, field }: Edit): boolean {
    const mapped = followedEntities[entity].fields.find((one) => one.field === field)?.paths;
    return [key, ...(this.merged.get(key) ?? [])].some((one) =>
      (this.deletions.get(one) ?? []).some(
        ({ site, shown }) => shown.has(token) || (site !== 'hub' && mapped?.[site] === undefined),
      ),
    );
  }

  /** Did somebody delete it, or one that people made one with it? */
  isDestroyed(key: string): boolean {
    return this.deleted.has(key) || [...(this.merged.get(key) ?? [])].some((one) => this.destroyed.has(one));
  }

  /** One record by now, or two that people made one. */
  isSameRecord(one: string, other: string): boolean {
    return one === other || this.merged.get(one)?.has(other) === true;
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

/** All that a record shows at a spoke. */
export function shownAt(spoke: SpokeId, entity: EntityId, fields: RemoteFields): ReadonlySet<number> {
  return new Set(
    followedEntities[entity].fields.flatMap(({ shape, paths }) => {
      const path = paths[spoke];
      return path === undefined ? [] : tokensOf(shape, fields[remotePath(path)]);
    }),
  );
}
