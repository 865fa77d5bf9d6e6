// Owns what an administrator switches on: validation rules, triggers that rewrite, duplicate rules, row locks, late commits
// and stale reads. In-process callers give functions; the control endpoint gives plain JSON that is turned into them here.
import { seeded, type Random } from '../../base/random.js';
import type { Row, Value } from './words.js';

export interface ValidationRule {
  readonly id: string;
  readonly object: string;
  /** True when the record must be refused. `before` is null on create. */
  readonly rejects: (row: Row, before: Row | null) => boolean;
  readonly message: string;
  /** The field the message is shown at; without it the error is on the record. */
  readonly field?: string | undefined;
}

export interface TriggerRule {
  readonly id: string;
  readonly object: string;
  /** Before-save: gives the fields to change. */
  readonly rewrite: (row: Row, before: Row | null) => Readonly<Record<string, Value>>;
}

export interface DuplicateRule {
  readonly id: string;
  readonly object: string;
  /** Live records equal in all of these (case-insensitive, not null) are duplicates. */
  readonly fields: readonly string[];
}

/** Strikes single records while they are written. */
export interface LockRule {
  readonly id: string;
  readonly object: string;
  readonly probability?: number | undefined;
  readonly times?: number | undefined;
  readonly seed?: number | undefined;
}

/** A transaction stamps its records at its start and shows them `ms` later. */
export interface LateCommitRule {
  readonly id: string;
  readonly object: string;
  readonly ms: number;
  readonly times?: number | undefined;
}

/** For `ms` after a commit readers still see the record as it was before. */
export interface StaleReadRule {
  readonly id: string;
  readonly object: string;
  readonly ms: number;
}

interface Counted<Rule> {
  readonly rule: Rule;
  readonly random: Random;
  struck: number;
}

class RuleList<Rule extends { readonly id: string; readonly object: string }> {
  private rules: Counted<Rule>[] = [];

  put(rule: Rule, seed = 1): void {
    this.remove(rule.id);
    this.rules.push({ rule, random: seeded(seed), struck: 0 });
  }

  remove(id: string): void {
    this.rules = this.rules.filter((entry) => entry.rule.id !== id);
  }

  clear(): void {
    this.rules = [];
  }

  of(object: string): readonly Counted<Rule>[] {
    return this.rules.filter(({ rule }) => rule.object === '*' || rule.object.toLowerCase() === object.toLowerCase());
  }
}

export class Rules {
  readonly validations = new RuleList<ValidationRule>();
  readonly triggers = new RuleList<TriggerRule>();
  readonly duplicates = new RuleList<DuplicateRule>();
  readonly locks = new RuleList<LockRule>();
  readonly lateCommits = new RuleList<LateCommitRule>();
  readonly staleReads = new RuleList<StaleReadRule>();

  /** Whether a row lock strikes this record now. */
  lockStrikes(object: string): boolean {
    for (const entry of this.locks.of(object)) {
      if (entry.rule.times !== undefined && entry.struck >= entry.rule.times) continue;
      if (entry.random.next() >= (entry.rule.probability ?? 1)) continue;
      entry.struck += 1;
      return true;
    }
    return false;
  }

  /** How long a transaction that touches these objects stays invisible, in ms; spends one of the rule's times. */
  commitDelayMs(objects: Iterable<string>): number {
    let ms = 0;
    for (const object of objects) {
      for (const entry of this.lateCommits.of(object)) {
        if (entry.rule.times !== undefined && entry.struck >= entry.rule.times) continue;
        entry.struck += 1;
        ms = Math.max(ms, entry.rule.ms);
      }
    }
    return ms;
  }

  staleMs(object: string): number {
    return Math.max(0, ...this.staleReads.of(object).map(({ rule }) => rule.ms));
  }

  clear(): void {
    for (const list of [
      this.validations,
      this.triggers,
      this.duplicates,
      this.locks,
      this.lateCommits,
      this.staleReads,
    ]) {
      list.clear();
    }
  }
}

/** A condition written as JSON: `{ field, is: 'empty' | 'matches' | 'equals' | 'above' | 'below', value }`. */
export interface PlainCondition {
  readonly field: string;
  readonly is: 'empty' | 'matches' | 'equals' | 'above' | 'below';
  readonly value?: string | number | undefined;
}

export function conditionOf(plain: PlainCondition): (row: Row) => boolean {
  const wanted = plain.value ?? '';
  const pattern = plain.is === 'matches' ? new RegExp(String(wanted)) : null;
  return (row) => {
    const value = row[plain.field] ?? null;
    switch (plain.is) {
      case 'empty':
        return value === null;
      case 'matches':
        return pattern !== null && value !== null && pattern.test(String(value));
      case 'equals':
        return value !== null && String(value) === String(wanted);
      case 'above':
        return typeof value === 'number' && value > Number(wanted);
      case 'below':
        return typeof value === 'number' && value < Number(wanted);
    }
  };
}

export type Rewriting = 'upper' | 'lower' | 'us-phone' | 'truncate' | 'append' | 'constant';

/** A rewriting trigger written as JSON: `us-phone` makes (415) 555-0100 of ten digits, as the standard page layout does. */
export function rewriteOf(field: string, how: Rewriting, argument: string | number = ''): TriggerRule['rewrite'] {
  return (row, before): Record<string, Value> => {
    const value = row[field];
    if (typeof value !== 'string' || before?.[field] === value) return {};
    return { [field]: rewritten(value, how, argument) };
  };
}

function rewritten(value: string, how: Rewriting, argument: string | number): string {
  switch (how) {
    case 'upper':
      return value.toUpperCase();
    case 'lower':
      return value.toLowerCase();
    case 'us-phone': {
      const digits = value.replace(/\D/g, '').replace(/^1(?=\d{10}$)/, '');
      return digits.length === 10 ? `(${digits.slice(0, 3)}) ${digits.slice(3, 6)}-${digits.slice(6)}` : value;
    }
    case 'truncate':
      return value.slice(0, Number(argument));
    case 'append':
      return `${value}${String(argument)}`;
    case 'constant':
      return String(argument);
  }
}
