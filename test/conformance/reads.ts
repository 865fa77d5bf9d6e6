// Owns the read half of the conformance suite: identity, describe, scan, changes, fetch, find, inventory, stream, ends.
// Proves: Law 1, Law 4, Law 7, Law 8
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import type { Page, StreamEvent } from '../../src/connectors/connector.js';
import { cursor as asCursor, externalId, objectName, type ExternalId } from '../../src/model/ids.js';
import type { RemoteRecord } from '../../src/model/record.js';
import { collect, eventually, hub, idsOf, interactive, pollUntil, type Traits } from './harness.js';
import type { Current } from './suite.js';

export function readPromises(current: Current, traits: Traits): void {
  describe('identity and schema', () => {
    test('the identity is stable', async () => {
      const { spoke } = current.harness;
      const first = await spoke.identity();
      expect(first.id).not.toBe('');
      expect(await spoke.identity()).toEqual(first);
    });

    test('describe knows every path we read, and names what is missing', async () => {
      const { spoke, object, fields } = current.harness;
      const schema = await spoke.describe([object, objectName('NoSuchObject')]);
      expect(schema.missing).toEqual(['NoSuchObject']);
      expect(schema.apiVersion).not.toBe('');
      const [found] = schema.objects;
      expect(found?.name).toBe(object);
      expect(found?.fields.map((field) => field.path)).toEqual(expect.arrayContaining([...fields.paths]));
      for (const [child, paths] of Object.entries(fields.children)) {
        expect(found?.children[child]?.map((field) => field.path)).toEqual(expect.arrayContaining([...paths]));
      }
    });
  });

  describe('scan', () => {
    test('an empty object is one last page without records', async () => {
      const { spoke, object, fields } = current.harness;
      const pages = await collect(spoke.scan(object, fields, null, interactive));
      expect(idsOf(pages)).toEqual([]);
      expect(pages.at(-1)?.last).toBe(true);
    });

    test('every record comes, with its values, and only the last page says so', async () => {
      const { spoke, object, fields, person, text } = current.harness;
      const ids = await createMany(current, traits.many);
      const pages = await collect(spoke.scan(object, fields, null, interactive));
      expect(pages.length).toBeGreaterThanOrEqual(traits.pagesMin);
      expect(idsOf(pages).sort()).toEqual([...ids].sort());
      expect(pages.map((page) => page.last)).toEqual(pages.map((_page, index) => index === pages.length - 1));
      for (const record of pages.flatMap((page) => page.records).slice(0, 10)) {
        expect(record.fields[text]).toEqual(await person.read(record.externalId, text));
        expect(record).toMatchObject({ object, deleted: false, mergedInto: null });
      }
    });

    test("resuming from any page's cursor skips nothing", async () => {
      const { spoke, object, fields } = current.harness;
      const ids = await createMany(current, traits.many);
      const pages = await collect(spoke.scan(object, fields, null, interactive));
      for (let index = 0; index < pages.length; index++) {
        const before = idsOf(pages.slice(0, index + 1));
        const rest = await collect(spoke.scan(object, fields, pages[index]?.cursor ?? asCursor(''), interactive));
        expect([...new Set([...before, ...idsOf(rest)])].sort(), `after page ${index + 1}`).toEqual([...ids].sort());
      }
    });
  });

  describe('changes', () => {
    test('nothing that happens after now() is missed', async () => {
      const { spoke, object, person, text } = current.harness;
      const old = await person.create(current.harness.sample(1));
      const start = await spoke.now(object);
      const fresh = await person.create(current.harness.sample(2));
      await person.edit(old, { [text]: 'edited' });
      const { seen } = await pollUntil(current.harness, start, (all) => has(all, fresh) && has(all, old));
      expect(newest(seen, old)?.fields[text]).toBe('edited');
    });

    test('a later edit has a later version', async () => {
      const { spoke, object, person, text } = current.harness;
      const start = await spoke.now(object);
      const id = await person.create(current.harness.sample(1));
      const first = await pollUntil(current.harness, start, (all) => has(all, id));
      await person.edit(id, { [text]: 'later' });
      const second = await pollUntil(current.harness, first.cursor, (all) => newest(all, id)?.fields[text] === 'later');
      expect(newest(second.seen, id)!.version >= newest(first.seen, id)!.version).toBe(true);
    });

    test('F94 five hundred records with one stamp: none is skipped', async () => {
      const { spoke, object, fields, person, sample } = current.harness;
      const start = await spoke.now(object);
      const ids = await person.createAtOnce(Array.from({ length: 500 }, (_, n) => sample(n)));
      const { pages } = await pollUntil(current.harness, start, (all) => ids.every((id) => has(all, id)));
      const middle = pages[Math.floor(pages.length / 2)];
      const before = idsOf(pages.slice(0, Math.floor(pages.length / 2) + 1));
      const rest = await collect(spoke.changes(object, fields, middle?.cursor ?? start, interactive));
      expect([...new Set([...before, ...idsOf(rest)])].sort()).toEqual([...ids].sort());
    });

    test('F93 records edited while pages are read are seen in their newest state', async () => {
      const { spoke, object, fields, person, text } = current.harness;
      const start = await spoke.now(object);
      const ids = await createMany(current, traits.many);
      await pollUntil(current.harness, start, (all) => ids.every((id) => has(all, id)));
      const touched = [ids[0], ids[Math.floor(ids.length / 2)], ids.at(-1)].filter((id) => id !== undefined);
      const seen: RemoteRecord[] = [];
      let cursor = start;
      for await (const page of spoke.changes(object, fields, start, interactive)) {
        if (cursor === start) for (const id of touched) await person.edit(id, { [text]: `moved ${id}` });
        seen.push(...page.records);
        cursor = page.cursor;
      }
      const rest = await pollUntil(current.harness, cursor, (all) =>
        touched.every((id) => newest([...seen, ...all], id)?.fields[text] === `moved ${id}`),
      );
      const all = [...seen, ...rest.seen];
      expect(ids.filter((id) => !has(all, id))).toEqual([]);
    });

    test('a page that was read but not taken account of comes again from the older cursor', async () => {
      const { spoke, object, person } = current.harness;
      const start = await spoke.now(object);
      const id = await person.create(current.harness.sample(1));
      const first = await pollUntil(current.harness, start, (all) => has(all, id));
      expect(has(first.seen, id)).toBe(true);
      const again = await pollUntil(current.harness, start, (all) => has(all, id));
      expect(has(again.seen, id)).toBe(true);
    });

    test('pages come in the order of their versions', async () => {
      const { spoke, object, person, text } = current.harness;
      const start = await spoke.now(object);
      const ids = await createMany(current, 12);
      await person.edit(ids[3] ?? externalId(''), { [text]: 'moved to the end' });
      const { pages } = await pollUntil(current.harness, start, (all) => ids.every((id) => has(all, id)));
      const poll = lastPoll(pages);
      const versions = poll.flatMap((page) => page.records.map((record) => record.version as string));
      expect(versions).toEqual([...versions].sort());
    });

    test('idle polls are empty, and end', async () => {
      const { spoke, object, fields } = current.harness;
      const start = await spoke.now(object);
      const ids = await createMany(current, 5);
      let { cursor } = await pollUntil(current.harness, start, (all) => ids.every((id) => has(all, id)));
      for (let poll = 0; poll < 5; poll++) {
        const pages = await collect(spoke.changes(object, fields, cursor, interactive));
        expect(idsOf(pages), `idle poll ${poll + 1}`).toEqual([]);
        expect(pages.at(-1)?.last).toBe(true);
        cursor = pages.at(-1)?.cursor ?? cursor;
      }
      const late = await current.harness.person.create(current.harness.sample(99));
      await pollUntil(current.harness, cursor, (all) => has(all, late));
    });

    test.runIf(traits.deleteFeed)('F101 a deletion is reported', async () => {
      const { spoke, object, person } = current.harness;
      const id = await person.create(current.harness.sample(1));
      const start = await spoke.now(object);
      await person.remove(id);
      const { seen } = await pollUntil(current.harness, start, (all) => newest(all, id)?.deleted === true);
      expect(newest(seen, id)?.deleted).toBe(true);
    });
  });

  describe('fetch', () => {
    test('present records come, missing ones are left out, deleted ones are marked or left out', async () => {
      const { spoke, object, fields, person, sample, text, missing } = current.harness;
      const [a, b, gone] = [
        await person.create(sample(1)),
        await person.create(sample(2)),
        await person.create(sample(3)),
      ];
      await person.remove(gone);
      const records = await spoke.fetch(object, [b, missing, gone, a], fields, interactive);
      const live = records.filter((record) => !record.deleted).map((record) => record.externalId);
      expect([...live].sort()).toEqual([a, b].sort());
      expect(records.some((record) => record.externalId === missing)).toBe(false);
      const dead = records.filter((record) => record.deleted).map((record) => record.externalId);
      expect(dead).toEqual(traits.recycleBin ? [gone] : []);
      const first = records.find((record) => record.externalId === a);
      expect(first?.fields[text]).toEqual(sample(1)[text]);
      expect(Object.keys(first?.fields ?? {}).sort()).toEqual([...fields.paths].sort());
    });

    test('no ids, no records', async () => {
      const { spoke, object, fields } = current.harness;
      expect(await spoke.fetch(object, [], fields, interactive)).toEqual([]);
    });

    test('only what was asked for is shown', async () => {
      const { spoke, object, person, sample, text } = current.harness;
      const id = await person.create(sample(1));
      const [record] = await spoke.fetch(object, [id], { paths: [text], children: {} }, interactive);
      expect(Object.keys(record?.fields ?? {})).toEqual([text]);
    });
  });

  describe('find', () => {
    test('several keys at once: one list each, in order, whatever the case', async () => {
      const { spoke, object, fields, person, sample, key } = current.harness;
      const [a, b] = [await person.create(sample(1)), await person.create(sample(2))];
      const keyOf = (n: number): string => String(sample(n)[key]);
      const byValue = (value: string) => ({ by: 'values', values: { [key]: value } }) as const;
      const ask = () =>
        spoke.find(
          object,
          [byValue(keyOf(2).toUpperCase()), byValue(keyOf(7)), byValue(keyOf(1))],
          fields,
          interactive,
        );
      const found = await eventually(ask, (lists) => lists[0]?.length === 1 && lists[2]?.length === 1);
      expect(found.map((list) => list.map((record) => record.externalId))).toEqual([[b], [], [a]]);
    });

    test('F128 a value is a value: quotes, wildcards and operators in it match nothing else', async () => {
      const { spoke, object, fields, person, sample, key } = current.harness;
      const id = await person.create(sample(1));
      const present = { by: 'values', values: { [key]: String(sample(1)[key]) } } as const;
      await eventually(
        () => spoke.find(object, [present], fields, interactive),
        ([list]) => list?.length === 1,
      );
      const nasty = [
        `x' OR ${key} != '`,
        `\\' OR 1=1 --`,
        '%',
        '*',
        `" OR ${key}:*`,
        `${String(sample(1)[key])}\\`,
        'a:b OR c',
        '()',
      ];
      const found = await spoke.find(
        object,
        nasty.map((value) => ({ by: 'values', values: { [key]: value } })),
        fields,
        interactive,
      );
      expect(found.map((list) => list.length)).toEqual(nasty.map(() => 0));
      expect(await person.read(id, key)).toEqual(sample(1)[key]);
    });

    test.runIf(traits.hubKey)('what we left there ourselves is found by hub id', async () => {
      const { spoke, object, fields, sample } = current.harness;
      const [result] = await spoke.write(
        [{ op: 'create', object, hubId: hub(1), fields: sample(1), children: {} }],
        interactive,
      );
      expect(result?.outcome).toBe('applied');
      const keys = [
        { by: 'hubId', hubId: hub(2) },
        { by: 'hubId', hubId: hub(1) },
      ] as const;
      const found = await eventually(
        () => spoke.find(object, keys, fields, interactive),
        (lists) => lists[1]?.length === 1,
      );
      expect(found[0]).toEqual([]);
      expect(found[1]?.map((record) => record.hubKey)).toEqual([hub(1)]);
    });
  });

  describe('inventory', () => {
    test('every live record with its version, and only the last page says so', async () => {
      const { spoke, object, fields, person } = current.harness;
      const ids = await createMany(current, traits.many);
      const gone = ids[1] ?? externalId('');
      await person.remove(gone);
      const live = ids.filter((id) => id !== gone);
      const listing = await eventually(
        () => collect(spoke.inventory(object, interactive)),
        (pages) => pages.flatMap((page) => page.entries).length === live.length,
      );
      const entries = listing.flatMap((page) => page.entries);
      expect(entries.map((entry) => entry.externalId).sort()).toEqual([...live].sort());
      expect(listing.map((page) => page.last)).toEqual(listing.map((_page, index) => index === listing.length - 1));
      const [record] = await spoke.fetch(object, live.slice(0, 1), fields, interactive);
      expect(entries.find((entry) => entry.externalId === live[0])?.version).toBe(record?.version);
    });
  });

  describe('stream', () => {
    test.runIf(traits.stream)('hints come for what happens, and the stream ends when it is stopped', async () => {
      const { spoke, object, person, sample } = current.harness;
      const stop = new AbortController();
      const events: StreamEvent[] = [];
      const reading = (async () => {
        for await (const event of spoke.listen?.([object], stop.signal) ?? []) events.push(event);
      })();
      const hinted = (id: ExternalId, deleted: boolean): boolean =>
        events.some(
          (event) => event.kind === 'gap' || (event.hint.externalId === id && event.hint.deleted === deleted),
        );
      // A subscription takes a moment; whatever happens before it is the poller's.
      let id = externalId('');
      await eventually(
        async () => {
          if (events.length === 0) id = await person.create(sample(Math.floor(performance.now() * 10)));
          await systemClock.sleep(50);
          return hinted(id, false);
        },
        (seen) => seen,
      );
      expect(hinted(id, false)).toBe(true);
      await person.remove(id);
      await expect.poll(() => hinted(id, true), { timeout: 10_000 }).toBe(true);
      stop.abort();
      await reading;
    });
  });

  describe('ends', () => {
    test('an aborted signal stops a call before it is made, and a listing between its pages', async () => {
      const { spoke, object, fields } = current.harness;
      const ids = await createMany(current, traits.many);
      const gone = { lane: 'interactive', signal: AbortSignal.abort(new Error('stopped by test')) } as const;
      await expect(spoke.fetch(object, ids.slice(0, 1), fields, gone)).rejects.toThrow();
      await expect(collect(spoke.scan(object, fields, null, gone))).rejects.toThrow();
      const stop = new AbortController();
      const seen: Page[] = [];
      const reading = (async () => {
        for await (const page of spoke.scan(object, fields, null, { lane: 'backfill', signal: stop.signal })) {
          seen.push(page);
          stop.abort(new Error('stopped by test'));
        }
      })();
      if (traits.pagesMin > 1) await expect(reading).rejects.toThrow();
      else await reading;
      expect(seen).toHaveLength(1);
    });

    test('closing twice is fine, used or not', async () => {
      const { spoke } = current.harness;
      await spoke.identity();
      await spoke.close();
      await expect(spoke.close()).resolves.toBeUndefined();
    });
  });
}

async function createMany({ harness }: Current, count: number): Promise<readonly ExternalId[]> {
  if (count > 50) return harness.person.createAtOnce(Array.from({ length: count }, (_, n) => harness.sample(n)));
  const ids: ExternalId[] = [];
  for (let n = 0; n < count; n++) ids.push(await harness.person.create(harness.sample(n)));
  return ids;
}

const has = (seen: readonly RemoteRecord[], id: ExternalId): boolean => seen.some((record) => record.externalId === id);

/** The last sighting: pages come oldest first. */
const newest = (seen: readonly RemoteRecord[], id: ExternalId): RemoteRecord | undefined =>
  seen.findLast((record) => record.externalId === id);

function lastPoll(pages: readonly Page[]): readonly Page[] {
  const ends = pages.flatMap((page, index) => (page.last ? [index] : []));
  const start = ends.length < 2 ? 0 : (ends.at(-2) ?? -1) + 1;
  return pages.slice(start);
}
