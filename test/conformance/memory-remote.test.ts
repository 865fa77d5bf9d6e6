// What the memory remote can do beyond the contract, so that engine tests and the simulation may rely on it. Time is virtual.
import { expect, test } from 'vitest';
import { RateLimited, Retriable } from '../../src/base/errors.js';
import { silentLog } from '../../src/base/log.js';
import { seeded } from '../../src/base/random.js';
import type { Spoke, StreamEvent, Write, WriteResult } from '../../src/connectors/connector.js';
import { openMemory } from '../../src/connectors/memory/index.js';
import { parseMemoryConfig, type MemoryConfigInput } from '../../src/connectors/memory/config.js';
import { MemoryRemote } from '../../src/connectors/memory/remote.js';
import { externalId, hubId, objectName, remotePath, type Cursor } from '../../src/model/ids.js';
import type { RemoteRecord } from '../../src/model/record.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { collect, hub, interactive, testDeps } from './harness.js';

const thing = objectName('Thing');
const note = remotePath('note');
const fields = { paths: [note, remotePath('tags'), remotePath('price'), remotePath('owner')], children: {} };
const objects: NonNullable<MemoryConfigInput['objects']> = {
  Thing: {
    fields: {
      note: { normalise: ['trim', 'emptyToNull'] },
      tags: { normalise: ['sortTags'] },
      price: { type: 'number', normalise: ['round:2'] },
      phone: { normalise: ['phone'] },
      owner: { type: 'id', references: 'Owner' },
    },
  },
  Owner: { fields: { name: {} } },
};

function bench(config: MemoryConfigInput = {}): { clock: VirtualClock; remote: MemoryRemote; spoke: Spoke } {
  const clock = new VirtualClock();
  const random = seeded(5);
  const remote = new MemoryRemote({ objects, ...config }, { clock, random });
  const http = { request: () => Promise.reject(new Error('no HTTP here')) };
  return { clock, remote, spoke: openMemory(remote, testDeps({ http, clock, random, log: silentLog })) };
}

const create = (n: number, values: object): Write => ({
  op: 'create',
  object: thing,
  hubId: hub(n),
  fields: values as never,
  children: {},
});

async function poll(spoke: Spoke, from: Cursor): Promise<{ seen: readonly RemoteRecord[]; cursor: Cursor }> {
  const pages = await collect(spoke.changes(thing, fields, from, interactive));
  return { seen: pages.flatMap((page) => page.records), cursor: pages.at(-1)?.cursor ?? from };
}

const fetchOne = async (spoke: Spoke, id: string) =>
  (await spoke.fetch(thing, [externalId(id)], fields, interactive))[0];

test('F120 values are stored as the remote normalises them, and the write shows them so', async () => {
  const { remote, spoke } = bench();
  const values = { note: '  hi ', tags: 'b, a,b', price: 1.005, phone: '+1 415-555-0100' };
  const [result] = await spoke.write([create(1, values)], interactive);
  expect(result?.outcome === 'applied' && result.record?.fields).toMatchObject({
    note: 'hi',
    tags: 'a, b',
    price: 1.01,
    phone: '(415) 555-0100',
  });
  const id = remote.list('Thing')[0]?.id ?? '';
  remote.edit('Thing', id, { note: '' });
  expect(remote.get('Thing', id)?.fields[note]).toBeNull();
});

test('F74 a trigger rewrites what we send; a validation refuses it; a reference must exist', async () => {
  const { remote, spoke } = bench();
  remote.trigger('Thing', (values) => ({ ...values, note: `${String(values[note])}!` }));
  remote.validate('Thing', (values) =>
    values[note] === 'no!' ? { code: 'NO', message: 'not that', paths: ['note'] } : null,
  );
  const results = await spoke.write(
    [create(1, { note: 'yes' }), create(2, { note: 'no' }), create(3, { owner: 'nobody' })],
    interactive,
  );
  expect(
    results.map((result) =>
      result.outcome === 'applied' ? result.record?.fields[note] : result.outcome === 'rejected' && result.code,
    ),
  ).toEqual(['yes!', 'NO', 'INVALID_CROSS_REFERENCE_KEY']);
});

test('the ledger tells every effect: who, what, from what to what; what changed nothing is not in it', async () => {
  const { remote, spoke } = bench();
  const [made] = await spoke.write([create(1, { note: 'a' })], interactive);
  const id = made?.outcome === 'applied' ? made.externalId : externalId('');
  remote.edit('Thing', id, { note: 'b' });
  remote.damage('Thing', id, { note: 'c' });
  remote.remove('Thing', id);
  remote.remove('Thing', id);
  remote.undelete('Thing', id);
  expect(remote.ledger.map(({ by, op, before, after }) => [by, op, before?.[note], after?.[note]])).toEqual([
    ['self', 'create', undefined, 'a'],
    ['person', 'update', 'a', 'b'],
    ['person', 'damage', 'b', 'c'],
    ['person', 'delete', 'c', undefined],
    ['person', 'undelete', 'c', 'c'],
  ]);
  expect(remote.ledger[0]?.hubKey).toBe(hub(1));
});

test('damage and erasure show in no feed: only in a fetch or a listing', async () => {
  const { remote, spoke } = bench();
  const [a, b] = [remote.create('Thing', { note: 'a' }), remote.create('Thing', { note: 'b' })];
  const start = await spoke.now(thing);
  const before = await fetchOne(spoke, a);
  remote.damage('Thing', a, { note: 'damaged' });
  remote.erase('Thing', b);
  expect((await poll(spoke, start)).seen).toEqual([]);
  expect(await fetchOne(spoke, a)).toMatchObject({ version: before?.version, fields: { note: 'damaged' } });
  expect(await fetchOne(spoke, b)).toBeUndefined();
  const listing = await collect(spoke.inventory(thing, interactive));
  expect(listing.flatMap((page) => page.entries.map((entry) => entry.externalId))).toEqual([a]);
});

test('F104 a merge names the survivor on the loser, and fills what the survivor lacks', async () => {
  const { remote, spoke } = bench();
  const [winner, loser] = [remote.create('Thing', { note: 'w' }), remote.create('Thing', { note: 'l', price: 3 })];
  const start = await spoke.now(thing);
  remote.merge('Thing', { winner, loser });
  const { seen } = await poll(spoke, start);
  expect(seen.find((record) => record.externalId === loser)).toMatchObject({ deleted: true, mergedInto: winner });
  expect(seen.find((record) => record.externalId === winner)?.fields).toMatchObject({ note: 'w', price: 3 });
});

test('F96 a late commit keeps its old stamp: a counter window waits for it, a clock window needs its overlap', async () => {
  for (const [config, missed] of [
    [{ versions: 'counter' }, false],
    [{ versions: 'clock', overlapMs: 10_000 }, false],
    [{ versions: 'clock', overlapMs: 0 }, true],
  ] as const) {
    const { clock, remote, spoke } = bench(config);
    const start = await spoke.now(thing);
    await clock.advance(100);
    const late = remote.together(() => remote.create('Thing', { note: 'late' }), 5_000);
    await clock.advance(100);
    const prompt = remote.create('Thing', { note: 'prompt' });
    await clock.advance(100);
    const first = await poll(spoke, start);
    expect(await fetchOne(spoke, late)).toBeUndefined();
    await clock.advance(5_000);
    const second = await poll(spoke, first.cursor);
    const seen = [...first.seen, ...second.seen].map((record) => record.externalId as string);
    expect(seen).toContain(prompt);
    expect(seen.includes(late), JSON.stringify(config)).toBe(!missed);
  }
});

test('F95 a second edit within the same tick of a coarse clock is not mistaken for a repeat', async () => {
  const { remote, spoke, clock } = bench({ versions: 'clock', versionStepMs: 1_000, overlapMs: 0 });
  const start = await spoke.now(thing);
  const id = remote.create('Thing', { note: 'one' });
  const first = await poll(spoke, start);
  remote.edit('Thing', id, { note: 'two' });
  const second = await poll(spoke, first.cursor);
  expect([first, second].map(({ seen }) => seen.map((record) => record.fields[note]))).toEqual([['one'], ['two']]);
  expect((await poll(spoke, second.cursor)).seen).toEqual([]);
  await clock.advance(3_000);
  expect((await poll(spoke, second.cursor)).seen).toEqual([]);
});

test('F97 F98 a lagging index and a lagging replica show the past, then the present', async () => {
  const { clock, remote, spoke } = bench();
  const id = remote.create('Thing', { note: 'old' });
  await clock.advance(10_000);
  remote.edit('Thing', id, { note: 'new' });
  remote.faults.staleReadMs = 2_000;
  remote.faults.indexLagMs = 4_000;
  expect((await fetchOne(spoke, id))?.fields[note]).toBe('old');
  const key = { by: 'values', values: { [note]: 'new' } } as const;
  await clock.advance(2_000);
  expect((await fetchOne(spoke, id))?.fields[note]).toBe('new');
  expect((await spoke.find(thing, [key], fields, interactive))[0]).toEqual([]);
  await clock.advance(2_000);
  expect((await spoke.find(thing, [key], fields, interactive))[0]).toHaveLength(1);
});

test('F65 a write applied late shows up late; the hub id absorbs what was sent in between', async () => {
  const { clock, remote, spoke } = bench();
  remote.faults.next('lateApplied');
  expect((await spoke.write([create(1, { note: 'first' })], interactive))[0]?.outcome).toBe('unknown');
  expect(remote.list('Thing')).toHaveLength(0);
  expect((await spoke.write([create(1, { note: 'second' })], interactive))[0]?.outcome).toBe('applied');
  await clock.advance(30_000);
  expect(remote.list('Thing').map((row) => row.fields[note])).toEqual(['second']);
  expect(remote.ledger.filter((entry) => entry.op === 'create')).toHaveLength(1);
});

test('F78 a field that we may no longer see is absent, never null', async () => {
  const { remote, spoke } = bench();
  const id = remote.create('Thing', { note: 'secret' });
  remote.hide('Thing', 'note');
  expect(Object.keys((await fetchOne(spoke, id))?.fields ?? {})).not.toContain('note');
  expect((await spoke.describe([thing])).objects[0]?.fields.map((field) => field.path)).not.toContain('note');
  remote.hide('Thing', 'note', false);
  expect((await fetchOne(spoke, id))?.fields[note]).toBe('secret');
});

test('a budget runs dry and refills with time', async () => {
  const { clock, remote, spoke } = bench({ budget: { limit: 3, restorePerSecond: 1 } });
  for (let n = 0; n < 3; n++) await spoke.identity();
  await expect(spoke.identity()).rejects.toBeInstanceOf(RateLimited);
  expect((await spoke.write([create(1, {})], interactive))[0]).toMatchObject({
    outcome: 'throttled',
    retryAfterMs: 1_000,
  });
  await clock.advance(1_000);
  await spoke.identity();
  expect(remote.calls['identity']).toBe(5);
});

test('reads fail before any effect, and heal ends all faults', async () => {
  const { remote, spoke } = bench();
  remote.faults.next('refused', 'read');
  await expect(spoke.identity()).rejects.toBeInstanceOf(Retriable);
  remote.faults.rates = { throttled: 1 };
  await expect(spoke.identity()).rejects.toBeInstanceOf(RateLimited);
  remote.faults.heal();
  await spoke.identity();
});

test('the same seed brings the same faults', async () => {
  const outcomes = async (): Promise<readonly WriteResult['outcome'][]> => {
    const { remote, spoke } = bench();
    remote.faults.rates = { throttled: 0.2, lostApplied: 0.2, rejectSome: 0.2, fewer: 0.2 };
    const all: WriteResult['outcome'][] = [];
    for (let n = 0; n < 30; n++)
      all.push(
        ...(await spoke.write([create(2 * n, {}), create(2 * n + 1, {})], interactive)).map((result) => result.outcome),
      );
    return all;
  };
  const [one, two] = [await outcomes(), await outcomes()];
  expect(one).toEqual(two);
  expect(new Set(one)).toEqual(new Set(['applied', 'throttled', 'unknown', 'rejected']));
});

test('F87 F100 the stream drops, doubles and says so when it lost events', async () => {
  const { remote, spoke } = bench();
  const stop = new AbortController();
  const events: StreamEvent[] = [];
  const reading = (async () => {
    for await (const event of spoke.listen?.([thing], stop.signal) ?? []) events.push(event);
  })();
  const after = async (change: () => void): Promise<readonly string[]> => {
    events.length = 0;
    await new Promise((resolve) => setImmediate(resolve));
    change();
    await new Promise((resolve) => setImmediate(resolve));
    return events.map((event) => event.kind);
  };
  expect(await after(() => remote.create('Thing', {}))).toEqual(['hint']);
  expect(await after(() => remote.create('Owner', {}))).toEqual([]);
  remote.faults.hintDouble = 1;
  expect(await after(() => remote.create('Thing', {}))).toEqual(['hint', 'hint']);
  remote.faults.hintDouble = 0;
  remote.faults.hintGap = 1;
  expect(await after(() => remote.create('Thing', {}))).toEqual(['gap']);
  remote.faults.hintDrop = 1;
  expect(await after(() => remote.create('Thing', {}))).toEqual([]);
  stop.abort();
  await reading;
});

test('F103 undelete cannot bring back a second record for one hub id', async () => {
  const { remote, spoke } = bench();
  const [first] = await spoke.write([create(1, { note: 'a' })], interactive);
  const id = first?.outcome === 'applied' ? first.externalId : externalId('');
  remote.remove('Thing', id);
  await spoke.write([create(1, { note: 'b' })], interactive);
  const [result] = await spoke.write(
    [{ op: 'undelete', object: thing, hubId: hubId('h'), externalId: id }],
    interactive,
  );
  expect(result).toMatchObject({ outcome: 'rejected', recovery: 'duplicate' });
  expect(remote.list('Thing')).toHaveLength(1);
});

test('F124 a wrong configuration lists every problem at once, with its place', () => {
  const raw = {
    versions: 'guess',
    objects: { Thing: { fields: { a: { normalise: ['shout'] }, b: { type: 'money' } } } },
    colour: 'red',
  };
  const place = (path: readonly (string | number)[]) => ({ file: 'truespoke.yaml', line: path.length });
  expect(() => parseMemoryConfig(raw, place)).toThrow(/versions[\s\S]*normalise[\s\S]*type[\s\S]*colour/);
  const dangling = { objects: { Thing: { fields: { a: { references: 'Nobody' } }, unique: [['b']] } } };
  expect(() => parseMemoryConfig(dangling, place)).toThrow(/no field b[\s\S]*no object Nobody/);
});
