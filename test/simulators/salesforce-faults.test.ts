// The faults and oddities of the simulated org, each proven on the wire with plain fetch and node:http.
import { request as httpRequest } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../src/base/clock.js';
import { startSalesforce, type SalesforceSimulator } from '../../src/simulators/salesforce/server.js';

let sim: SalesforceSimulator;
let token: string;
let clock: ManualClock;
const base = '/services/data/v60.0';

/** Time stands still until told; sleepers wake when it passes them. */
class ManualClock implements Clock {
  private at = Date.parse('2026-03-01T10:00:00.250Z');
  private sleepers: { readonly until: number; readonly wake: () => void }[] = [];
  now(): number {
    return this.at;
  }
  monotonic(): number {
    return this.at;
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms <= 0 || signal?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      this.sleepers.push({ until: this.at + ms, wake: resolve });
      signal?.addEventListener('abort', () => resolve(), { once: true });
    });
  }
  advance(ms: number): void {
    this.at += ms;
    const due = this.sleepers.filter((sleeper) => sleeper.until <= this.at);
    this.sleepers = this.sleepers.filter((sleeper) => sleeper.until > this.at);
    for (const { wake } of due) wake();
  }
  get sleeping(): number {
    return this.sleepers.length;
  }
}

beforeEach(async () => {
  clock = new ManualClock();
  sim = await startSalesforce({ clock });
  token = sim.auth.openSession(sim.credentials.username) ?? '';
});

afterEach(() => sim.close());

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: unknown;
}

async function call(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`${sim.url}${base}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = text !== '' && (response.headers.get('content-type') ?? '').includes('json');
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: isJson ? (JSON.parse(text) as unknown) : null,
  };
}

const soql = (text: string): Promise<Answer> => call('GET', `/query?q=${encodeURIComponent(text)}`);

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 10_000; i += 1) {
    if (condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error('condition was never true');
}

describe('on the wire', () => {
  test('F64 a lost response is applied all the same', async () => {
    sim.faults.put({ id: 'lost', route: 'POST /sobjects/Account', kind: 'lost-response', times: 1 });
    await expect(call('POST', '/sobjects/Account', { Name: 'Ghost' })).rejects.toThrow();
    expect(sim.records('Account').map((row) => row['Name'])).toEqual(['Ghost']);
    expect((await call('POST', '/sobjects/Account', { Name: 'Second' })).status).toBe(201);
  });

  test('F63 a refused call is not applied', async () => {
    sim.faults.put({ id: 'no', route: 'POST /sobjects/Account', kind: 'refuse' });
    await expect(call('POST', '/sobjects/Account', { Name: 'Never' })).rejects.toThrow();
    expect(sim.records('Account')).toEqual([]);
  });

  test('F65 a call applied late shows up after its socket has died', async () => {
    sim.faults.put({ id: 'late', route: 'POST /sobjects/Account', kind: 'late-apply', ms: 30_000 });
    await expect(call('POST', '/sobjects/Account', { Name: 'Late' })).rejects.toThrow();
    await until(() => clock.sleeping > 0);
    expect(sim.records('Account')).toEqual([]);
    clock.advance(30_000);
    await until(() => sim.records('Account').length === 1);
  });

  test('F66 a cut body announces more than it sends', async () => {
    sim.load('Account', [{ Name: 'Cut' }]);
    sim.faults.put({ id: 'cut', route: 'GET /query', kind: 'cut-body' });
    const got = await new Promise<{ announced: number; received: number; complete: boolean }>((resolve, reject) => {
      const url = `${sim.url}${base}/query?q=${encodeURIComponent('SELECT Id, Name FROM Account')}`;
      const request = httpRequest(url, { headers: { authorization: `Bearer ${token}` } }, (response) => {
        let received = 0;
        response.on('data', (part: Buffer) => (received += part.length));
        response.on('error', () => undefined);
        response.on('close', () =>
          resolve({ announced: Number(response.headers['content-length']), received, complete: response.complete }),
        );
      });
      request.on('error', reject);
      request.end();
    });
    expect(got.received).toBeGreaterThan(0);
    expect(got.received).toBeLessThan(got.announced);
    expect(got.complete).toBe(false);
  });

  test("F59 F62 F67 a status with Retry-After, the API's own limit answer, and HTML with 200", async () => {
    sim.faults.put({ id: 'a', route: 'GET /limits', kind: 'status', status: 503, retryAfter: 'soon' });
    const down = await call('GET', '/limits');
    expect([down.status, down.headers.get('retry-after')]).toEqual([503, 'soon']);
    sim.faults.put({ id: 'a', route: 'GET /limits', kind: 'throttle' });
    expect((await call('GET', '/limits')).body).toMatchObject([{ errorCode: 'REQUEST_LIMIT_EXCEEDED' }]);
    sim.faults.put({ id: 'a', route: 'GET /limits', kind: 'html' });
    const page = await call('GET', '/limits');
    expect([page.status, page.text.startsWith('<!DOCTYPE html>')]).toEqual([200, true]);
  });

  test('a rule draws from its own seed, strikes as often as it may, and counts', async () => {
    const run = async (seed: number): Promise<string> => {
      sim.faults.put({ id: 'p', route: 'GET /limits', kind: 'status', probability: 0.5, seed });
      const statuses: number[] = [];
      for (let i = 0; i < 12; i += 1) statuses.push((await call('GET', '/limits')).status);
      return statuses.join();
    };
    const first = await run(7);
    expect(await run(7)).toBe(first);
    expect(new Set(first.split(','))).toEqual(new Set(['200', '503']));
    expect(sim.faults.list()).toMatchObject([{ id: 'p', struck: first.split('503').length - 1 }]);
  });
});

describe('sessions and budget', () => {
  test('F76 a revoked or expired session answers 401 INVALID_SESSION_ID', async () => {
    sim.auth.revokeAll('access');
    expect(await call('GET', '/limits')).toMatchObject({ status: 401, body: [{ errorCode: 'INVALID_SESSION_ID' }] });
    token = sim.auth.openSession(sim.credentials.username) ?? '';
    expect((await call('GET', '/limits')).status).toBe(200);
    clock.advance(7_200_000);
    expect((await call('GET', '/limits')).status).toBe(401);
  });

  test('F21 with rotation each refresh token works once', async () => {
    sim.auth.set({ rotateRefreshTokens: true });
    const refresh = async (refreshToken: string): Promise<{ refresh_token?: string; error?: string }> => {
      const body = new URLSearchParams({
        grant_type: 'refresh_token',
        refresh_token: refreshToken,
        client_id: sim.credentials.clientId,
      });
      return (await (await fetch(`${sim.url}/services/oauth2/token`, { method: 'POST', body })).json()) as {
        refresh_token?: string;
        error?: string;
      };
    };
    const next = (await refresh(sim.credentials.refreshToken)).refresh_token ?? '';
    expect(next).not.toBe('');
    expect(await refresh(sim.credentials.refreshToken)).toMatchObject({ error: 'invalid_grant' });
    expect((await refresh(next)).refresh_token).not.toBe(next);
  });

  test('F61 every answer shows the budget; when it is spent calls are refused', async () => {
    sim.setLimit({ max: 100, spent: 98 });
    expect((await call('GET', '/limits')).headers.get('sforce-limit-info')).toBe('api-usage=99/100');
    await call('GET', '/limits');
    expect(await call('GET', '/limits')).toMatchObject({
      status: 403,
      body: [{ errorCode: 'REQUEST_LIMIT_EXCEEDED' }],
    });
    clock.advance(86_400_000);
    token = sim.auth.openSession(sim.credentials.username) ?? '';
    expect((await call('GET', '/limits')).status).toBe(200);
  });
});

describe('records that behave oddly', () => {
  test('a conditional PATCH compares whole seconds and refuses with 412', async () => {
    const { id } = await sim.edit({ op: 'create', object: 'Contact', fields: { LastName: 'Then' } });
    const since = new Date(clock.now()).toUTCString();
    const patch = (phone: string): Promise<Answer> =>
      call('PATCH', `/sobjects/Contact/${id}`, { Phone: phone }, { 'if-unmodified-since': since });
    expect((await patch('1')).status).toBe(204);
    clock.advance(1_000);
    await sim.edit({ op: 'update', object: 'Contact', id, fields: { Phone: '2' } });
    expect((await patch('3')).status).toBe(412);
    expect(sim.org.row('Contact', id)?.['Phone']).toBe('2');
  });

  test('F96 a late commit shows a stamp older than its appearance, and keeps its record locked', async () => {
    const { id } = await sim.edit({ op: 'create', object: 'Account', fields: { Name: 'Before' } });
    sim.rules.lateCommits.put({ id: 'slow', object: 'Account', ms: 60_000, times: 1 });
    const edit = sim.edit({ op: 'update', object: 'Account', id, fields: { Name: 'After' } });
    const started = new Date(clock.now()).toISOString().slice(0, 19);
    await until(() => clock.sleeping > 0);
    clock.advance(30_000);
    expect((await soql('SELECT Name FROM Account')).body).toMatchObject({ records: [{ Name: 'Before' }] });
    expect((await call('PATCH', `/sobjects/Account/${id}`, { Name: 'Other' })).body).toMatchObject([
      { errorCode: 'UNABLE_TO_LOCK_ROW' },
    ]);
    clock.advance(30_000);
    await edit;
    const after = await soql('SELECT Name, SystemModstamp FROM Account');
    expect(after.body).toMatchObject({ records: [{ Name: 'After', SystemModstamp: `${started}.000+0000` }] });
  });

  test('F98 a stale read shows the record as it was, then catches up', async () => {
    const { id } = await sim.edit({ op: 'create', object: 'Account', fields: { Name: 'Old' } });
    sim.rules.staleReads.put({ id: 'lag', object: 'Account', ms: 5_000 });
    clock.advance(10_000);
    await call('PATCH', `/sobjects/Account/${id}`, { Name: 'New' });
    const name = async (): Promise<unknown> => (await soql('SELECT Name FROM Account')).body;
    expect(await name()).toMatchObject({ records: [{ Name: 'Old' }] });
    clock.advance(5_000);
    expect(await name()).toMatchObject({ records: [{ Name: 'New' }] });
  });

  test('F72 F73 F74 a lock strikes some records, a validation rule refuses, a trigger rewrites', async () => {
    sim.rules.locks.put({ id: 'l', object: 'Contact', times: 1 });
    sim.rules.validations.put({
      id: 'v',
      object: 'Contact',
      rejects: (row) => row['Title'] === 'King',
      message: 'No kings.',
      field: 'Title',
    });
    sim.rules.triggers.put({
      id: 't',
      object: 'Contact',
      rewrite: (row) => (row['Phone'] === '4155550100' ? { Phone: '(415) 555-0100' } : {}),
    });
    const records = ['First', 'Second', 'Third'].map((LastName, i) => ({
      attributes: { type: 'Contact' },
      LastName,
      Phone: '4155550100',
      Title: i === 1 ? 'King' : 'Queen',
    }));
    const answer = await call('POST', '/composite/sobjects', { allOrNone: false, records });
    expect(answer.body).toMatchObject([
      { success: false, errors: [{ statusCode: 'UNABLE_TO_LOCK_ROW' }] },
      {
        success: false,
        errors: [{ statusCode: 'FIELD_CUSTOM_VALIDATION_EXCEPTION', message: 'No kings.', fields: ['Title'] }],
      },
      { success: true },
    ]);
    expect(sim.records('Contact')).toMatchObject([{ LastName: 'Third', Phone: '(415) 555-0100' }]);
  });

  test('F82 an external id held by many answers 300 with their addresses', async () => {
    await sim.close();
    sim = await startSalesforce({
      clock,
      org: { customFields: { Contact: [{ name: 'Legacy__c', externalId: true }] } },
    });
    token = sim.auth.openSession(sim.credentials.username) ?? '';
    const ids = sim.load('Contact', [
      { LastName: 'A', Legacy__c: 'same' },
      { LastName: 'B', Legacy__c: 'SAME' },
    ]);
    const answer = await call('PATCH', '/sobjects/Contact/Legacy__c/same', { LastName: 'C' });
    expect(answer).toMatchObject({ status: 300, body: ids.map((id) => `${base}/sobjects/Contact/${id}`) });
  });

  test('F84 F103 F104 deleting twice, undelete, merge', async () => {
    const [parent = ''] = sim.load('Account', [{ Name: 'Parent' }]);
    const [master = '', loser = ''] = sim.load('Contact', [
      { LastName: 'Master' },
      { LastName: 'Loser', AccountId: parent },
    ]);
    expect((await call('DELETE', `/sobjects/Account/${parent}`)).status).toBe(204);
    expect(await call('DELETE', `/sobjects/Account/${parent}`)).toMatchObject({
      status: 404,
      body: [{ errorCode: 'ENTITY_IS_DELETED' }],
    });
    expect(sim.org.row('Contact', loser)?.['IsDeleted']).toBe(true);
    await sim.edit({ op: 'undelete', object: 'Account', id: parent });
    expect(sim.org.row('Contact', loser)?.['IsDeleted']).toBe(false);
    await sim.merge('Contact', master, loser);
    const all = await call(
      'GET',
      `/queryAll?q=${encodeURIComponent('SELECT Id, IsDeleted, MasterRecordId FROM Contact ORDER BY Id')}`,
    );
    expect(all.body).toMatchObject({
      records: [
        { Id: master, IsDeleted: false },
        { Id: loser, IsDeleted: true, MasterRecordId: master },
      ],
    });
    await sim.purge('Contact', loser);
    expect(sim.org.row('Contact', loser)).toBeUndefined();
  });

  test('damage changes a value without a stamp, an event or a change of author', async () => {
    const [id = ''] = sim.load('Account', [{ Name: 'Right' }]);
    const before = sim.org.row('Account', id);
    clock.advance(60_000);
    sim.org.damage('Account', id, { Name: 'Wrong' });
    expect(sim.org.row('Account', id)).toEqual({ ...before, Name: 'Wrong' });
    expect(sim.ledger.entries({ id })).toMatchObject([{ actor: 'damage', op: 'update' }]);
  });
});

describe('the control endpoint', () => {
  const control = async (method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> => {
    const response = await fetch(`${sim.url}/__control/${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? null : (JSON.parse(text) as unknown) };
  };

  test('loads without ledger noise, edits as a person, counts calls, switches faults and rules', async () => {
    const loaded = await control('POST', 'load', { object: 'Account', rows: [{ Name: 'Seed' }] });
    const [id = ''] = (loaded.body as { ids: string[] }).ids;
    expect((await control('GET', 'ledger')).body).toEqual([]);
    await control('POST', 'edit', { op: 'update', object: 'Account', id, fields: { Name: 'Edited' }, actor: 'grace' });
    expect((await control('GET', `ledger?object=Account&id=${id}`)).body).toMatchObject([
      { seq: 1, actor: 'grace', op: 'update', before: { Name: 'Seed' }, after: { Name: 'Edited' } },
    ]);
    await control('DELETE', 'stats');
    await soql('SELECT Id FROM Account');
    expect((await control('GET', 'stats')).body).toMatchObject({
      total: 1,
      byRoute: { 'GET /query': 1 },
      byOutcome: { '2xx': 1 },
    });
    expect((await control('PUT', 'faults', { id: 'x', route: '(', kind: 'status' })).status).toBe(400);
    await control('PUT', 'faults', [{ id: 'x', route: 'GET /query', kind: 'status', status: 500 }]);
    expect((await soql('SELECT Id FROM Account')).status).toBe(500);
    await control('DELETE', 'faults/x');
    expect((await soql('SELECT Id FROM Account')).status).toBe(200);
    await control('POST', 'rules/validation', {
      id: 'v',
      object: 'Account',
      when: { field: 'Name', is: 'matches', value: '^bad' },
      message: 'bad name',
    });
    expect((await call('PATCH', `/sobjects/Account/${id}`, { Name: 'badly' })).body).toMatchObject([
      { message: 'bad name' },
    ]);
    expect((await control('GET', 'records/Account')).body).toMatchObject([{ Id: id, Name: 'Edited' }]);
    expect((await control('POST', 'nonsense', {})).status).toBe(404);
  });

  test('a request that names another host is refused', async () => {
    const status = await new Promise<number>((resolve, reject) => {
      const request = httpRequest(`${sim.url}/__control/ledger`, { headers: { host: 'evil.example' } }, (response) =>
        resolve(response.statusCode ?? 0),
      );
      request.on('error', reject);
      request.end();
    });
    expect(status).toBe(403);
  });
});
