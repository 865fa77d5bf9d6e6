// Ambiguous outcomes by the thousand: answers to creates, updates and deletes are lost, whole calls or single records of a call, some of them
// applied and some not, at a strong spoke (idempotent creates, conditional writes, answers with the record) and at a weak one (none of that).
// Counted are the records whose write got no answer. Judged by the ledgers of both.
import { expect } from 'vitest';
import type { Fault } from '../../src/connectors/memory/faults.js';
import { defaultLimits } from '../../src/engine/engine.js';
import { openPeople, peopleSpokes, type People } from '../support/people.js';

export interface Ambiguity {
  /** Records. */
  readonly lost: { readonly applied: number; readonly unapplied: number };
  readonly creates: number;
  readonly updates: number;
  readonly deletes: number;
}

const rates: Partial<Record<Fault, number>> = { lostApplied: 0.25, lostUnapplied: 0.25, fewer: 0.2 };

/** What each ledger must hold, once each: `create a@x.test`, `update a@x.test Name`, `delete a@x.test`. */
class Expected {
  readonly effects: string[] = [];

  add(op: string, rows: Readonly<Record<string, string>>): void {
    for (const [email, name] of Object.entries(rows))
      this.effects.push(op === 'update' ? `${op} ${email} ${name}` : `${op} ${email}`);
  }
}

/** Loses answers until `each` were lost to writes that were applied and as many to writes that were not, `people` records at a time; then judges. */
export async function loseAnswers(each: number, people: number, cluster?: string): Promise<Ambiguity> {
  const outbound = { ...defaultLimits.outbound, attemptsMax: 1_000, backoff: { firstMs: 2, maxMs: 20 } };
  const strong = { writeBatch: 5, lanes: 4 };
  const weak = {
    ...strong,
    conditionalWrite: false,
    idempotentCreate: false,
    returnsRecord: false,
    tellsAuthor: false,
  };
  const world = await openPeople({
    spokes: peopleSpokes({ capabilities: strong }, { capabilities: weak }),
    limits: { outbound },
    ...(cluster === undefined ? {} : { cluster }),
    deletions: { left: { max: 1_000_000, percent: 100 }, right: { max: 1_000_000, percent: 100 } },
  });
  try {
    world.start();
    await world.settled();
    for (const side of sides) onlyWrites(world, side);
    const expected = new Expected();
    for (let round = 0, fewest = 0; fewest < each; round += 1) {
      await oneRound(world, { round, people }, expected);
      const { applied, unapplied } = unanswered(world);
      fewest = Math.min(applied, unapplied);
    }
    return { lost: unanswered(world), ...judge(world, expected) };
  } finally {
    await world.end();
  }
}

const sides = ['left', 'right'] as const;

/** Reads are left alone: polling would only be slower. */
function onlyWrites(world: People, side: 'left' | 'right'): void {
  const { faults } = world.remote(side);
  const draw = faults.draw.bind(faults);
  faults.draw = (on) => (on === 'write' ? draw(on) : null);
}

function unanswered(world: People): Ambiguity['lost'] {
  const [left, right] = sides.map((side) => world.remote(side).faults.unanswered);
  return {
    applied: (left?.applied ?? 0) + (right?.applied ?? 0),
    unapplied: (left?.unapplied ?? 0) + (right?.unapplied ?? 0),
  };
}

async function oneRound(
  world: People,
  { round, people }: { readonly round: number; readonly people: number },
  expected: Expected,
): Promise<void> {
  const emails = Array.from({ length: people }, (_, i) => `r${round}-${i}@x.test`);
  const named = (name: string): Record<string, string> => Object.fromEntries(emails.map((email) => [email, name]));
  for (const side of sides) world.remote(side).faults.rates = rates;
  for (const [op, name] of [
    ['create', 'first'],
    ['update', 'second'],
    ['update', 'third'],
  ] as const) {
    await world.put(named(`${name} ${round}`));
    // Asked cheaply first: comparing hundreds of records fifty times a second would take the time of the engine beside it.
    await world.settled(600_000);
    await world.agree(named(`${name} ${round}`));
    expected.add(op, named(`${name} ${round}`));
  }
  await world.sql('delete from hub.person');
  await world.settled(600_000);
  await world.agree({});
  expected.add('delete', named(''));
}

/** 0 duplicates: each effect stands in each ledger once. 0 false successes: none is missing, though everything says that it is done. */
function judge(world: People, expected: Expected): Omit<Ambiguity, 'lost'> {
  const paths = { left: ['Email', 'Name'], right: ['mail', 'label'] } as const;
  const wanted = [...expected.effects].sort();
  for (const side of sides) {
    const [email, name] = paths[side];
    const effects = world.writes(side).map(({ op, before, after }) => {
      const image = (after ?? before) as Readonly<Record<string, unknown>> | null;
      const who = `${op} ${String(image?.[email])}`;
      return op === 'update' ? `${who} ${String(image?.[name])}` : who;
    });
    const known = new Set<string>();
    const doubled = effects.filter((effect) => known.size === known.add(effect).size);
    const missing = wanted.filter((effect) => !known.has(effect));
    const asked = new Set(wanted);
    const unasked = effects.filter((effect) => !asked.has(effect));
    expect({ side, doubled, missing, unasked }).toEqual({ side, doubled: [], missing: [], unasked: [] });
  }
  const of = (op: string): number => expected.effects.filter((effect) => effect.startsWith(op)).length;
  return { creates: of('create'), updates: of('update'), deletes: of('delete') };
}
