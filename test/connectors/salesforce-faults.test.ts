// The Salesforce connector on bad days: each fault of the catalogue that concerns it, and each hazard of the client library.
// Proves: Law 5, Law 7, Invariant 1, Invariant 2, Invariant 7, Invariant 8
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { OutcomeUnknown, RateLimited, Retriable, SpokePaused } from '../../src/base/errors.js';
import { systemClock, type Clock } from '../../src/base/clock.js';
import { createLog } from '../../src/base/log.js';
import { seeded } from '../../src/base/random.js';
import { retryAfterMs } from '../../src/connectors/salesforce/errors.js';
import { externalId, hubId, objectName } from '../../src/model/ids.js';
import {
  answerToken,
  clientCredentials,
  create,
  fieldsOf,
  interactive,
  json,
  MemoryState,
  openOrg,
  openSpoke,
  remove,
  ordinary,
  row,
  rsaKey,
  scripted,
  scriptedSpoke,
  update,
  type OrgBench,
} from './salesforce-support.js';

const contact = objectName('Contact');
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function org(options: Parameters<typeof openOrg>[0] = {}): Promise<OrgBench> {
  const bench = await openOrg(options);
  closers.push(() => bench.close());
  return bench;
}

const script = (handle: Parameters<typeof scripted>[0]) => scriptedSpoke(closers, handle);

describe('lost and late answers', () => {
  test('F64 timeout after apply: the outcome is unknown, and the record is found by the key we left', async () => {
    const bench = await org();
    await bench.spoke.describe([contact]);
    bench.org.faults.put({ id: 'lost', route: '^POST .*composite/sobjects', kind: 'lost-response', times: 1 });
    const [result] = await bench.spoke.write([create('Contact', 'h1', { LastName: 'Once' })], interactive);
    expect(result?.outcome).toBe('unknown');
    const [found] = await bench.spoke.find(
      contact,
      [{ by: 'hubId', hubId: hubId('h1') }],
      fieldsOf('LastName'),
      interactive,
    );
    expect(found).toMatchObject([{ hubKey: 'h1', fields: { LastName: 'Once' } }]);
  });

  test('F65 applied late, after our read-back: the unique key refuses it, and it puts nothing old over what is newer', async () => {
    let arrive = (): void => undefined;
    const late = new Promise<void>((resolve) => {
      arrive = resolve;
    });
    const sleep: Clock['sleep'] = (ms, signal) => (ms === 30_000 ? late : systemClock.sleep(ms, signal));
    const bench = await org({ org: { clock: { ...systemClock, sleep } } });
    await bench.spoke.describe([contact]);
    bench.org.faults.put({ id: 'late', route: '^POST .*composite/sobjects', kind: 'late-apply', ms: 30_000, times: 1 });
    const put = async (LastName: string): Promise<unknown> =>
      (await bench.spoke.write([create('Contact', 'h1', { LastName })], interactive))[0]?.outcome;
    expect([await put('Older'), await put('Newer')]).toEqual(['unknown', 'applied']);
    arrive();
    // Answered after the late call has had its turn.
    await bench.spoke.find(contact, [{ by: 'hubId', hubId: hubId('h1') }], fieldsOf('LastName'), interactive);
    expect(bench.org.records('Contact')).toMatchObject([{ LastName: 'Newer' }]);
  });

  test('without a unique key nothing is created: it could not be repeated safely', async () => {
    const key = { name: 'Truespoke_Id__c', label: 'Truespoke Id', length: 64, externalId: true };
    const bench = await org({ org: { org: { customFields: { Contact: [key] } } } });
    await bench.spoke.describe([contact]);
    const [result] = await bench.spoke.write([create('Contact', 'h1', { LastName: 'A' })], interactive);
    expect(result).toMatchObject({ outcome: 'rejected', code: 'NO_EXTERNAL_ID_FIELD', recovery: 'park' });
    expect(bench.org.records('Contact')).toEqual([]);
  });

  test('F66 a body cut mid-way ends at once as unknown for a write and as retriable for a read', async () => {
    const bench = await org();
    await bench.spoke.describe([contact]);
    bench.org.faults.put({ id: 'cut', route: '^(POST .*composite/sobjects|GET .*query)', kind: 'cut-body' });
    expect((await bench.spoke.write([create('Contact', 'h1', { LastName: 'A' })], interactive))[0]?.outcome).toBe(
      'unknown',
    );
    await expect(
      bench.spoke.fetch(contact, [externalId('003000000000001AAA')], fieldsOf('LastName'), interactive),
    ).rejects.toBeInstanceOf(Retriable);
  });

  test('F67 200 with HTML or with broken JSON is a failure, never a string that looks like success', async () => {
    const bodies = [
      { type: 'text/html', body: '<html>Down for maintenance</html>' },
      { type: 'application/json', body: '[{"id":"003000000000001AAA","success":tr' },
    ];
    for (const { type, body } of bodies) {
      const { spoke, server } = await script((request, response) => {
        if (ordinary(request, response, server.url)) return;
        response.writeHead(200, { 'content-type': type });
        response.end(body);
      });
      expect((await spoke.write([create('Contact', 'h1', { LastName: 'A' })], interactive))[0]?.outcome).toBe(
        'unknown',
      );
      expect(
        (
          await spoke.write(
            [update('Contact', '003000000000001AAA', { LastName: 'A' }, '2026-01-01T00:00:00.000Z' as never)],
            interactive,
          )
        )[0]?.outcome,
      ).toBe('unknown');
      await expect(
        spoke.fetch(contact, [externalId('003000000000001AAA')], fieldsOf('LastName'), interactive),
      ).rejects.toBeInstanceOf(Retriable);
    }
  });

  test('F68 success:false inside a 200 is a refusal', async () => {
    const bench = await org();
    bench.org.rules.validations.put({
      id: 'v',
      object: 'Contact',
      rejects: (record) => record['LastName'] === 'Bad',
      message: 'not that one',
      field: 'LastName',
    });
    const results = await bench.spoke.write(
      [create('Contact', 'h1', { LastName: 'Bad' }), create('Contact', 'h2', { LastName: 'Good' })],
      interactive,
    );
    expect(results[0]).toMatchObject({
      outcome: 'rejected',
      code: 'FIELD_CUSTOM_VALIDATION_EXCEPTION',
      recovery: 'park',
      paths: ['LastName'],
      message: 'not that one',
    });
    expect(results[1]?.outcome).toBe('applied');
  });

  test('F69 after a first call that was applied, a refused connection leaves the rest unsent and says so', async () => {
    const bench = await org();
    await bench.spoke.describe([contact]);
    let calls = 0;
    const http = { route: '^POST .*composite/sobjects', kind: 'status' as const, status: 503 };
    const writes = Array.from({ length: 201 }, (_, n) => create('Contact', `h${n}`, { LastName: `N${n}` }));
    const watch = bench.limiter.run.bind(bench.limiter);
    bench.limiter.run = (request, call) => {
      calls += 1;
      if (calls === 2) bench.org.faults.put({ id: 'down', ...http });
      return watch(request, call);
    };
    const results = await bench.spoke.write(writes, interactive);
    expect(results.slice(0, 200).every((result) => result.outcome === 'applied')).toBe(true);
    expect(results[200]).toMatchObject({ outcome: 'throttled' });
  });

  test('F70 fewer or reordered results are matched by id, and what cannot be matched is unknown', async () => {
    const ids = [1, 2, 3].map((n) => `00300000000000${n}AAA`);
    let answers: unknown[] = [];
    const { spoke, server } = await script((request, response) => {
      if (ordinary(request, response, server.url)) return;
      if (request.url?.endsWith('/composite/sobjects') === true) return json(response, 200, answers);
      json(response, 200, { totalSize: 3, done: true, records: [row(1), row(2), row(3)] });
    });
    answers = [
      { id: ids[2], success: true, errors: [] },
      { id: ids[0], success: false, errors: [{ statusCode: 'UNABLE_TO_LOCK_ROW', message: 'locked', fields: [] }] },
    ];
    const results = await spoke.write(
      ids.map((id) => update('Contact', id, { LastName: 'X' })),
      interactive,
    );
    expect(results.map((result) => result.outcome)).toEqual(['rejected', 'unknown', 'applied']);
    expect(results[2]).toMatchObject({ externalId: ids[2] });
    answers = [2, 1].map((n) => ({ id: ids[n - 1], success: true, created: true, errors: [] }));
    const created = await spoke.write(
      [create('Contact', 'h1', { LastName: 'N1' }), create('Contact', 'h2', { LastName: 'N2' })],
      interactive,
    );
    expect(created).toMatchObject([
      { outcome: 'applied', externalId: ids[0] },
      { outcome: 'applied', externalId: ids[1] },
    ]);
  });

  test('F81 a byte-per-second body meets the total deadline', async () => {
    const bench = await org({ config: { requestDeadlineSeconds: 0.5 } });
    await bench.spoke.describe([contact]);
    bench.org.faults.put({ id: 'slow', route: '^GET .*query', kind: 'slow-body', ms: 100 });
    const start = performance.now();
    await expect(
      bench.spoke.fetch(contact, [externalId('003000000000001AAA')], fieldsOf('LastName'), interactive),
    ).rejects.toBeInstanceOf(Retriable);
    expect(performance.now() - start).toBeLessThan(3_000);
  });
});

describe('refusals', () => {
  test('F59 429 with Retry-After in seconds, as a date, garbage or absent waits as told', async () => {
    const now = Date.parse('2026-01-01T00:00:00Z');
    const random = seeded(1);
    const within = (header: string | undefined, low: number, high: number) => {
      const ms = retryAfterMs(header, now, random);
      expect(ms).toBeGreaterThanOrEqual(low);
      expect(ms).toBeLessThanOrEqual(high);
    };
    within('7', 7_000, 8_000);
    within('Thu, 01 Jan 2026 00:00:20 GMT', 20_000, 21_000);
    within('soon', 15_000, 30_000);
    within(undefined, 15_000, 30_000);
    within('99999999', 900_000, 901_000);
    const bench = await org();
    await bench.spoke.describe([contact]);
    bench.org.faults.put({ id: 'slow', route: 'query', kind: 'status', status: 429, retryAfter: 7, times: 1 });
    const refused = bench.spoke.fetch(contact, [externalId('003000000000001AAA')], fieldsOf('LastName'), interactive);
    await expect(refused).rejects.toBeInstanceOf(RateLimited);
    expect(bench.limiter.backOffs[0]?.ms).toBeGreaterThanOrEqual(7_000);
  });

  test('F61 the daily limit backs the spoke off and raises an alarm; the budget goes to the ledger', async () => {
    const lines: string[] = [];
    const log = createLog({ level: 'warn', destination: { write: (line: string) => void lines.push(line) } });
    const bench = await org({ log });
    await bench.spoke.describe([contact]);
    expect(bench.limiter.observed.at(-1)).toMatchObject({ limit: 100_000 });
    bench.org.setLimit({ max: 10, spent: 10 });
    await expect(bench.spoke.write([create('Contact', 'h1', { LastName: 'A' })], interactive)).rejects.toBeInstanceOf(
      RateLimited,
    );
    expect(bench.limiter.backOffs).toMatchObject([{ ms: 900_000, reason: 'REQUEST_LIMIT_EXCEEDED' }]);
    expect(lines.join()).toContain('REQUEST_LIMIT_EXCEEDED');
    expect(bench.org.records('Contact')).toHaveLength(0);
  });

  test('F62 503 is retriable for a write as well, because nothing was taken in', async () => {
    const bench = await org();
    await bench.spoke.describe([contact]);
    bench.org.faults.put({ id: 'down', route: 'composite', kind: 'status', status: 503, times: 1 });
    await expect(bench.spoke.write([create('Contact', 'h1', { LastName: 'A' })], interactive)).rejects.toBeInstanceOf(
      Retriable,
    );
    expect(bench.org.records('Contact')).toHaveLength(0);
  });

  test('F63 a refused connection is retriable, and nothing was sent', async () => {
    const { spoke, server } = await script((request, response) => {
      response.setHeader('connection', 'close');
      ordinary(request, response, server.url);
    });
    await spoke.describe([contact]);
    await server.close();
    const refused = spoke.write([create('Contact', 'h1', { LastName: 'A' })], interactive);
    await expect(refused).rejects.toMatchObject({ code: 'unreachable' });
    await expect(refused).rejects.toBeInstanceOf(Retriable);
  });

  test('F72 UNABLE_TO_LOCK_ROW is to be tried again, and records of one parent travel together', async () => {
    const bench = await org();
    const accounts = bench.org.load('Account', [{ Name: 'A' }, { Name: 'B' }]);
    bench.org.rules.locks.put({ id: 'lock', object: 'Contact', times: 1 });
    const writes = Array.from({ length: 6 }, (_, n) =>
      create('Contact', `h${n}`, { LastName: `N${n}`, AccountId: accounts[n % 2] ?? '' }),
    );
    const results = await bench.spoke.write(writes, interactive);
    expect(results.filter((result) => result.outcome === 'applied')).toHaveLength(5);
    expect(results.find((result) => result.outcome === 'rejected')).toMatchObject({
      code: 'UNABLE_TO_LOCK_ROW',
      recovery: 'retry',
    });
    const order = bench.org.ledger
      .entries({ object: 'Contact', op: 'create' })
      .map((entry) => (entry.after as Record<string, unknown>)['AccountId']);
    expect(order).toEqual([...order].sort());
  });

  test('F82 a key that fits many records goes to a person, with the records named', async () => {
    const { spoke, server } = await script((request, response) => {
      if (ordinary(request, response, server.url)) return;
      json(response, 200, [
        {
          success: false,
          errors: [
            {
              statusCode: 'DUPLICATE_EXTERNAL_ID',
              message:
                'Truespoke_Id__c: more than one record found for external id field: [00300000000AbC1, 00300000000AbC2]',
              fields: ['Truespoke_Id__c'],
            },
          ],
        },
      ]);
    });
    const [result] = await spoke.write([create('Contact', 'h1', { LastName: 'A' })], interactive);
    expect(result).toMatchObject({ outcome: 'rejected', recovery: 'duplicate' });
    expect(result?.outcome === 'rejected' ? result.existing : []).toHaveLength(2);
  });

  test('F83 two creates of one key: one wins, the other is told which record it met, and changes nothing', async () => {
    const bench = await org();
    await bench.spoke.describe([contact]);
    const results = await Promise.all(
      ['A', 'B'].map((name) => bench.spoke.write([create('Contact', 'h1', { LastName: name })], interactive)),
    );
    const [record] = bench.org.records('Contact');
    const outcomes = results.flat().map((result) => result.outcome);
    expect([...outcomes].sort()).toEqual(['applied', 'rejected']);
    expect(record?.['LastName']).toBe(outcomes[0] === 'applied' ? 'A' : 'B');
    expect(results.flat().find((result) => result.outcome === 'rejected')).toMatchObject({
      recovery: 'duplicate',
      existing: [record?.['Id']],
    });
    expect(bench.org.records('Contact')).toHaveLength(1);
  });

  test('a duplicate rule is told apart from other refusals', async () => {
    const bench = await org();
    bench.org.load('Contact', [{ LastName: 'A', Email: 'a@example.com' }]);
    bench.org.rules.duplicates.put({ id: 'd', object: 'Contact', fields: ['Email'] });
    const [result] = await bench.spoke.write(
      [create('Contact', 'h1', { LastName: 'A', Email: 'A@example.com' })],
      interactive,
    );
    expect(result).toMatchObject({ outcome: 'rejected', recovery: 'duplicate' });
  });

  test('F80 a redirect to another host is refused, and the token goes nowhere', async () => {
    const thief = await scripted((_request, response) => json(response, 200, { sobjects: [] }));
    closers.push(() => thief.close());
    const { spoke, server } = await script((request, response) => {
      if (answerToken(request, response, server.url)) return;
      response.writeHead(302, { location: `${thief.url}/services/data/v62.0/sobjects` });
      response.end();
    });
    await expect(spoke.describe([contact])).rejects.toMatchObject({ code: 'redirected' });
    expect(thief.seen).toEqual([]);
  });

  test('a login that points to a foreign host is refused before the token is used', async () => {
    const { spoke, server } = await script(
      (request, response) => void answerToken(request, response, 'http://169.254.169.254'),
    );
    await expect(spoke.describe([contact])).rejects.toMatchObject({ code: 'instance_not_trusted' });
    expect(server.seen).toHaveLength(1);
  });
});

describe('sessions', () => {
  test('F76 an endless 401 with a working refresh ends after two tries', async () => {
    const { spoke, server } = await script((request, response) => {
      if (!answerToken(request, response, server.url))
        json(response, 401, [{ errorCode: 'INVALID_SESSION_ID', message: 'Session expired or invalid' }]);
    });
    await expect(spoke.describe([contact])).rejects.toMatchObject({ recovery: 'pause', code: 'reauthorise' });
    expect(server.seen.filter((request) => request.url.endsWith('/sobjects'))).toHaveLength(2);
    expect(server.seen.filter((request) => request.url.includes('/oauth2/token'))).toHaveLength(2);
  });

  test('an expired token is renewed once for all calls under way, and each call succeeds', async () => {
    const bench = await org();
    await bench.spoke.describe([contact]);
    bench.org.auth.revokeAll('access');
    const before = bench.org.stats().byRoute;
    const ids = [externalId('003000000000001AAA')];
    await Promise.all(
      Array.from({ length: 8 }, () => bench.spoke.fetch(contact, ids, fieldsOf('LastName'), interactive)),
    );
    const tokens = (routes: Readonly<Record<string, number>>) =>
      Object.entries(routes).reduce((sum, [route, count]) => sum + (route.includes('oauth2/token') ? count : 0), 0);
    expect(tokens(bench.org.stats().byRoute) - tokens(before)).toBe(1);
  });

  test('JWT bearer logs in with a signed assertion', async () => {
    const key = rsaKey();
    const bench = await org({ org: { auth: { publicKey: key.publicKey } } });
    const { clientId, username } = bench.org.credentials;
    const second = await openSpoke(bench.org.url, { jwt: { clientId, username, privateKey: key.privateKey } });
    closers.push(() => second.close());
    expect((await second.spoke.identity()).user).toMatch(/^005/);
  });

  test('F21 a rotated refresh token is stored before the access token is used; one that was lost pauses with reauthorise', async () => {
    const bench = await org({ org: { auth: { rotateRefreshTokens: true } } });
    const { clientId, clientSecret, refreshToken } = bench.org.credentials;
    const auth = { refreshToken: { clientId, clientSecret, refreshToken } };
    const state = new MemoryState();
    const second = await openSpoke(bench.org.url, auth, { state });
    closers.push(() => second.close());
    let usedBefore = 0;
    state.onPut = () =>
      void (usedBefore = Object.entries(bench.org.stats().byRoute).filter(
        ([route]) => !route.includes('oauth2'),
      ).length);
    await second.spoke.identity();
    expect(usedBefore).toBe(0);
    expect(state.puts).toHaveLength(1);
    expect(state.puts[0]?.value).not.toContain(refreshToken);

    const third = await openSpoke(bench.org.url, auth, { state });
    closers.push(() => third.close());
    expect((await third.spoke.identity()).user).toMatch(/^005/);

    const crashed = await openSpoke(bench.org.url, auth, { state: new MemoryState() });
    closers.push(() => crashed.close());
    await expect(crashed.spoke.identity()).rejects.toMatchObject({ code: 'reauthorise', recovery: 'pause' });
  });

  test('F77 a wrong credential pauses with one clear message that quotes no secret', async () => {
    const bench = await org();
    const wrong = await openSpoke(bench.org.url, {
      clientCredentials: { clientId: bench.org.credentials.clientId, clientSecret: 'canary-secret' },
    });
    closers.push(() => wrong.close());
    const error = await wrong.spoke.identity().then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(SpokePaused);
    expect(JSON.stringify([error, String(error), (error as SpokePaused).hint])).not.toContain('canary-secret');
  });
});

describe('hazards of the client library', () => {
  test('a body that never ends is cut off by the deadline', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', () =>
        socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"access'),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const bench = await openSpoke(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, clientCredentials, {
      config: { requestDeadlineSeconds: 0.3 },
    });
    closers.push(
      () => new Promise((resolve) => server.close(() => resolve())),
      () => bench.close(),
    );
    await expect(bench.spoke.identity()).rejects.toBeInstanceOf(Retriable);
  });

  test('no call is repeated behind our back: a lost answer costs exactly one request, whatever the method', async () => {
    const { spoke, server } = await script((request, response) => {
      if (ordinary(request, response, server.url)) return;
      response.destroy();
    });
    await spoke.describe([contact]);
    const before = server.seen.length;
    const [deleted] = await spoke.write([remove('Contact', '003000000000001AAA')], interactive);
    expect(deleted?.outcome).toBe('unknown');
    expect(server.seen.length - before).toBe(1);
    await expect(
      spoke.fetch(contact, [externalId('003000000000001AAA')], fieldsOf('LastName'), interactive),
    ).rejects.toBeInstanceOf(Retriable);
    expect(server.seen.length - before).toBe(2);
  });

  test('DELETE answered ENTITY_IS_DELETED is success', async () => {
    const { spoke, server } = await script((request, response) => {
      if (ordinary(request, response, server.url)) return;
      if (request.method !== 'DELETE') return json(response, 200, { totalSize: 0, done: true, records: [] });
      json(response, 200, [
        {
          id: '003000000000001AAA',
          success: false,
          errors: [{ statusCode: 'ENTITY_IS_DELETED', message: 'entity is deleted', fields: [] }],
        },
      ]);
    });
    expect((await spoke.write([remove('Contact', '003000000000001AAA')], interactive))[0]?.outcome).toBe('applied');
  });

  test('500 to a write is unknown, to a read retriable', async () => {
    const { spoke, server } = await script((request, response) => {
      if (!ordinary(request, response, server.url))
        json(response, 500, [{ errorCode: 'UNKNOWN_EXCEPTION', message: 'oops' }]);
    });
    expect((await spoke.write([create('Contact', 'h1', { LastName: 'A' })], interactive))[0]?.outcome).toBe('unknown');
    const read = spoke.fetch(contact, [externalId('003000000000001AAA')], fieldsOf('LastName'), interactive);
    await expect(read).rejects.toBeInstanceOf(Retriable);
    await expect(read).rejects.not.toBeInstanceOf(OutcomeUnknown);
  });

  test('F95 a remote whose > acts as >= neither loops nor shows a record twice', async () => {
    const rows = Array.from({ length: 4_100 }, (_, n) => ({
      ...row(1),
      Id: `003${String(n).padStart(12, '0')}AAA`,
      LastName: `N${n}`,
    }));
    const { spoke, server } = await script((request, response) => {
      if (ordinary(request, response, server.url)) return;
      if (request.url.includes('/limits')) return json(response, 200, {});
      const after = /Id > '(\w+)'/.exec(request.url)?.[1] ?? '';
      json(response, 200, { totalSize: 1, done: true, records: rows.filter((one) => one.Id >= after).slice(0, 2_000) });
    });
    const seen: string[] = [];
    for await (const page of spoke.changes(contact, fieldsOf('LastName'), await spoke.now(contact), interactive))
      seen.push(...page.records.map((record) => record.externalId));
    expect(seen).toHaveLength(4_100);
    expect(new Set(seen).size).toBe(4_100);
  });
});
