// The three-way merge over very many random triples of (base, hub, spoke): pure, idempotent, order-independent, invents no value, and
// loses none. `npm run properties` runs ten million; TRIPLES and SEED choose others, and a failure prints both.
// Proves: Law 3
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seeded, type Random } from '../../src/base/random.js';
import { merge, type Merged, type MergeInput } from '../../src/inbound/merge.js';
import type { Direction, FieldMapping, FieldType, Policy } from '../../src/mapping/mapping.js';
import { parseList, sameHub, sameRemote, toHubText, toRemote } from '../../src/mapping/values.js';
import { fieldName, remotePath, spokeName, type FieldName } from '../../src/model/ids.js';
import type { Base } from '../../src/model/link.js';
import type { HubFields, HubValue } from '../../src/model/record.js';

const triples = Number(process.env['TRIPLES'] ?? 1_000_000);
const seed = Number(process.env['SEED'] ?? 20_261_121);
const name = fieldName('f');
const spokes = [spokeName('one'), spokeName('two')] as const;

const policies: readonly Policy[] = [
  { kind: 'latest' },
  { kind: 'max' },
  { kind: 'min' },
  { kind: 'union' },
  { kind: 'delta' },
  { kind: 'review' },
  { kind: 'authority', of: 'hub' },
  { kind: 'authority', of: spokes[0] },
  { kind: 'authority', of: spokes[1] },
];

const pools: Partial<Record<FieldType, readonly HubValue[]>> = {
  text: [null, '', 'a', 'b', 'A', ' a', 'é', 'e\u0301'],
  integer: [null, '0', '1', '2', '-3', '9007199254740993'],
  decimal: [null, '0', '1.5', '1.50', '2', '-0.1'],
  list: [null, '{}', '{a}', '{a,b}', '{b,a}', '{c}'],
};
const types = Object.keys(pools) as FieldType[];

function mappingOf(type: FieldType, policy: Policy, direction: Direction): FieldMapping {
  const field = { name, type, scale: null, maxLength: null, values: null, required: false, ref: null, policy };
  return {
    field,
    direction,
    reads: [],
    writes: [],
    get: ([value]) => toHubText(type, value ?? null),
    put: (value) => [toRemote(type, value)],
    fromParent: false,
  };
}

interface Triple {
  readonly type: FieldType;
  readonly base: HubValue | undefined;
  readonly hub: HubValue | undefined;
  readonly spoke: HubValue;
  readonly input: MergeInput;
}

const mappings = types.map((type) => policies.map((policy) => mappingOf(type, policy, 'both')));
const pick = <T>(list: readonly T[], random: Random): T => list[Math.floor(random.next() * list.length)] as T;

function triple(random: Random): Triple {
  const t = Math.floor(random.next() * types.length);
  const type = types[t] ?? 'text';
  const values = pools[type] ?? [];
  const base = random.next() < 0.15 ? undefined : pick(values, random);
  const hub = random.next() < 0.05 ? undefined : pick(values, random);
  const spoke = pick(values, random);
  const at = (): number | null => (random.next() < 0.2 ? null : Math.floor(random.next() * 3));
  const input: MergeInput = {
    spoke: pick(spokes, random),
    fields: [pick(mappings[t] ?? [], random)],
    hub: hub === undefined ? null : { [name]: hub },
    base: base === undefined ? {} : { [name]: { hub: base, remote: toRemote(type, base) } },
    observed: { [name]: { hub: spoke, remote: toRemote(type, spoke) } },
    overruled: {},
    hubChangedAtMs: at(),
    spokeChangedAtMs: at(),
  };
  return { type, base, hub, spoke, input };
}

/** The input as it is once the result was written. */
function after(input: MergeInput, merged: Merged): MergeInput {
  return {
    ...input,
    hub: { ...input.hub, ...merged.set } as HubFields,
    base: { ...input.base, ...merged.base } as Base,
  };
}

/** The first law that the triple breaks, or null. No `expect` in here: it runs a million times. */
function broken({ type, base, hub, spoke, input }: Triple): string | null {
  const merged = merge(input);
  const result = merged.set[name];
  const policy = input.fields[0]?.field.policy.kind;
  const [conflict] = merged.conflicts;
  if (result !== undefined && !comesFrom(policy, type, result, { base, hub, spoke })) return `invented ${result}`;
  // Whatever the hub held and loses was shown by the base, or is in the conflict log.
  const changedHere = hub !== undefined && hub !== null && (base === undefined || !sameHub(type, hub, base));
  const loses = changedHere && result !== undefined && !sameHub(type, result, hub);
  if (loses && (conflict === undefined || conflict.hub !== hub)) return 'the hub value vanished';
  const changedThere = base === undefined || !sameRemote(toRemote(type, base), toRemote(type, spoke));
  const refused = hub !== undefined && spoke !== null && changedThere && !sameHub(type, result ?? hub, spoke);
  if (refused && (conflict === undefined || conflict.spoke !== spoke)) return 'the spoke value vanished';
  if (!changedThere && (result !== undefined || conflict !== undefined)) return 'an unchanged spoke changed something';
  const again = merge(after(input, merged));
  if (Object.keys(again.set).length > 0) return `a second look set ${JSON.stringify(again.set)}`;
  if (merged.push !== again.push && result === undefined) return 'a second look decided otherwise';
  return null;
}

function comesFrom(
  policy: Policy['kind'] | undefined,
  type: FieldType,
  result: HubValue,
  { base, hub, spoke }: { base: HubValue | undefined; hub: HubValue | undefined; spoke: HubValue },
): boolean {
  if (result === spoke || result === hub) return true;
  if (policy === 'union' && type === 'list') {
    const known = new Set([...(parseList(hub ?? '{}') ?? []), ...(parseList(spoke ?? '{}') ?? [])]);
    return (parseList(result ?? '{}') ?? []).every((entry) => known.has(entry));
  }
  if (policy !== 'delta' || (type !== 'integer' && type !== 'decimal')) return false;
  const sum = Number(hub ?? 0) + Number(spoke ?? 0) - Number(base ?? 0);
  return Math.abs(Number(result) - sum) < 1e-6 * Math.max(1, Math.abs(sum));
}

/** Two spokes that agreed with the hub and then both showed something new. */
interface Rivals {
  readonly type: FieldType;
  readonly mapping: FieldMapping;
  readonly base: HubValue;
  readonly shown: readonly {
    readonly spoke: (typeof spokes)[number];
    readonly value: HubValue;
    readonly atMs: number;
  }[];
}

function rival(random: Random): Rivals {
  const t = Math.floor(random.next() * types.length);
  const type = types[t] ?? 'text';
  const values = pools[type] ?? [];
  const mapping = pick(
    // With authority: hub the first to come in is the hub's value, and review leaves it to a person: both depend on the order.
    (mappings[t] ?? []).filter(({ field }) => {
      const { policy } = field;
      return policy.kind !== 'review' && !(policy.kind === 'authority' && policy.of === 'hub');
    }),
    random,
  );
  const first = 1 + Math.floor(random.next() * 5);
  const shown = spokes.map((spoke, i) => ({ spoke, value: pick(values, random), atMs: first + (i === 0 ? 0 : 7) }));
  return { type, mapping, base: pick(values, random), shown };
}

function outcomeInOrder({ type, mapping, base }: Rivals, order: Rivals['shown']): HubValue {
  let hub = base;
  let hubChangedAtMs: number | null = null;
  for (const { spoke, value, atMs } of order) {
    const merged: Merged = merge({
      spoke,
      fields: [mapping],
      hub: { [name]: hub },
      base: { [name]: { hub: base, remote: toRemote(type, base) } },
      observed: { [name]: { hub: value, remote: toRemote(type, value) } },
      overruled: {},
      hubChangedAtMs,
      spokeChangedAtMs: atMs,
    });
    const set = merged.set[name];
    if (set === undefined) continue;
    hub = set;
    hubChangedAtMs = Math.max(hubChangedAtMs ?? 0, atMs);
  }
  return hub;
}

function depends(one: Rivals): string | null {
  const there = outcomeInOrder(one, one.shown);
  const back = outcomeInOrder(one, [...one.shown].reverse());
  if (sameHub(one.type, there, back)) return null;
  return `${there} or ${back}: ${JSON.stringify({ ...one, mapping: one.mapping.field.policy })}`;
}

describe('merge', () => {
  test('invents no value, loses none, and a second look at the same observation changes nothing', () => {
    const random = seeded(seed);
    for (let i = 0; i < triples; i += 1) {
      const one = triple(random);
      const law = broken(one);
      if (law !== null) expect.fail(`SEED=${seed} triple ${i}: ${law}: ${JSON.stringify(one)}`);
    }
  }, 600_000);

  test('two spokes that changed the same field end in one value, whichever is seen first', () => {
    const random = seeded(seed + 1);
    for (let i = 0; i < triples / 4; i += 1) {
      const law = depends(rival(random));
      if (law !== null) expect.fail(`SEED=${seed} pair ${i}: ${law}`);
    }
  }, 600_000);

  test('the checks above see a merge that breaks them', () => {
    const lost = triple(seeded(1));
    const input: MergeInput = { ...lost.input, fields: [mappingOf('text', { kind: 'latest' }, 'both')] };
    const values = { type: 'text' as const, base: 'base', hub: 'hub', spoke: 'spoke' };
    const conflicting: Triple = {
      ...values,
      input: {
        ...input,
        hub: { [name]: 'hub' },
        base: { [name]: { hub: 'base', remote: 'base' } },
        observed: { [name]: { hub: 'spoke', remote: 'spoke' } },
      },
    };
    expect(broken(conflicting)).toBeNull();
    // The same triple judged as if the observation had been another one.
    expect(broken({ ...conflicting, spoke: 'elsewhere' })).toMatch(/vanished/);
    expect(comesFrom('latest', 'text', 'third', values)).toBe(false);
    expect(comesFrom('union', 'list', '{a,z}', { base: null, hub: '{a}', spoke: '{b}' })).toBe(false);
    expect(comesFrom('delta', 'integer', '5', { base: '1', hub: '2', spoke: '3' })).toBe(false);
    const asked = mappingOf('text', { kind: 'review' }, 'both');
    const shown = spokes.map((spoke, i) => ({ spoke, value: `v${i}`, atMs: 1 }));
    expect(depends({ type: 'text', mapping: asked, base: 'base', shown })).toMatch(/^v0 or v1/);
  });

  test('is pure: frozen input, equal results', () => {
    const random = seeded(seed + 2);
    for (let i = 0; i < triples / 50; i += 1) {
      const { input } = triple(random);
      freeze(input);
      expect(merge(input)).toEqual(merge(input));
    }
  });

  test('delta: the same number at both sides is two counts, but for the number that a write of ours may have brought (F65)', () => {
    const count = (tried: readonly HubFields[], more: Partial<MergeInput> = {}): Merged =>
      merge({
        spoke: spokes[0],
        fields: [mappingOf('integer', { kind: 'delta' }, 'both')],
        hub: { [name]: '14' },
        base: { [name]: { hub: '13', remote: 13 } },
        observed: { [name]: { hub: '14', remote: 14 } },
        overruled: {},
        tried,
        hubChangedAtMs: null,
        spokeChangedAtMs: null,
        ...more,
      });
    expect(count([]).set).toEqual({ [name]: '15' });
    expect(count([{ [name]: '12' }]).set).toEqual({ [name]: '15' });
    // Where only the number speaks, it passes for ours, and both are kept.
    const doubt = [{ field: name, policy: 'delta', winner: 'hub', base: '13', hub: '14', spoke: '14', remote: 14 }];
    expect(count([{ [name]: '14' }])).toMatchObject({ set: {}, conflicts: doubt });
    expect(count([{ [name]: '14' }, { [name]: '12' }])).toMatchObject({ set: {}, conflicts: doubt });
    expect(count([{ [name]: '14' }], { lastByUs: true })).toMatchObject({ set: {}, conflicts: [] });
    const other = fieldName('other');
    const text = mappingOf('text', { kind: 'latest' }, 'both');
    const two = (shown: string): Merged =>
      count([{ [name]: '14', [other]: 'ours' }], {
        fields: [mappingOf('integer', { kind: 'delta' }, 'both'), { ...text, field: { ...text.field, name: other } }],
        hub: { [name]: '14', [other]: 'ours' },
        base: { [name]: { hub: '13', remote: 13 }, [other]: { hub: 'old', remote: 'old' } },
        observed: { [name]: { hub: '14', remote: 14 }, [other]: { hub: shown, remote: shown } },
      });
    expect(two('ours').conflicts).toEqual([]);
    expect(two('old').conflicts).toEqual(doubt);
  });

  test('delta: where nothing was agreed on, a count goes on from what the spoke showed when the hub was about to fill it', () => {
    const merged = merge({
      spoke: spokes[0],
      fields: [mappingOf('integer', { kind: 'delta' }, 'both')],
      hub: { [name]: '8' },
      base: {},
      observed: { [name]: { hub: '9', remote: 9 } },
      overruled: { [name]: null },
      hubChangedAtMs: null,
      spokeChangedAtMs: null,
    });
    expect(merged).toMatchObject({ set: { [name]: '17' }, push: true, base: { [name]: { hub: '9', remote: 9 } } });
  });

  test('what lost before and is shown again is no news, until the hub has come round to it: then both agree', () => {
    const shown = { hub: 'theirs', remote: 'theirs' };
    for (const base of [{}, { [name]: { hub: 'old', remote: 'old' } }]) {
      const seen = (hub: HubValue): Merged =>
        merge({
          spoke: spokes[0],
          fields: [mappingOf('text', { kind: 'authority', of: 'hub' }, 'both')],
          hub: { [name]: hub },
          base,
          observed: { [name]: shown },
          overruled: { [name]: 'theirs' },
          hubChangedAtMs: null,
          spokeChangedAtMs: null,
        });
      expect(seen('ours')).toMatchObject({ set: {}, base: {}, conflicts: [], push: false });
      expect(seen(null)).toMatchObject({ set: {}, base: {}, conflicts: [], push: false });
      expect(seen('theirs')).toMatchObject({ set: {}, base: { [name]: shown }, conflicts: [], push: false });
    }
  });

  test('F65 a write of ours that shows late is no edit of the spoke, whatever the policy and however the hub has moved on', () => {
    for (const policy of policies) {
      const late = (more: Partial<MergeInput>): Merged =>
        merge({
          spoke: spokes[0],
          fields: [mappingOf('integer', policy, 'both')],
          hub: { [name]: '54' },
          base: { [name]: { hub: '2', remote: 2 } },
          observed: { [name]: { hub: '36', remote: 36 } },
          overruled: {},
          tried: [{ [name]: '36' }, { [name]: '40' }],
          hubChangedAtMs: 1,
          spokeChangedAtMs: 2,
          ...more,
        });
      expect(late({})).toMatchObject({ set: {}, base: { [name]: { hub: '36', remote: 36 } } });
      // Another may have counted to the same number.
      expect(late({}).conflicts).toHaveLength(policy.kind === 'delta' ? 1 : 0);
      expect(late({ base: {} })).toMatchObject({ set: {}, conflicts: [] });
      // Made by our last write: what it shows instead is an edit of that, and the hub is as it was.
      const made = late({ base: {}, madeByUs: true, tried: [{ [name]: '54' }] });
      expect(made).toMatchObject({ set: { [name]: '36' }, conflicts: [] });
    }
  });

  test('F65 F78 of several writes of ours the one of which most shows has made the record; what it hides is agreed on as that one left it', () => {
    const other = fieldName('other');
    const field = mappingOf('integer', { kind: 'latest' }, 'both');
    const fields = [name, other].map((each): FieldMapping => {
      const path = remotePath(each);
      return { ...field, field: { ...field.field, name: each }, reads: [path], writes: [path] };
    });
    const made = (observed: MergeInput['observed'], ...tried: readonly HubFields[]): Merged =>
      merge({
        spoke: spokes[0],
        fields,
        hub: { [name]: null, [other]: '2' },
        base: {},
        observed,
        overruled: {},
        madeByUs: true,
        tried,
        hubChangedAtMs: 1,
        spokeChangedAtMs: 2,
      });
    const first = { [name]: '36', [other]: '1' };
    const second = { [name]: null, [other]: '2' };
    const shows = (value: number): MergeInput['observed'] => ({ [other]: { hub: String(value), remote: value } });
    expect(made(shows(1), first, second).base[name]).toEqual({ hub: '36', remote: 36 });
    expect(made(shows(2), first, second).base[name]).toEqual({ hub: null, remote: null });
    expect(made(shows(9), first, second).base[name]).toEqual({ hub: null, remote: null });
    expect(made(shows(1), first).set).toEqual({});
  });

  test('F65 a write of ours is done whole: where a part of it has come, what else it carried is what others went on from', () => {
    const [count, other] = [fieldName('count'), fieldName('other')];
    const named = (each: FieldName, policy: Policy): FieldMapping => {
      const mapping = mappingOf(each === count ? 'integer' : 'text', policy, 'both');
      const path = remotePath(each);
      return { ...mapping, field: { ...mapping.field, name: each }, reads: [path], writes: [path] };
    };
    const seen = (observed: MergeInput['observed']): Merged =>
      merge({
        spoke: spokes[0],
        fields: [named(count, { kind: 'delta' }), named(other, { kind: 'latest' })],
        hub: { [count]: '9', [other]: 'ours' },
        base: { [count]: { hub: '5', remote: 5 }, [other]: { hub: 'old', remote: 'old' } },
        observed,
        overruled: {},
        tried: [{ [count]: '9', [other]: 'ours' }],
        hubChangedAtMs: 1,
        spokeChangedAtMs: 2,
      });
    const shown = (value: string): MergeInput['observed'] => ({ [other]: { hub: value, remote: value } });
    const counted = { [count]: { hub: '10', remote: 10 } };
    expect(seen({ ...shown('ours'), ...counted })).toMatchObject({ set: { [count]: '10' }, conflicts: [] });
    expect(seen({ ...shown('old'), ...counted }).set).toEqual({ [count]: '14' });
    expect(seen(shown('ours')).base[count]).toEqual({ hub: '9', remote: 9 });
    expect(seen(shown('old')).base[count]).toBeUndefined();
  });

  test('two spokes that did not touch the same field may be merged in either order', () => {
    const texts = fc.constantFrom('', 'a', 'b', 'c');
    const fields = [fieldName('x'), fieldName('y')] as const;
    fc.assert(
      fc.property(texts, texts, texts, texts, fc.boolean(), (x, y, newX, newY, hubToo) => {
        const mapping = fields.map((field) => ({
          ...mappingOf('text', { kind: 'latest' }, 'both'),
          field: { ...mappingOf('text', { kind: 'latest' }, 'both').field, name: field },
        }));
        const base = { x: { hub: x, remote: x }, y: { hub: y, remote: y } } as unknown as Base;
        const start = { x, y, z: hubToo ? 'z' : null } as unknown as HubFields;
        const see = (hub: HubFields, field: FieldName, value: string, spoke: (typeof spokes)[number]): HubFields => {
          const merged = merge({
            spoke,
            fields: mapping,
            hub,
            base,
            observed: { [field]: { hub: value, remote: value } },
            overruled: {},
            hubChangedAtMs: null,
            spokeChangedAtMs: null,
          });
          return { ...hub, ...merged.set };
        };
        const oneFirst = see(see(start, fields[0], newX, spokes[0]), fields[1], newY, spokes[1]);
        const twoFirst = see(see(start, fields[1], newY, spokes[1]), fields[0], newX, spokes[0]);
        expect(oneFirst).toEqual(twoFirst);
      }),
    );
  });
});

function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  Object.values(value).forEach(freeze);
}
