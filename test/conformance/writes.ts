// Owns the write half of the conformance suite: results by record, faults, conditions, deletes, children.
// Proves: Law 3, Law 9
import { describe, expect, test } from 'vitest';
import { RateLimited, Retriable } from '../../src/base/errors.js';
import type { ChildWrite, Write, WriteResult } from '../../src/connectors/connector.js';
import { externalId, remotePath, version, type ExternalId } from '../../src/model/ids.js';
import type { RemoteFields } from '../../src/model/record.js';
import { eventually, hub, interactive, type ChildTraits, type FaultName, type Traits } from './harness.js';
import type { Current } from './suite.js';

/** Stands in where a connector embeds no children; its tests do not run. */
const absent: ChildTraits = { name: '', path: remotePath(''), sample: () => ({}), changed: () => ({}) };

type Applied = Extract<WriteResult, { outcome: 'applied' }>;

export function writePromises(current: Current, traits: Traits): void {
  const create = (
    n: number,
    fields: RemoteFields = current.harness.sample(n),
    children: Readonly<Record<string, readonly ChildWrite[]>> = {},
  ): Write => ({
    op: 'create',
    object: current.harness.object,
    hubId: hub(n),
    fields,
    children,
  });
  const update = (
    n: number,
    id: ExternalId,
    fields: RemoteFields,
    more: Partial<Extract<Write, { op: 'update' }>> = {},
  ): Write => ({
    op: 'update',
    object: current.harness.object,
    hubId: hub(n),
    externalId: id,
    fields,
    children: {},
    expect: null,
    ...more,
  });
  const remove = (n: number, id: ExternalId): Write => ({
    op: 'delete',
    object: current.harness.object,
    hubId: hub(n),
    externalId: id,
  });
  const write = (...writes: Write[]): Promise<readonly WriteResult[]> =>
    current.harness.spoke.write(writes, interactive);
  /** The record that a create made or met. */
  const met = (result: WriteResult | undefined): readonly ExternalId[] => {
    if (result?.outcome === 'applied') return [result.externalId];
    return result?.outcome === 'rejected' && result.recovery === 'duplicate' ? (result.existing ?? []) : [];
  };
  const created = async (n: number): Promise<Applied> => applied((await write(create(n)))[0]);
  const fetchOne = async (id: ExternalId) =>
    (await current.harness.spoke.fetch(current.harness.object, [id], current.harness.fields, interactive))[0];
  const testFault = (name: FaultName, title: string, body: () => Promise<void>): void =>
    test.runIf(traits.faults.includes(name))(title, body);
  /** Two pages of three creates: enough for order to matter. */
  const six = (): Write[] => [1, 2, 3, 4, 5, 6].map((n) => create(n));

  describe('write', () => {
    test('nothing to write, nothing to answer', async () => {
      expect(await write()).toEqual([]);
    });

    test('a mixed batch: one result a record, in order, and the remote holds what was sent', async () => {
      const { person, sample, text, key } = current.harness;
      const [a, b] = [await person.create(sample(11)), await person.create(sample(12))];
      const results = await write(create(1), update(11, a, { [text]: 'changed' }), remove(12, b), create(2));
      expect(results.map((result) => result.outcome)).toEqual(['applied', 'applied', 'applied', 'applied']);
      const ids = results.map((result) => applied(result).externalId);
      expect(ids.slice(1, 3)).toEqual([a, b]);
      expect(await person.read(ids[0] ?? externalId(''), key)).toEqual(sample(1)[key]);
      expect(await person.read(ids[3] ?? externalId(''), key)).toEqual(sample(2)[key]);
      expect(await person.read(a, text)).toBe('changed');
      expect(await person.read(b, key)).toBeUndefined();
      expect(await person.count()).toBe(3);
    });

    test('a full batch is answered record by record', async () => {
      const { spoke, person, sample, key } = current.harness;
      const size = Math.min(spoke.capabilities.writeBatch, 200);
      const results = await write(...Array.from({ length: size }, (_, n) => create(n + 1)));
      expect(results.map((result) => result.outcome)).toEqual(results.map(() => 'applied'));
      expect(results).toHaveLength(size);
      for (const n of [1, Math.ceil(size / 2), size]) {
        expect(await person.read(applied(results[n - 1]).externalId, key)).toEqual(sample(n)[key]);
      }
    });

    test('an update touches only the fields it names, and null empties one', async () => {
      const { person, sample, text, key } = current.harness;
      const id = await person.create(sample(1));
      expect((await write(update(1, id, { [text]: null })))[0]?.outcome).toBe('applied');
      expect([null, undefined, '']).toContain(await person.read(id, text));
      expect(await person.read(id, key)).toEqual(sample(1)[key]);
    });

    test('the result tells the version that a read then shows, and the record as it is, if any', async () => {
      const { person, sample, text } = current.harness;
      const id = await person.create(sample(1));
      const result = applied((await write(update(1, id, { [text]: 'told' })))[0]);
      const record = await fetchOne(id);
      expect(record?.fields[text]).toBe('told');
      if (result.version !== '') expect(record?.version).toBe(result.version);
      if (result.record !== null) expect(result.record.fields[text] ?? 'told').toBe('told');
    });

    test('F69 one bad record of a batch is rejected with its path, the others are applied', async () => {
      const { person, invalid, sample } = current.harness;
      const results = await write(create(1), create(2, { ...sample(2), ...invalid.fields }), create(3));
      expect(results.map((result) => result.outcome)).toEqual(['applied', 'rejected', 'applied']);
      const rejected = results[1];
      if (rejected?.outcome !== 'rejected') throw new Error('not rejected');
      expect(rejected.recovery).toBe('park');
      expect(rejected.code).not.toBe('');
      expect(rejected.message).not.toBe('');
      expect(rejected.paths).toContain(invalid.path);
      expect(await person.count()).toBe(2);
    });

    test.runIf(traits.uniqueKey)('a value that another record holds is a duplicate, and says whose', async () => {
      const { person, sample, key } = current.harness;
      const holder = await person.create(sample(1));
      const [result] = await write(create(2, { ...sample(2), [key]: sample(1)[key] ?? null }));
      if (result?.outcome !== 'rejected') throw new Error(`expected a rejection, got ${result?.outcome ?? 'nothing'}`);
      expect(result.recovery).toBe('duplicate');
      if (result.existing !== undefined) expect(result.existing).toEqual([holder]);
      expect(await person.count()).toBe(1);
    });

    test('an update of a deleted record says that it is gone', async () => {
      const { person, sample, text } = current.harness;
      const id = await person.create(sample(1));
      await person.remove(id);
      const [result] = await write(update(1, id, { [text]: 'too late' }));
      expect(result).toMatchObject({ outcome: 'rejected', recovery: 'gone' });
    });

    test('F84 deleting what is already deleted is success', async () => {
      const { person, sample } = current.harness;
      const id = await person.create(sample(1));
      expect((await write(remove(1, id)))[0]?.outcome).toBe('applied');
      expect((await write(remove(1, id)))[0]?.outcome).toBe('applied');
      expect(await person.count()).toBe(0);
    });

    test.runIf(traits.undelete)('F103 undelete brings the same record back', async () => {
      const { person, sample, key } = current.harness;
      const id = await person.create(sample(1));
      await person.remove(id);
      const result = (
        await write({ op: 'undelete', object: current.harness.object, hubId: hub(1), externalId: id })
      )[0];
      expect(applied(result).externalId).toBe(id);
      expect(await person.read(id, key)).toEqual(sample(1)[key]);
    });
  });

  describe('repeats and races', () => {
    test.runIf(traits.idempotentCreate)('F83 a create repeated with the same hub id is the same record', async () => {
      const { person } = current.harness;
      const first = await created(1);
      expect(met((await write(create(1)))[0])).toEqual([first.externalId]);
      const both = await Promise.all([write(create(2)), write(create(2))].map((call) => call.catch(() => [])));
      expect(new Set(both.flat().flatMap((result) => met(result))).size).toBe(1);
      expect(await person.count()).toBe(2);
    });

    test.runIf(traits.idempotentCreate && traits.upserts !== true)(
      'F65 F83 a create repeated with the same hub id leaves what was made of the first since',
      async () => {
        const { person, text } = current.harness;
        const { externalId: id } = await created(1);
        await person.edit(id, { [text]: 'by a person' });
        const [again] = await write(create(1));
        expect(again).toMatchObject({ outcome: 'rejected', recovery: 'duplicate', existing: [id] });
        expect(await person.read(id, text)).toBe('by a person');
      },
    );

    test.runIf(traits.conditionalWrite)(
      'a write that expects an older version is stale and has no effect',
      async () => {
        const { person, sample, text } = current.harness;
        const id = await person.create(sample(1));
        const before = await fetchOne(id);
        await person.edit(id, { [text]: 'by a person' });
        const after = await eventually(
          async () => {
            const record = await fetchOne(id);
            // Where versions have seconds, an edit within the same second cannot be told apart by the remote.
            if (record?.version === before?.version) await person.edit(id, { [text]: 'by a person' });
            return record;
          },
          (record) => record?.version !== before?.version,
        );
        const [stale] = await write(update(1, id, { [text]: 'ours' }, { expect: before?.version ?? version('') }));
        expect(stale?.outcome).toBe('stale');
        expect(await person.read(id, text)).toBe('by a person');
        const [fresh] = await write(update(1, id, { [text]: 'ours' }, { expect: after?.version ?? version('') }));
        expect(fresh?.outcome).toBe('applied');
        expect(await person.read(id, text)).toBe('ours');
      },
    );
  });

  describe('faults', () => {
    testFault('throttle', 'F59 F60 F61 throttled: nothing happens, and we are told how long to wait', async () => {
      const { person, fault } = current.harness;
      await fault('throttle');
      const outcome = await write(create(1)).catch((error: unknown) => error);
      if (outcome instanceof RateLimited) expect(outcome.retryAfterMs).toBeGreaterThan(0);
      else expect(outcome).toEqual([{ outcome: 'throttled', retryAfterMs: expect.any(Number) as number }]);
      expect(await person.count()).toBe(0);
      expect((await created(1)).outcome).toBe('applied');
    });

    testFault(
      'loseAnswer',
      'F64 a lost answer is unknown; one record is there, found by hub id, and a repeat adds none',
      async () => {
        const { spoke, object, fields, person, fault } = current.harness;
        await fault('loseAnswer');
        const [result] = await write(create(1));
        expect(result?.outcome).toBe('unknown');
        expect(await person.count()).toBe(1);
        if (traits.hubKey) {
          const ask = () => spoke.find(object, [{ by: 'hubId', hubId: hub(1) }], fields, interactive);
          expect((await eventually(ask, ([list]) => list?.length === 1))[0]).toHaveLength(1);
        }
        if (traits.idempotentCreate) {
          expect(met((await write(create(1)))[0])).toHaveLength(1);
          expect(await person.count()).toBe(1);
        }
      },
    );

    testFault(
      'loseAnswer',
      'F64 a lost answer to a batch leaves no record of it claimed as applied or rejected',
      async () => {
        await current.harness.fault('loseAnswer');
        const results = await write(...six());
        expect(results).toHaveLength(6);
        const claimed = results.filter((result) => result.outcome !== 'unknown').length;
        // A connector that writes one by one may lose one answer only; one that sends a batch loses all.
        expect(claimed).toBeLessThan(6);
      },
    );

    testFault(
      'loseRequest',
      'F8 a request lost on the way is unknown or safely retriable, and has no effect',
      async () => {
        const { person, fault } = current.harness;
        await fault('loseRequest');
        const outcome = await write(create(1)).catch((error: unknown) => error);
        if (!(outcome instanceof Retriable)) expect(outcome).toMatchObject([{ outcome: 'unknown' }]);
        expect(await person.count()).toBe(0);
        await created(1);
        expect(await person.count()).toBe(1);
      },
    );

    testFault('garble', 'F67 an answer that is no answer is unknown, never success', async () => {
      await current.harness.fault('garble');
      expect((await write(create(1)))[0]?.outcome).toBe('unknown');
      expect(await current.harness.person.count()).toBe(1);
    });

    testFault('reorder', 'F70 results in another order still belong to their records', async () => {
      const { person, sample, key, fault } = current.harness;
      await fault('reorder');
      const results = await write(...six());
      for (const [index, result] of results.entries()) {
        if (result.outcome === 'unknown') continue;
        expect(await person.read(applied(result).externalId, key), `record ${index + 1}`).toEqual(
          sample(index + 1)[key],
        );
      }
    });

    testFault('dropResults', 'F70 a record without a result is unknown', async () => {
      await current.harness.fault('dropResults');
      const results = await write(...six());
      expect(results).toHaveLength(6);
      const outcomes = new Set(results.map((result) => result.outcome));
      expect(outcomes.has('unknown')).toBe(true);
      expect([...outcomes].every((outcome) => outcome === 'unknown' || outcome === 'applied')).toBe(true);
    });

    testFault('lockRow', 'F72 a locked row asks for another try', async () => {
      const { fault, person, sample, text } = current.harness;
      const id = await person.create(sample(1));
      await fault('lockRow');
      const [result] = await write(update(1, id, { [text]: 'locked' }));
      expect(result).toMatchObject({ outcome: 'rejected', recovery: 'retry' });
      expect((await write(update(1, id, { [text]: 'free' })))[0]?.outcome).toBe('applied');
    });

    test('an aborted signal stops a write before it is sent', async () => {
      const { spoke, person } = current.harness;
      const gone = { lane: 'interactive', signal: AbortSignal.abort(new Error('stopped by test')) } as const;
      await expect(spoke.write([create(1)], gone)).rejects.toThrow();
      expect(await person.count()).toBe(0);
    });
  });

  const { children } = traits;
  describe.runIf(children !== null)('embedded children', () => {
    const { name, path, sample: childSample, changed } = children ?? absent;
    const child = (n: number, more: Partial<ChildWrite> = {}): ChildWrite => ({
      hubId: hub(100 + n),
      externalId: null,
      fields: childSample(n),
      ...more,
    });

    test('children created with their parent come back complete, each with its own id', async () => {
      const result = applied((await write(create(1, current.harness.sample(1), { [name]: [child(1), child(2)] })))[0]);
      const record = await fetchOne(result.externalId);
      const list = record?.children[name] ?? [];
      expect(list).toHaveLength(2);
      expect(new Set(list.map((one) => one.externalId)).size).toBe(2);
      expect(list.map((one) => one.fields[path]).sort()).toEqual([childSample(1)[path], childSample(2)[path]].sort());
    });

    test('a written list of children is complete: one changed, one kept, one added, one that is left out goes', async () => {
      const result = applied((await write(create(1, current.harness.sample(1), { [name]: [child(1), child(2)] })))[0]);
      const before = (await fetchOne(result.externalId))?.children[name] ?? [];
      const first = before.find((one) => one.fields[path] === childSample(1)[path]);
      if (first === undefined) throw new Error('the first child is missing');
      const second = before.find((one) => one.externalId !== first.externalId);
      if (second === undefined) throw new Error('the second child is missing');
      const kept = child(2, { externalId: second.externalId });
      const changes = { [name]: [child(1, { externalId: first.externalId, fields: changed(1) }), kept, child(3)] };
      expect((await write(update(1, result.externalId, {}, { children: changes })))[0]?.outcome).toBe('applied');
      const after = (await fetchOne(result.externalId))?.children[name] ?? [];
      expect(after).toHaveLength(3);
      expect(after.find((one) => one.externalId === first.externalId)?.fields[path]).toEqual(changed(1)[path]);
      await write(update(1, result.externalId, {}, { children: { [name]: [kept] } }));
      expect((await fetchOne(result.externalId))?.children[name]?.map((one) => one.externalId)).toEqual([
        second.externalId,
      ]);
    });
  });
}

function applied(result: WriteResult | undefined): Applied {
  if (result?.outcome === 'applied') return result;
  throw new Error(`expected an applied write, got ${JSON.stringify(result)}`);
}
