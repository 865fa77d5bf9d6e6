// Spokes that make something else of what they are given: every normaliser against every other, one field for each pair. An edit costs
// at most one write per spoke, and a thousand idle polls cost none.
// Proves: Law 1, Law 2
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { silentLog } from '../../src/base/log.js';
import { seeded, systemIds } from '../../src/base/random.js';
import type { MemoryConfigInput } from '../../src/connectors/memory/config.js';
import { reconcileNow } from '../../src/engine/reconcile.js';
import { formatList } from '../../src/mapping/values.js';
import type { RemoteValue } from '../../src/model/record.js';
import { openWheel, type Wheel } from '../support/wheel.js';

type Kind = 'text' | 'number' | 'list';

const normalisers: Readonly<Record<Kind, readonly string[]>> = {
  text: [
    ...['', 'trim', 'collapseSpace', 'lowercase', 'uppercase', 'titleCase', 'truncate:9', 'emptyToNull', 'phone'],
    'sortTags',
  ],
  number: ['', 'round:0', 'round:1', 'round:2'],
  list: ['', 'sortTags'],
};
const hubTypes: Readonly<Record<Kind, string>> = { text: 'text', number: 'decimal', list: 'list' };

interface Pair {
  readonly name: string;
  readonly kind: Kind;
  readonly left: string;
  readonly right: string;
}

const pairs: readonly Pair[] = (['text', 'number', 'list'] as const).flatMap((kind) =>
  normalisers[kind].flatMap((left, i) =>
    normalisers[kind].map((right, j): Pair => ({ name: `${kind}_${i}_${j}`, kind, left, right })),
  ),
);

/** Beside the pairs: lenses over remotes that spell phones their own way, and a price that is cents at one of them. */
const phone = (country: string): string => `{ remote: Phone, via: { phone-e164: { country: ${country} } } }`;
const mapped = (more: string): string =>
  `{ object: Thing, fields: { code: Code, ${more}, ${pairs.map(({ name }) => `${name}: ${name}`).join(', ')} } }`;
const mapping = `
entity: thing
fields:
  code: { type: text, match: exact }
  phone: text
  price: { type: decimal, scale: 4 }
${pairs.map(({ name, kind }) => `  ${name}: ${hubTypes[kind]}`).join('\n')}
spokes:
  left: ${mapped(`phone: ${phone('US')}, price: { in: "double(remote.Cents) / 100.0", out: { Cents: "hub.price * 100.0" } }`)}
  right: ${mapped(`phone: ${phone('US')}, price: Price`)}
`;

function remoteOf(side: 'left' | 'right', capabilities: MemoryConfigInput['capabilities']): MemoryConfigInput {
  const fields = pairs.map((pair) => {
    const normalise = pair[side] === '' ? [] : [pair[side]];
    return [pair.name, { type: pair.kind, normalise }] as const;
  });
  const own = { Phone: { normalise: ['phone'] }, Cents: { type: 'number' as const, normalise: ['round:0'] } };
  const price = { Price: { type: 'number' as const, normalise: ['round:1'] } };
  return {
    capabilities,
    objects: { Thing: { fields: { Code: {}, ...own, ...price, ...Object.fromEntries(fields) } } },
  };
}

/** Values that every normaliser has something to do with; no two steps share one. */
function valueOf(kind: Kind, step: number): RemoteValue {
  if (kind === 'number') return step + 0.4567;
  if (kind === 'list') return ['b', ` c${step}`, 'a', 'a'];
  return step % 2 === 0 ? `  ${step} b, aNN  Lee,A ` : `415-555-010${step}`;
}

function hubTextOf(kind: Kind, step: number): string {
  const value = valueOf(kind, step);
  return Array.isArray(value) ? formatList(value as readonly string[]) : String(value);
}

const weak = { returnsRecord: false, tellsAuthor: false, conditionalWrite: false, stream: false };

describe.each([
  // Here what a spoke makes of a value can look like a person's edit right after our write: it is overruled or taken, then it rests.
  ['that answer with the record', { stream: false }, 1],
  ['that answer with an id only', weak, 3],
])('two spokes %s', (_name, capabilities, most) => {
  let wheel: Wheel;
  beforeEach(async () => {
    wheel = await openWheel({
      spokes: { left: remoteOf('left', capabilities), right: remoteOf('right', capabilities) },
      mappings: [mapping],
      engine: { pollMs: 1 },
    });
    wheel.start();
  });
  afterEach(() => wheel.end());

  const writes = (side: string): number => wheel.remote(side).calls['write'] ?? 0;
  const polls = (side: string): number => wheel.remote(side).calls['changes'] ?? 0;

  async function idle(count: number): Promise<void> {
    const until = { left: polls('left') + count, right: polls('right') + count };
    await wheel.until(() => polls('left') >= until.left && polls('right') >= until.right, 80_000);
    await wheel.settled();
  }

  /** Writes that an edit causes, by spoke. */
  async function costOf(edit: () => Promise<unknown> | void): Promise<{ left: number; right: number }> {
    const before = { left: writes('left'), right: writes('right') };
    await edit();
    await wheel.settled();
    await idle(5);
    return { left: writes('left') - before.left, right: writes('right') - before.right };
  }

  const edited = (side: 'left' | 'right', step: number): void => {
    const remote = wheel.remote(side);
    const [row] = remote.list('Thing');
    const values = pairs.map(({ name, kind }) => [name, valueOf(kind, step)] as const);
    const price = side === 'left' ? { Cents: 1_000 + step } : { Price: 10.7 + step };
    const fields = { ...Object.fromEntries(values), ...price, Phone: `415 555 020${step}` };
    const all: Readonly<Record<string, RemoteValue>> = fields;
    remote.edit('Thing', row?.id ?? '', all);
  };

  test('each pair of normalisers: an edit costs one write per spoke, a thousand idle polls cost none', async () => {
    const columns = pairs.map(({ name }) => name).join(', ');
    const marks = pairs.map((_, i) => `$${i + 1}`).join(', ');
    const insert = `insert into hub.thing (code, phone, price, ${columns}) values ('one', '+14155550100', 19.9951, ${marks})`;
    const set = pairs.map(({ name }, i) => `${name} = $${i + 1}`).join(', ');
    const update = `update hub.thing set phone = '+14155550199', price = 7.1234, ${set}`;
    const values = (step: number): string[] => pairs.map(({ kind }) => hubTextOf(kind, step));
    const empty = pairs.map(({ kind }) => (kind === 'text' ? '' : null));

    const edits: readonly (readonly [string, () => Promise<unknown> | void])[] = [
      ['created in the hub', () => wheel.sql(insert, values(1))],
      ['edited in the hub', () => wheel.sql(update, values(2))],
      ['edited in left', () => edited('left', 3)],
      ['edited in right', () => edited('right', 4)],
      ['emptied in the hub', () => wheel.sql(update, empty)],
    ];
    for (const [name, edit] of edits) {
      const cost = await costOf(edit);
      expect(Math.max(cost.left, cost.right), `${name}: ${JSON.stringify(cost)}`).toBeLessThanOrEqual(most);
      expect(cost.left + cost.right, name).toBeGreaterThan(0);
    }

    expect(await costOf(() => idle(1_000))).toEqual({ left: 0, right: 0 });
    const conflicts = await wheel.sql(
      `select policy, field, state from truespoke.conflict where state = 'open' or $1`,
      [most === 1],
    );
    expect(conflicts).toEqual([]);
    expect(await wheel.sql(`select code, message from truespoke.parked`)).toEqual([]);
    for (const side of ['left', 'right']) expect(await driftOf(wheel, side)).toEqual([0]);
  });
});

async function driftOf(wheel: Wheel, side: string): Promise<number[]> {
  const deps = {
    pool: wheel.db.pool,
    clock: systemClock,
    ids: systemIds(systemClock),
    random: seeded(1),
    log: silentLog,
    http: { request: () => Promise.reject(new Error('no HTTP in this test')) },
    mapping: wheel.mapping,
    signal: new AbortController().signal,
  };
  return (await reconcileNow(deps, wheel.setup(side))).reports.map(({ drifted }) => drifted);
}
