// Windows of incremental reading and a changing catalogue, against a scripted org whose clock the test moves.
import { afterEach, describe, expect, test } from 'vitest';
import { externalId, objectName } from '../../src/model/ids.js';
import {
  contactDescribe,
  fieldsOf,
  interactive,
  json,
  ordinary,
  row,
  scriptedSpoke,
  type scripted,
} from './salesforce-support.js';

const contact = objectName('Contact');
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
const script = (handle: Parameters<typeof scripted>[0]) => scriptedSpoke(closers, handle);

describe('windows of changes', () => {
  /** A server whose clock the test moves, and which keeps the windows it was asked for. */
  async function watched() {
    const state = {
      now: Date.parse('2026-01-01T12:00:00Z'),
      windows: [] as [string, string][],
      records: [] as object[],
    };
    const bench = await script((request, response) => {
      response.setHeader('date', new Date(state.now).toUTCString());
      if (ordinary(request, response, bench.server.url)) return;
      if (request.url.includes('/limits')) return json(response, 200, {});
      const window = /SystemModstamp > (\S+) AND SystemModstamp <= (\S+) /.exec(request.url);
      if (window !== null) state.windows.push([window[1] ?? '', window[2] ?? '']);
      json(response, 200, { totalSize: 0, done: true, records: state.records });
    });
    const { spoke } = bench;
    let at = await spoke.now(contact);
    const poll = async (): Promise<string[]> => {
      // Any call tells the time; the poll itself then works with it.
      await spoke.fetch(contact, [externalId('003000000000001AAA')], fieldsOf('LastName'), interactive);
      const seen: string[] = [];
      for await (const page of spoke.changes(contact, fieldsOf('LastName'), at, interactive)) {
        seen.push(...page.records.map((record) => record.externalId as string));
        at = page.cursor;
      }
      return seen;
    };
    const last = (): number[] => (state.windows.at(-1) ?? []).map((text) => Date.parse(text));
    return { state, poll, last };
  }

  test('F96 once a minute a sweep begins a whole overlap before the sweep before it; other polls look back ten seconds', async () => {
    const { state, poll, last } = await watched();
    await poll();
    const [from, until] = last();
    expect((until ?? 0) - (from ?? 0)).toBeGreaterThanOrEqual(15 * 60_000);
    state.now += 20_000;
    await poll();
    expect((until ?? 0) - (last()[0] ?? 0)).toBe(10_000);
    state.now += 45_000;
    await poll();
    expect((until ?? 0) - (last()[0] ?? 0)).toBe(15 * 60_000);
  });

  test('the window never ends before the watermark, and never after the clock of the org', async () => {
    const { state, poll, last } = await watched();
    await poll();
    const [, first] = last();
    state.now += 5_000;
    await poll();
    expect(last()[1]).toBeGreaterThanOrEqual(first ?? 0);
    expect(last()[1]).toBeLessThan(state.now + 1_000);
  });

  test('two edits within one stamp are both seen', async () => {
    const { state, poll } = await watched();
    const SystemModstamp = '2026-01-01T11:59:58.000+0000';
    state.records = [row(1, { SystemModstamp, LastName: 'first' })];
    expect(await poll()).toHaveLength(1);
    expect(await poll()).toHaveLength(0);
    state.records = [row(1, { SystemModstamp, LastName: 'second' })];
    expect(await poll()).toHaveLength(1);
  });
});

test('F78 a field that is no longer visible is asked for no more: absent, not null', async () => {
  let visible = true;
  const { spoke, server } = await script((request, response) => {
    if (request.url.endsWith('/describe') && !visible) {
      const fields = contactDescribe.fields.filter((one) => one.name !== 'LastName');
      return json(response, 200, { ...contactDescribe, fields });
    }
    if (ordinary(request, response, server.url)) return;
    if (!visible && request.url.includes('LastName'))
      return json(response, 400, [{ errorCode: 'INVALID_FIELD', message: "No such column 'LastName'" }]);
    const { LastName: _, ...rest } = row(1);
    json(response, 200, { totalSize: 1, done: true, records: [visible ? row(1) : rest] });
  });
  const read = () => spoke.fetch(contact, [externalId('003000000000001AAA')], fieldsOf('LastName'), interactive);
  expect((await read())[0]?.fields).toEqual({ LastName: 'N1' });
  visible = false;
  await expect(read()).rejects.toMatchObject({ code: 'catalogue_changed', recovery: 'retry' });
  expect((await read())[0]?.fields).toEqual({});
});
