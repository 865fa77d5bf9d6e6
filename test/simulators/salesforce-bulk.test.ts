// Bulk API 2.0 and composite requests of the simulated org, through the real jsforce and through plain fetch.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import jsforce from 'jsforce';
import { startSalesforce, type SalesforceSimulator } from '../../src/simulators/salesforce/server.js';

let sim: SalesforceSimulator;
let conn: InstanceType<typeof jsforce.Connection>;
let token: string;
const base = '/services/data/v60.0';

beforeAll(async () => {
  sim = await startSalesforce();
  token = sim.auth.openSession(sim.credentials.username) ?? '';
  conn = new jsforce.Connection({ instanceUrl: sim.url, accessToken: token, version: '60.0' });
  conn.bulk2.pollInterval = 5;
});

afterAll(() => sim.close());

async function call(
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: unknown; headers: Headers }> {
  const response = await fetch(`${sim.url}${base}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': typeof body === 'string' ? 'text/csv' : 'application/json',
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = (response.headers.get('content-type') ?? '').includes('json');
  return { status: response.status, body: isJson ? (JSON.parse(text) as unknown) : text, headers: response.headers };
}

async function untilDone(path: string): Promise<Record<string, unknown>> {
  for (let i = 0; i < 500; i += 1) {
    const { body } = await call('GET', path);
    const info = body as Record<string, unknown>;
    if (!['Open', 'UploadComplete', 'InProgress'].includes(String(info['state']))) return info;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`${path} did not end`);
}

describe('bulk ingest', () => {
  test('jsforce upserts, gets each row back as successful or failed, and the org holds the good ones', async () => {
    const input = [
      { Truespoke_Id__c: 'b1', LastName: 'One', Email: 'one@example.com' },
      { Truespoke_Id__c: 'b2', LastName: '', Email: 'two@example.com' },
      { Truespoke_Id__c: 'b3', LastName: 'Three, "quoted"\nand broken', Email: 'three@example.com' },
    ];
    const results = await conn.bulk2.loadAndWaitForResults({
      object: 'Contact',
      operation: 'upsert',
      externalIdFieldName: 'Truespoke_Id__c',
      input,
    });
    expect(results.successfulResults.map((row) => (row as Record<string, unknown>)['Truespoke_Id__c']).sort()).toEqual([
      'b1',
      'b3',
    ]);
    expect(results.failedResults).toMatchObject([
      { sf__Error: 'REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --' },
    ]);
    const found = await conn.query(
      "SELECT LastName FROM Contact WHERE Truespoke_Id__c IN ('b1','b3') ORDER BY Truespoke_Id__c",
    );
    expect(found.records.map((row) => row['LastName'])).toEqual(['One', 'Three, "quoted" and broken']);
  });

  test('F111 an empty cell changes nothing and #N/A clears the field', async () => {
    const [id = ''] = sim.load('Contact', [{ LastName: 'Keep', Phone: '1', Title: 'Boss' }]);
    const made = await call('POST', '/jobs/ingest', {
      object: 'Contact',
      operation: 'update',
      contentType: 'CSV',
      lineEnding: 'LF',
    });
    const path = `/jobs/ingest/${String((made.body as { id: string }).id)}`;
    expect((await call('PUT', `${path}/batches`, `Id,LastName,Phone,Title\n${id},,#N/A,Chief\n`)).status).toBe(201);
    expect((await call('PATCH', path, { state: 'UploadComplete' })).status).toBe(200);
    expect(await untilDone(path)).toMatchObject({
      state: 'JobComplete',
      numberRecordsProcessed: 1,
      numberRecordsFailed: 0,
    });
    expect(sim.org.row('Contact', id)).toMatchObject({ LastName: 'Keep', Phone: null, Title: 'Chief' });
  });

  test('an unknown column fails the whole operation and every row is unprocessed', async () => {
    const made = await call('POST', '/jobs/ingest', {
      object: 'Contact',
      operation: 'insert',
      contentType: 'CSV',
      lineEnding: 'LF',
    });
    const path = `/jobs/ingest/${String((made.body as { id: string }).id)}`;
    await call('PUT', `${path}/batches`, 'LastName,Nope\nA,1\n');
    await call('PATCH', path, { state: 'UploadComplete' });
    expect(await untilDone(path)).toMatchObject({
      state: 'Failed',
      errorMessage: 'InvalidBatch : Field name not found : Nope',
    });
    expect((await call('GET', `${path}/unprocessedrecords`)).body).toBe('"LastName","Nope"\n"A","1"\n');
  });

  test('10,000 rows go in, come out of a paged bulk query and a plain query, each quickly', async () => {
    const rows = Array.from({ length: 10_000 }, (_, i) => `Bulk ${String(i)},bulk${String(i)}`);
    const made = await call('POST', '/jobs/ingest', {
      object: 'Account',
      operation: 'upsert',
      externalIdFieldName: 'Truespoke_Id__c',
      contentType: 'CSV',
    });
    const path = `/jobs/ingest/${String((made.body as { id: string }).id)}`;
    await call('PUT', `${path}/batches`, `Name,Truespoke_Id__c\n${rows.join('\n')}\n`);
    await call('PATCH', path, { state: 'UploadComplete' });
    expect(await untilDone(path)).toMatchObject({
      state: 'JobComplete',
      numberRecordsProcessed: 10_000,
      numberRecordsFailed: 0,
    });

    const asked = await call('POST', '/jobs/query', {
      operation: 'query',
      query: 'SELECT Id, Name, SystemModstamp, Owner.Username FROM Account',
    });
    const queryPath = `/jobs/query/${String((asked.body as { id: string }).id)}`;
    await untilDone(queryPath);
    const seen = new Set<string>();
    let locator = '';
    const startedAt = performance.now();
    while (locator !== 'null') {
      const page = await call(
        'GET',
        `${queryPath}/results?maxRecords=4000${locator === '' ? '' : `&locator=${locator}`}`,
      );
      const lines = String(page.body).trimEnd().split('\n');
      expect(lines[0]).toBe('"Id","Name","SystemModstamp","Owner.Username"');
      expect(page.headers.get('sforce-numberofrecords')).toBe(String(lines.length - 1));
      for (const line of lines.slice(1)) seen.add(line.slice(1, 19));
      locator = page.headers.get('sforce-locator') ?? 'null';
    }
    expect(seen.size).toBe(10_000);
    expect(performance.now() - startedAt).toBeLessThan(3_000);

    const first = await call('GET', `/query?q=${encodeURIComponent('SELECT Id FROM Account')}`);
    expect(first.body).toMatchObject({ totalSize: 10_000, done: false });
    expect((first.body as { records: unknown[] }).records).toHaveLength(2_000);
    const all = await conn.query('SELECT Id FROM Account', { autoFetch: true, maxFetch: 20_000 });
    expect(new Set(all.records.map((row) => row.Id)).size).toBe(10_000);
  });
});

describe('composite', () => {
  test('later subrequests use the ids of earlier ones; all or none takes everything back', async () => {
    const compositeRequest = (status: string): unknown[] => [
      { method: 'POST', url: `${base}/sobjects/Account`, referenceId: 'acc', body: { Name: 'Composite' } },
      {
        method: 'POST',
        url: `${base}/sobjects/Order`,
        referenceId: 'ord',
        body: { AccountId: '@{acc.id}', EffectiveDate: '2026-01-01', Status: status },
      },
      { method: 'GET', url: `${base}/sobjects/Order/@{ord.id}?fields=AccountId`, referenceId: 'read' },
    ];
    const good = await call('POST', '/composite', { allOrNone: true, compositeRequest: compositeRequest('Draft') });
    const [acc, , read] = (good.body as { compositeResponse: { body: Record<string, unknown> }[] }).compositeResponse;
    expect(read?.body['AccountId']).toBe(acc?.body['id']);
    const before = sim.records('Account').length;
    const bad = await call('POST', '/composite', { allOrNone: true, compositeRequest: compositeRequest('Nonsense') });
    const statuses = (bad.body as { compositeResponse: { httpStatusCode: number }[] }).compositeResponse.map(
      (one) => one.httpStatusCode,
    );
    expect(statuses).toEqual([400, 400, 400]);
    expect(sim.records('Account')).toHaveLength(before);
  });

  test('batch runs each on its own; tree plants parents with children', async () => {
    const batch = await call('POST', '/composite/batch', {
      batchRequests: [
        { method: 'GET', url: 'v60.0/limits' },
        { method: 'GET', url: 'v60.0/sobjects/Nope' },
      ],
    });
    expect(batch.body).toMatchObject({ hasErrors: true, results: [{ statusCode: 200 }, { statusCode: 404 }] });
    const tree = await call('POST', '/composite/tree/Account', {
      records: [
        {
          attributes: { type: 'Account', referenceId: 'r1' },
          Name: 'Tree',
          Contacts: { records: [{ attributes: { type: 'Contact', referenceId: 'r2' }, LastName: 'Leaf' }] },
        },
      ],
    });
    expect(tree.status).toBe(201);
    const [account, contact] = (tree.body as { results: { id: string }[] }).results;
    expect(sim.org.row('Contact', contact?.id ?? '')?.['AccountId']).toBe(account?.id);
  });
});
