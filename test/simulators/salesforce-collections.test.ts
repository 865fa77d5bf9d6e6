// Collections, conditional reads and duplicate rules of the simulated org on the wire.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startSalesforce, type SalesforceSimulator } from '../../src/simulators/salesforce/server.js';

let sim: SalesforceSimulator;
let token: string;

beforeEach(async () => {
  sim = await startSalesforce();
  token = sim.auth.openSession(sim.credentials.username) ?? '';
});

afterEach(() => sim.close());

async function call(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${sim.url}/services/data/v60.0${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? null : (JSON.parse(text) as unknown) };
}

const contact = (fields: Record<string, unknown>): Record<string, unknown> => ({
  attributes: { type: 'Contact' },
  ...fields,
});

describe('collections', () => {
  test('F69 a partial batch keeps the good records; all or none keeps nothing', async () => {
    const records = [contact({ LastName: 'Good' }), contact({ FirstName: 'Bad' })];
    const partial = await call('POST', '/composite/sobjects', { allOrNone: false, records });
    expect(partial.body).toMatchObject([{ success: true }, { success: false }]);
    const whole = await call('POST', '/composite/sobjects', { allOrNone: true, records });
    expect(whole.body).toMatchObject([
      { errors: [{ statusCode: 'ALL_OR_NONE_OPERATION_ROLLED_BACK' }] },
      { errors: [{ statusCode: 'REQUIRED_FIELD_MISSING' }] },
    ]);
    expect(sim.records('Contact').map((row) => row['LastName'])).toEqual(['Good']);
    expect(sim.ledger.entries({ object: 'Contact' })).toHaveLength(1);
  });

  test('F71 one record twice in a call is refused the second time', async () => {
    const record = { ...contact({ LastName: 'Twin' }), Truespoke_Id__c: 'twin' };
    const upsert = await call('PATCH', '/composite/sobjects/Contact/Truespoke_Id__c', { records: [record, record] });
    expect(upsert.body).toMatchObject([
      { success: true, created: true },
      { success: false, errors: [{ statusCode: 'DUPLICATE_VALUE' }] },
    ]);
  });

  test('a body of the wrong type refuses the call and keeps nothing', async () => {
    const answer = await call('POST', '/composite/sobjects', {
      records: [contact({ LastName: 'Fine' }), contact({ LastName: 5 })],
    });
    expect(answer).toMatchObject({ status: 400, body: [{ errorCode: 'JSON_PARSER_ERROR' }] });
    expect(sim.records('Contact')).toEqual([]);
  });

  test('more than 200 records are refused', async () => {
    const records = Array.from({ length: 201 }, (_, i) => contact({ LastName: String(i) }));
    expect((await call('POST', '/composite/sobjects', { records })).body).toMatchObject([
      { errorCode: 'EXCEEDED_ID_LIMIT' },
    ]);
  });

  test('retrieve answers in the order asked for, null where there is nothing; delete answers for each id', async () => {
    const [a = '', b = ''] = sim.load('Contact', [{ LastName: 'A' }, { LastName: 'B' }]);
    const read = await call('POST', '/composite/sobjects/Contact', {
      ids: [b, '003000000000000AAA', a],
      fields: ['LastName'],
    });
    expect(read.body).toMatchObject([{ LastName: 'B' }, null, { LastName: 'A' }]);
    await sim.edit({ op: 'delete', object: 'Contact', id: a });
    const gone = await call('DELETE', `/composite/sobjects?ids=${a},${b}&allOrNone=false`);
    expect(gone.body).toMatchObject([
      { success: false, errors: [{ statusCode: 'ENTITY_IS_DELETED' }] },
      { id: b, success: true },
    ]);
  });

  test('F70 answers can be made to lack a result or to come back to front', async () => {
    const records = ['One', 'Two', 'Three'].map((LastName) => contact({ LastName }));
    const insert = async (): Promise<string[]> => {
      const { body } = await call('POST', '/composite/sobjects', { records });
      return (body as { id: string }[]).map(({ id }) => String(sim.org.row('Contact', id)?.['LastName']));
    };
    sim.faults.put({ id: 'f', route: 'POST /composite/sobjects', kind: 'reorder' });
    expect(await insert()).toEqual(['Three', 'Two', 'One']);
    sim.faults.put({ id: 'f', route: 'POST /composite/sobjects', kind: 'fewer' });
    expect(await insert()).toEqual(['One', 'Two']);
    expect(sim.records('Contact')).toHaveLength(6);
  });
});

describe('single records', () => {
  test('If-Modified-Since answers 304 for what has not changed', async () => {
    const [id = ''] = sim.load('Contact', [{ LastName: 'Calm', LastModifiedDate: '2026-01-01T00:00:00Z' }]);
    const read = (since: string): Promise<{ status: number }> =>
      call('GET', `/sobjects/Contact/${id}?fields=LastName`, undefined, { 'if-modified-since': since });
    expect((await read('Fri, 02 Jan 2026 00:00:00 GMT')).status).toBe(304);
    expect((await read('Wed, 31 Dec 2025 00:00:00 GMT')).status).toBe(200);
  });

  test('a duplicate rule refuses, unless the call allows duplicates', async () => {
    sim.rules.duplicates.put({ id: 'd', object: 'Contact', fields: ['Email'] });
    sim.load('Contact', [{ LastName: 'First', Email: 'same@example.com' }]);
    const body = { LastName: 'Second', Email: 'SAME@example.com' };
    expect((await call('POST', '/sobjects/Contact', body)).body).toMatchObject([{ errorCode: 'DUPLICATES_DETECTED' }]);
    expect(
      (await call('POST', '/sobjects/Contact', body, { 'sforce-duplicate-rule-header': 'allowSave=true' })).status,
    ).toBe(201);
  });

  test('stamps are whole seconds unless the org is told otherwise', async () => {
    const [id = ''] = sim.load('Account', [{ Name: 'A' }]);
    expect(sim.org.row('Account', id)?.['SystemModstamp']).toMatch(/T\d\d:\d\d:\d\d\.000\+0000$/);
    const fine = await startSalesforce({
      org: { stampPrecision: 'ms' },
      clock: { now: () => 1_700_000_000_123, monotonic: () => 0, sleep: () => Promise.resolve() },
    });
    const [other = ''] = fine.load('Account', [{ Name: 'A' }]);
    expect(fine.org.row('Account', other)?.['SystemModstamp']).toBe('2023-11-14T22:13:20.123+0000');
    await fine.close();
  });

  test('a URI beyond 16 KB is refused, as the platform does', async () => {
    const ids = Array.from({ length: 900 }, () => "'003000000000000AAA'").join(',');
    expect(
      (await call('GET', `/query?q=${encodeURIComponent(`SELECT Id FROM Contact WHERE Id IN (${ids})`)}`)).status,
    ).toBe(414);
  });
});
