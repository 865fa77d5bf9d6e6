// The simulated org through the real jsforce: what a client that we did not write sees.
import { createSign } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import jsforce from 'jsforce';
import { startSalesforce, type SalesforceSimulator } from '../../src/simulators/salesforce/server.js';

let sim: SalesforceSimulator;
let conn: InstanceType<typeof jsforce.Connection>;

beforeAll(async () => {
  sim = await startSalesforce();
  const token = sim.auth.openSession(sim.credentials.username) ?? '';
  conn = new jsforce.Connection({ instanceUrl: sim.url, accessToken: token, version: '60.0' });
});

afterAll(() => sim.close());

function assertion(claims: Record<string, unknown>): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const head = `${part({ alg: 'RS256' })}.${part(claims)}`;
  return `${head}.${createSign('RSA-SHA256').update(head).sign(sim.credentials.privateKey, 'base64url')}`;
}

describe('logging in', () => {
  test('a JWT bearer assertion gives a session for its user', async () => {
    const { clientId, username } = sim.credentials;
    const claims = { iss: clientId, sub: username, aud: sim.url, exp: Math.floor(Date.now() / 1000) + 120 };
    const jwt = new jsforce.Connection({ loginUrl: sim.url, instanceUrl: sim.url });
    await jwt.authorize({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: assertion(claims) });
    const identity = await jwt.identity();
    expect(identity.username).toBe(username);
    expect(identity.organization_id).toBe(sim.org.orgId);
  });

  test('an assertion signed by another key, for another audience or too late is refused', async () => {
    const { clientId, username } = sim.credentials;
    const good = { iss: clientId, sub: username, aud: sim.url, exp: Math.floor(Date.now() / 1000) + 120 };
    const ask = async (jwt: string): Promise<{ status: number; error: string }> => {
      const body = new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: jwt });
      const response = await fetch(`${sim.url}/services/oauth2/token`, { method: 'POST', body });
      const answer = (await response.json()) as { error_description: string };
      return { status: response.status, error: answer.error_description };
    };
    const signed = assertion(good);
    expect(await ask(`${signed.slice(0, -8)}AAAAAAAA`)).toEqual({ status: 400, error: 'invalid assertion' });
    expect(await ask(assertion({ ...good, aud: 'https://elsewhere.example' }))).toEqual({
      status: 400,
      error: 'audience is invalid',
    });
    expect((await ask(assertion({ ...good, exp: 1 }))).status).toBe(400);
  });
});

describe('records', () => {
  test('create, read, update and delete one record, each in the ledger under the integration user', async () => {
    const from = sim.ledger.lastSeq;
    const made = await conn
      .sobject('Contact')
      .create({ LastName: ' Lovelace ', FirstName: 'Ada', Email: 'ada@example.com', Phone: '' });
    const id = made.id ?? '';
    expect(id).toMatch(/^003[0-9A-Za-z]{15}$/);
    const row = await conn.sobject('Contact').retrieve(id);
    expect(row).toMatchObject({ Id: id, Name: 'Ada Lovelace', LastName: 'Lovelace', Phone: null });
    await conn.sobject('Contact').update({ Id: id, Tier__c: 'free' });
    expect((await conn.sobject('Contact').retrieve(id))['Tier__c']).toBe('Free');
    await conn.sobject('Contact').destroy(id);
    await expect(conn.sobject('Contact').destroy(id)).rejects.toMatchObject({ errorCode: 'ENTITY_IS_DELETED' });
    const entries = sim.ledger.entries({ id, after: from });
    expect(entries.map((entry) => [entry.op, entry.actor])).toEqual(
      ['create', 'update', 'delete'].map((op) => [op, sim.credentials.username]),
    );
  });

  test('upsert by external id creates once, then updates, in collections too', async () => {
    const first = await conn.sobject('Account').upsert({ Truespoke_Id__c: 'k1', Name: 'Acme' }, 'Truespoke_Id__c');
    const again = await conn.sobject('Account').upsert({ Truespoke_Id__c: 'K1', Name: 'Acme Ltd' }, 'Truespoke_Id__c');
    expect(first).toMatchObject({ success: true, created: true });
    expect(again).toMatchObject({ success: true, created: false, id: first.id });
    const many = await conn
      .sobject('Account')
      .upsert(
        [
          { Truespoke_Id__c: 'k1', Name: 'Acme AG' },
          { Truespoke_Id__c: 'k2', Name: 'Best' },
          { Truespoke_Id__c: 'k3' },
        ],
        'Truespoke_Id__c',
      );
    expect(many.map((one) => one.success)).toEqual([true, true, false]);
    expect(many[2]).toMatchObject({ errors: [{ statusCode: 'REQUIRED_FIELD_MISSING', fields: ['Name'] }] });
  });

  test('describe tells what a field is', async () => {
    const described = await conn.describe('Contact');
    const field = (name: string): unknown => described.fields.find((one) => one.name === name);
    expect(field('LastName')).toMatchObject({ type: 'string', length: 80, nillable: false, createable: true });
    expect(field('Truespoke_Id__c')).toMatchObject({ externalId: true, unique: true, idLookup: true });
    expect(field('AccountId')).toMatchObject({
      type: 'reference',
      referenceTo: ['Account'],
      relationshipName: 'Account',
    });
    expect(field('Name')).toMatchObject({ createable: false, updateable: false, nameField: true });
  });
});

describe('other doors', () => {
  test('SOAP login and password grant open sessions; a wrong password does not', async () => {
    const { username, password, clientId, clientSecret } = sim.credentials;
    const soap = new jsforce.Connection({ loginUrl: sim.url, version: '60.0' });
    const user = await soap.login(username, password);
    expect(user.organizationId).toBe(sim.org.orgId);
    expect((await soap.query('SELECT Id FROM Organization')).totalSize).toBe(1);
    await expect(new jsforce.Connection({ loginUrl: sim.url }).login(username, 'wrong')).rejects.toThrow(
      /INVALID_LOGIN/,
    );
    const oauth2 = { loginUrl: sim.url, clientId, clientSecret, redirectUri: 'http://localhost' };
    const granted = new jsforce.Connection({ oauth2 });
    await granted.login(username, password);
    expect((await granted.limits())['DailyApiRequests']?.Max).toBe(100_000);
  });

  test('client credentials need the right secret', async () => {
    const { clientId, clientSecret } = sim.credentials;
    const grant = (secret: string): Promise<unknown> =>
      new jsforce.Connection({
        instanceUrl: sim.url,
        oauth2: { loginUrl: sim.url, clientId, clientSecret: secret },
      }).authorize({
        grant_type: 'client_credentials',
      });
    await expect(grant(clientSecret)).resolves.toBeDefined();
    await expect(grant('guess')).rejects.toThrow(/invalid client credentials/);
  });

  test('undelete and merge through SOAP', async () => {
    const [master = '', loser = ''] = sim.load('Contact', [{ LastName: 'M' }, { LastName: 'L' }]);
    await conn.sobject('Contact').destroy(loser);
    const [revived] = [await conn.soap.undelete([loser])].flat();
    expect(revived).toMatchObject({ success: true });
    await conn.soap.merge({ masterRecord: { type: 'Contact', Id: master }, recordToMergeIds: [loser] });
    expect(sim.org.row('Contact', loser)).toMatchObject({ IsDeleted: true, MasterRecordId: master });
  });

  test('what was updated and deleted in a span of time is listed', async () => {
    const { id } = await sim.edit({ op: 'create', object: 'Account', fields: { Name: 'Span' } });
    await sim.edit({ op: 'delete', object: 'Account', id });
    const now = Date.now();
    const span = [new Date(now - 3_600_000).toISOString(), new Date(now + 3_600_000).toISOString()] as const;
    expect((await conn.sobject('Account').deleted(...span)).deletedRecords.map((one) => one.id)).toContain(id);
    expect((await conn.sobject('Account').updated(...span)).ids).not.toContain(id);
  });

  test('bulk query through jsforce', async () => {
    const records = await (await conn.bulk2.query('SELECT Id, Username FROM User', { pollInterval: 5 })).toArray();
    expect(records.length).toBeGreaterThan(1);
  });

  test('F79 versions that retired answer 410, ones to come 404', async () => {
    const headers = { authorization: `Bearer ${conn.accessToken ?? ''}` };
    expect((await fetch(`${sim.url}/services/data/v20.0/limits`, { headers })).status).toBe(410);
    expect((await fetch(`${sim.url}/services/data/v99.0/limits`, { headers })).status).toBe(404);
    const versions = (await (await fetch(`${sim.url}/services/data`)).json()) as { version: string }[];
    expect(versions.map((one) => one.version)).toContain('60.0');
  });
});
