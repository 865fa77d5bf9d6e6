// Bulk 2.0 through the connector: backfill by query jobs, large pushes by ingest jobs, and what a crash in between leaves behind.
// Proves: Law 5
import { afterEach, expect, test } from 'vitest';
import { Retriable } from '../../src/base/errors.js';
import type { Cursor } from '../../src/model/ids.js';
import { externalId, hubId, objectName } from '../../src/model/ids.js';
import { rowsOf } from '../../src/connectors/salesforce/bulk-query.js';
import { bulkError, csvOf } from '../../src/connectors/salesforce/bulk-write.js';
import { outgoing } from '../../src/connectors/salesforce/record.js';
import type { MemoryState } from './salesforce-support.js';
import {
  create,
  fieldsOf,
  interactive,
  openOrg,
  openSpoke,
  pagesOf,
  recordsOf,
  update,
  type OrgBench,
  type SpokeBench,
} from './salesforce-support.js';

const contact = objectName('Contact');
const backfill = { lane: 'backfill' } as const;
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function org(options: Parameters<typeof openOrg>[0] = {}): Promise<OrgBench> {
  const bench = await openOrg(options);
  closers.push(() => bench.close());
  return bench;
}

/** Another process of the same installation: same durable state, nothing else. */
async function another(bench: OrgBench, state: MemoryState = bench.state, config: object = {}): Promise<SpokeBench> {
  const { clientId, clientSecret } = bench.org.credentials;
  const made = await openSpoke(
    bench.org.url,
    { clientCredentials: { clientId, clientSecret } },
    { state, config: { ...config } },
  );
  closers.push(() => made.close());
  return made;
}

const routes = (bench: OrgBench, part: string): number =>
  Object.entries(bench.org.stats().byRoute).reduce(
    (sum, [route, count]) => sum + (route.includes(part) ? count : 0),
    0,
  );

const people = (count: number) =>
  Array.from({ length: count }, (_, n) => ({
    LastName: `Na"me, ${n}\nsecond line`,
    Email: n % 3 === 0 ? null : `p${n}@example.com`,
    DoNotCall: n % 2 === 0,
  }));

test('a large object is read by one bulk job, page by page, with the same values as by query', async () => {
  const bench = await org();
  const ids = bench.org.load('Contact', people(4_500));
  const fields = fieldsOf('LastName', 'Email', 'DoNotCall', 'CreatedDate', 'Account.Name');
  const pages = await pagesOf(bench.spoke.scan(contact, fields, null, backfill));
  const records = recordsOf(pages);
  expect(new Set(records.map((record) => record.externalId as string))).toEqual(new Set(ids));
  expect(pages.at(-1)).toMatchObject({ last: true, total: 4_500 });
  expect(pages.filter((page) => page.last)).toHaveLength(1);
  expect(routes(bench, 'POST /jobs/query')).toBe(1);
  const sample = records.slice(0, 50);
  const read = await bench.spoke.fetch(
    contact,
    sample.map((record) => record.externalId),
    fields,
    interactive,
  );
  const byId = new Map(read.map((record) => [record.externalId, record]));
  for (const record of sample) expect(record).toEqual(byId.get(record.externalId));
});

test('a small object is read by query, without a job', async () => {
  const bench = await org();
  bench.org.load('Contact', people(30));
  const pages = await pagesOf(bench.spoke.scan(contact, fieldsOf('LastName'), null, backfill));
  expect(recordsOf(pages)).toHaveLength(30);
  expect(pages).toMatchObject([{ last: true, total: 30 }]);
  expect(routes(bench, 'jobs/query')).toBe(0);
});

test('F18, F19 a backfill goes on in another process from any cursor, with the same job', async () => {
  const bench = await org();
  const ids = bench.org.load('Contact', people(4_500));
  const fields = fieldsOf('LastName');
  const cursors: Cursor[] = [];
  const seen: string[] = [];
  for await (const page of bench.spoke.scan(contact, fields, null, backfill)) {
    cursors.push(page.cursor);
    seen.push(...page.records.map((record) => record.externalId as string));
    if (seen.length >= 2_000) break;
  }
  const next = await another(bench);
  const rest = recordsOf(await pagesOf(next.spoke.scan(contact, fields, cursors.at(-1) ?? null, backfill)));
  expect(rest.length).toBe(2_500);
  expect(new Set([...seen, ...rest.map((record) => record.externalId as string)])).toEqual(new Set(ids));
  expect(routes(bench, 'POST /jobs/query')).toBe(1);
});

test('a lost bulk job means reading again from the start, never a gap', async () => {
  const bench = await org();
  bench.org.load('Contact', people(2_100));
  let first: Cursor | null = null;
  for await (const page of bench.spoke.scan(contact, fieldsOf('LastName'), null, backfill)) {
    first = page.cursor;
    break;
  }
  const lost = JSON.parse(String(first)) as { job: string };
  const dead = JSON.stringify({ ...lost, job: '750000000000999AAA' }) as Cursor;
  expect(recordsOf(await pagesOf(bench.spoke.scan(contact, fieldsOf('LastName'), dead, backfill)))).toHaveLength(2_100);
});

test('products are joined with their prices in a bulk backfill', async () => {
  const bench = await org({ config: { bulkScanFrom: 0 } });
  await bench.spoke.write(
    [1, 2, 3].map((n) =>
      create('Product2', `p${n}`, { Name: `P${n}`, ...(n === 3 ? {} : { 'PricebookEntry.UnitPrice': n }) }),
    ),
    interactive,
  );
  const fields = fieldsOf('Name', 'PricebookEntry.UnitPrice');
  const records = recordsOf(await pagesOf(bench.spoke.scan(objectName('Product2'), fields, null, backfill)));
  expect(
    records
      .map((record) => [record.fields['Name' as never], record.fields['PricebookEntry.UnitPrice' as never]])
      .sort(),
  ).toEqual([
    ['P1', 1],
    ['P2', 2],
    ['P3', null],
  ]);
  expect(routes(bench, 'POST /jobs/query')).toBe(1);
});

test('a page of results that was cut is an error, not a short page', async () => {
  const bench = await org({ config: { bulkScanFrom: 0 } });
  bench.org.load('Contact', people(20));
  bench.org.faults.put({ id: 'cut', route: 'results', kind: 'cut-body', times: 1 });
  await expect(pagesOf(bench.spoke.scan(contact, fieldsOf('LastName'), null, backfill))).rejects.toBeInstanceOf(
    Retriable,
  );
  expect(recordsOf(await pagesOf(bench.spoke.scan(contact, fieldsOf('LastName'), null, backfill)))).toHaveLength(20);
});

const many = (count: number, from = 0) =>
  Array.from({ length: count }, (_, n) =>
    create('Contact', `h${from + n}`, { LastName: `N${from + n}`, Email: n % 2 === 0 ? null : `e${n}@example.com` }),
  );

test('a large push is one bulk job; each record has its own outcome', async () => {
  const bench = await org({ config: { bulkWriteFrom: 300 } });
  bench.org.rules.validations.put({
    id: 'v',
    object: 'Contact',
    rejects: (row) => row['LastName'] === 'N7',
    message: 'not seven',
    field: 'LastName',
  });
  const results = await bench.spoke.write(many(350), interactive);
  expect(results.filter((result) => result.outcome === 'applied')).toHaveLength(349);
  expect(results[7]).toMatchObject({
    outcome: 'rejected',
    code: 'FIELD_CUSTOM_VALIDATION_EXCEPTION',
    recovery: 'park',
  });
  expect(results[8]).toMatchObject({ record: { hubKey: 'h8', fields: { LastName: 'N8', Email: null } } });
  expect(routes(bench, 'POST /jobs/ingest')).toBe(1);
  expect(bench.state.puts.map((put) => put.value !== null)).toEqual([true, false]);
});

test('F18 an upload that never came through applies nothing, is aborted, and may be sent again', async () => {
  const bench = await org({ config: { bulkWriteFrom: 300 } });
  await bench.spoke.describe([contact]);
  bench.org.faults.put({ id: 'lost', route: 'PUT .*ingest', kind: 'lost-response', times: 1 });
  await expect(bench.spoke.write(many(300), interactive)).rejects.toBeInstanceOf(Retriable);
  expect(bench.org.records('Contact')).toHaveLength(0);
  expect(bench.state.values.size).toBe(0);
  expect((await bench.spoke.write(many(300), interactive)).every((result) => result.outcome === 'applied')).toBe(true);
  expect(bench.org.records('Contact')).toHaveLength(300);
});

test('F19 a job that was under way at a crash is fetched by its saved id, and nothing is submitted twice', async () => {
  const bench = await org({ config: { bulkWriteFrom: 300, bulkDeadlineMinutes: 0.001 }, org: { bulkMs: 600 } });
  const results = await bench.spoke.write(many(300), interactive);
  expect(new Set(results.map((result) => result.outcome))).toEqual(new Set(['unknown']));
  expect(bench.state.values.size).toBe(1);
  const next = await another(bench, bench.state, { bulkWriteFrom: 300 });
  const again = await next.spoke.write(many(300), interactive);
  expect(again.every((result) => result.outcome === 'applied')).toBe(true);
  expect(routes(bench, 'POST /jobs/ingest')).toBe(1);
  expect(bench.org.ledger.entries({ object: 'Contact' })).toHaveLength(300);
  expect(bench.state.values.size).toBe(0);
});

test('F18 a job that was never started is abandoned by the next process; other records do not wait for it', async () => {
  const bench = await org({ config: { bulkWriteFrom: 300 } });
  await bench.spoke.describe([contact]);
  const crash = new Error('killed');
  bench.org.faults.put({ id: 'hang', route: 'PUT .*ingest', kind: 'hang' });
  const dying = new AbortController();
  bench.state.onPut = () => void setTimeout(() => dying.abort(crash), 50);
  await expect(bench.spoke.write(many(300), { lane: 'interactive', signal: dying.signal })).rejects.toBeInstanceOf(
    Retriable,
  );
  bench.org.faults.clear();
  const next = await another(bench, bench.state, { bulkWriteFrom: 300 });
  expect((await next.spoke.write(many(1, 900), interactive))[0]?.outcome).toBe('applied');
  expect((await next.spoke.write(many(2), interactive)).map((result) => result.outcome)).toEqual([
    'applied',
    'applied',
  ]);
  expect(bench.org.records('Contact')).toHaveLength(3);
  expect(bench.state.values.size).toBe(0);
});

test('in CSV absent, null and a value stay three things, and a JS Date cannot get there', () => {
  const prepared = (at: number, body: Record<string, string | null>) => ({
    at,
    write: update('Contact', '003000000000001AAA', {}),
    body,
    companion: null,
    parent: '',
  });
  expect(csvOf('update', [prepared(0, { A: 'x,"y"' }), prepared(1, { B: null })])).toBe(
    'Id,A,B\n003000000000001AAA,"x,""y""",\n003000000000001AAA,,#N/A\n',
  );
  expect(() => outgoing({ name: 'When__c', type: 'timestamp' } as never, new Date(0) as never)).toThrow(TypeError);
});

test('a cut CSV is no CSV', () => {
  expect(rowsOf('Id,Name\n1,"a\nb"\n2,')).toEqual([
    { Id: '1', Name: 'a\nb' },
    { Id: '2', Name: '' },
  ]);
  expect(rowsOf('Id,Name\n1,"a\nb')).toBeNull();
  expect(rowsOf('Id,Name\n1,a\n2')).toBeNull();
});

test('an error line of a bulk job says code, message and fields', () => {
  expect(bulkError('REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --')).toMatchObject({
    code: 'REQUIRED_FIELD_MISSING',
    message: 'Required fields are missing: [LastName]',
    fields: ['LastName'],
  });
  expect(bulkError('something odd')).toMatchObject({ code: 'UNKNOWN', message: 'something odd' });
});

test('a value that CSV cannot tell from null goes by collections', async () => {
  const bench = await org({ config: { bulkWriteFrom: 250 } });
  const writes = [...many(300), create('Contact', 'odd', { LastName: '#N/A' })];
  expect((await bench.spoke.write(writes, interactive)).every((result) => result.outcome === 'applied')).toBe(true);
  const [found] = await bench.spoke.find(
    contact,
    [{ by: 'hubId', hubId: hubId('odd') }],
    fieldsOf('LastName'),
    interactive,
  );
  expect(found?.[0]?.fields).toEqual({ LastName: '#N/A' });
  expect(externalId(found?.[0]?.externalId ?? '')).not.toBe('');
});
