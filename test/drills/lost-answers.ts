// Ambiguous outcomes by the thousand: answers to creates, updates and deletes are lost, some of them applied and some not, at a strong spoke
// (idempotent creates, conditional writes, answers with the record) and at a weak one (none of that). Judged by the ledgers of both.
import { expect } from 'vitest';
import type { Fault } from '../../src/connectors/memory/faults.js';
import { defaultLimits } from '../../src/engine/engine.js';
import { openPeople, peopleSpokes, type People } from '../support/people.js';

export interface Ambiguity {
  readonly lost: { readonly applied: number; readonly unapplied: number };
  readonly creates: number;
  readonly updates: number;
  readonly deletes: number;
}

const kinds: readonly Fault[] = ['lostApplied', 'lostUnapplied'];

/** What each ledger must hold, once each: `create a@x.test`, `update a@x.test Name`, `delete a@x.test`. */
class Expected {
  readonly effects: string[] = [];

  add(op: string, rows: Readonly<Record<string, string>>): void {
    for (const [email, name] of Object.entries(rows))
      this.effects.push(op === 'update' ? `${op} ${email} ${name}` : `${op} ${email}`);
  }
}

/** Loses answers to writes until at least `wanted` are lost, `people` records at a time; then judges. `cluster`: one of its own. */
export async function loseAnswers(wanted: number, people: number, cluster?: string): Promise<Ambiguity> {
  const counted = { lostApplied: 0, lostUnapplied: 0 };
  const outbound = { ...defaultLimits.outbound, attemptsMax: 1_000, backoff: { firstMs: 2, maxMs: 20 } };
  const strong = { writeBatch: 2, lanes: 8 };
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
    for (const side of ['left', 'right'] as const) count(world, side, counted);
    const expected = new Expected();
    for (let round = 0; counted.lostApplied + counted.lostUnapplied < wanted; round += 1)
      await oneRound(world, { round, people }, expected);
    const effects = judge(world, expected);
    return { lost: { applied: counted.lostApplied, unapplied: counted.lostUnapplied }, ...effects };
  } finally {
    await world.end();
  }
}

/** Half of all answers are lost; each loss is counted where it is decided. */
function count(world: People, side: 'left' | 'right', counted: Record<'lostApplied' | 'lostUnapplied', number>): void {
  const { faults } = world.remote(side);
  const draw = faults.draw.bind(faults);
  faults.draw = (on) => {
    const fault = on === 'write' ? draw(on) : null;
    if (fault === 'lostApplied' || fault === 'lostUnapplied') counted[fault] += 1;
    return fault;
  };
}

async function oneRound(
  world: People,
  { round, people }: { readonly round: number; readonly people: number },
  expected: Expected,
): Promise<void> {
  const emails = Array.from({ length: people }, (_, i) => `r${round}-${i}@x.test`);
  const named = (name: string): Record<string, string> => Object.fromEntries(emails.map((email) => [email, name]));
  for (const side of ['left', 'right'] as const)
    world.remote(side).faults.rates = Object.fromEntries(kinds.map((kind) => [kind, 0.3]));
  for (const [op, name] of [
    ['create', 'first'],
    ['update', 'second'],
    ['update', 'third'],
  ] as const) {
    await world.put(named(`${name} ${round}`));
    // Asked cheaply first: comparing hundreds of records fifty times a second would take the time of the engine beside it.
    await world.settled(300_000);
    await world.agree(named(`${name} ${round}`));
    expected.add(op, named(`${name} ${round}`));
  }
  await world.sql('delete from hub.person');
  await world.settled(300_000);
  await world.agree({});
  expected.add('delete', named(''));
}

/** 0 duplicates: each effect stands in each ledger once. 0 false successes: none is missing, though everything says that it is done. */
function judge(world: People, expected: Expected): Omit<Ambiguity, 'lost'> {
  const paths = { left: ['Email', 'Name'], right: ['mail', 'label'] } as const;
  const wanted = [...expected.effects].sort();
  for (const side of ['left', 'right'] as const) {
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
