// SOQL and the rules of standard objects in the simulated org, in process: meaning and refusals.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startSalesforce, type SalesforceSimulator } from '../../src/simulators/salesforce/server.js';
import { ApiError } from '../../src/simulators/salesforce/errors.js';
import { runQuery } from '../../src/simulators/salesforce/soql.js';

let sim: SalesforceSimulator;
let accounts: readonly string[];
let contacts: readonly string[];

beforeAll(async () => {
  sim = await startSalesforce();
  accounts = sim.load('Account', [
    { Name: 'alpha' },
    { Name: 'Beta', NumberOfEmployees: 5 },
    { Name: "O'Hara \\ 50%", NumberOfEmployees: 7 },
  ]);
  contacts = sim.load('Contact', [
    { LastName: 'Adams', Email: 'A@x.example', AccountId: accounts[0], LastModifiedDate: '2026-01-01T00:00:00Z' },
    { LastName: 'Brown', Email: 'b@x.example', AccountId: accounts[0], LastModifiedDate: '2026-01-02T00:00:00Z' },
    { LastName: 'Clark', Email: 'c@x.example', AccountId: accounts[1], LastModifiedDate: '2026-01-02T00:00:00Z' },
    { LastName: 'Davis', LastModifiedDate: '2026-01-03T00:00:00Z' },
  ]);
});

afterAll(() => sim.close());

function rows(text: string): Record<string, unknown>[] {
  const result = runQuery(sim.org, text, { all: false, version: '60.0' });
  return (result.made ?? result.rows.map(result.record)) as Record<string, unknown>[];
}

const names = (where: string): unknown[] =>
  rows(`SELECT LastName FROM Contact WHERE ${where} ORDER BY LastName`).map((row) => row['LastName']);

function refusal(text: string): string {
  try {
    rows(text);
  } catch (error) {
    if (error instanceof ApiError) return error.errorCode;
    throw error;
  }
  return 'accepted';
}

describe('conditions', () => {
  test.each([
    ["Email = 'a@X.EXAMPLE'", ['Adams']],
    ["Email != 'a@x.example'", ['Brown', 'Clark', 'Davis']],
    ['Email = null', ['Davis']],
    ["Email != null AND NOT (LastName = 'Brown')", ['Adams', 'Clark']],
    ["LastName LIKE '_r%'", ['Brown']],
    ["LastName IN ('adams','DAVIS')", ['Adams', 'Davis']],
    ["Email NOT IN ('a@x.example','b@x.example')", ['Clark', 'Davis']],
    ["Account.Name = 'ALPHA' OR LastName > 'D'", ['Adams', 'Brown', 'Davis']],
    ['AccountId IN (SELECT Id FROM Account WHERE NumberOfEmployees >= 5)', ['Clark']],
    ['SystemModstamp > 2026-01-01T00:00:00Z AND SystemModstamp <= 2026-01-02T01:00:00+01:00', ['Brown', 'Clark']],
    ["(LastName = 'Adams' OR LastName = 'Brown') AND Email LIKE 'b%'", ['Brown']],
    ['LastModifiedDate < LAST_N_DAYS:1', ['Adams', 'Brown', 'Clark', 'Davis']],
  ])('%s', (where, expected) => {
    expect(names(where)).toEqual(expected);
  });

  test('a keyset over (SystemModstamp, Id) neither skips nor repeats where stamps are equal (F94)', () => {
    const seen: unknown[] = [];
    let after = '';
    for (let i = 0; i < 10; i += 1) {
      const [row] = rows(`SELECT Id, SystemModstamp FROM Contact ${after} ORDER BY SystemModstamp, Id LIMIT 1`);
      if (row === undefined) break;
      seen.push(row['Id']);
      const stamp = String(row['SystemModstamp']).replace('+0000', 'Z');
      after = `WHERE SystemModstamp > ${stamp} OR (SystemModstamp = ${stamp} AND Id > '${String(row['Id'])}')`;
    }
    expect(seen).toEqual(contacts);
  });

  test('quotes, backslashes and wildcards in values are values when escaped (F128)', () => {
    const found = (where: string): number => rows(`SELECT Id FROM Account WHERE ${where}`).length;
    expect(found(String.raw`Name = 'O\'Hara \\ 50%'`)).toBe(1);
    expect(found(String.raw`Name LIKE '%50\%'`)).toBe(1);
    expect(found(String.raw`Name LIKE '%5\_%'`)).toBe(0);
  });

  test('ids compare in their 15-character form too', () => {
    expect(rows(`SELECT Id FROM Contact WHERE Id = '${contacts[0]?.slice(0, 15) ?? ''}'`)).toHaveLength(1);
  });
});

describe('shapes', () => {
  test('parents nest, children come as a result of their own or as null', () => {
    const [alpha, , hara] = rows(
      'SELECT Name, Owner.Username, (SELECT LastName FROM Contacts ORDER BY LastName DESC LIMIT 1) FROM Account ORDER BY Name',
    );
    expect(alpha).toMatchObject({
      attributes: { type: 'Account', url: `/services/data/v60.0/sobjects/Account/${accounts[0] ?? ''}` },
      Owner: { attributes: { type: 'User' } },
      Contacts: { totalSize: 1, done: true, records: [{ LastName: 'Brown' }] },
    });
    expect(hara?.['Contacts']).toBeNull();
  });

  test('aggregates group, count and name their columns', () => {
    const grouped = rows(
      'SELECT AccountId, COUNT(Id), MAX(LastName) newest FROM Contact GROUP BY AccountId HAVING COUNT(Id) > 1',
    );
    expect(grouped).toEqual([
      { attributes: { type: 'AggregateResult' }, AccountId: accounts[0], expr0: 2, newest: 'Brown' },
    ]);
    expect(runQuery(sim.org, 'SELECT COUNT() FROM Contact', { all: false, version: '60.0' }).count).toBe(4);
  });

  test('nulls come first unless told otherwise', () => {
    expect(rows('SELECT Email FROM Contact ORDER BY Email')[0]?.['Email']).toBeNull();
    expect(rows('SELECT Email FROM Contact ORDER BY Email DESC NULLS LAST')[0]?.['Email']).toBe('c@x.example');
  });
});

describe('refusals', () => {
  test.each([
    ['SELECT Nope FROM Contact', 'INVALID_FIELD'],
    ['SELECT Id FROM Nope', 'INVALID_TYPE'],
    ['SELECT Id FROM Contact WHERE', 'MALFORMED_QUERY'],
    ["SELECT Id FROM Contact WHERE LastName = 'a' AND Email = 'b' OR Phone = 'c'", 'MALFORMED_QUERY'],
    ["SELECT Id FROM Contact WHERE SystemModstamp > '2026-01-01T00:00:00Z'", 'INVALID_FIELD'],
    ['SELECT Id FROM Contact WHERE LastName = 5', 'INVALID_FIELD'],
    ["SELECT Id FROM Contact WHERE Id = 'nonsense'", 'INVALID_QUERY_FILTER_OPERATOR'],
    ['SELECT Id, (SELECT Id FROM Nopes) FROM Account', 'INVALID_TYPE'],
    ['SELECT Id FROM Contact LIMIT 1 OFFSET 2001', 'NUMBER_OUTSIDE_VALID_RANGE'],
    ['SELECT Id, Id FROM Contact', 'INVALID_FIELD'],
  ])('%s', (text, code) => {
    expect(refusal(text)).toBe(code);
  });
});

describe('values', () => {
  test.each([
    [{ LastName: 'x'.repeat(81) }, 'STRING_TOO_LONG'],
    [{ LastName: 'x', Email: 'nobody' }, 'INVALID_EMAIL_ADDRESS'],
    [{ LastName: 'x', Tier__c: 'Gold' }, 'INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST'],
    [{ LastName: 'x', AccountId: '001000000000000' }, 'INVALID_CROSS_REFERENCE_KEY'],
    [{ LastName: 'x', AccountId: 'zzz' }, 'MALFORMED_ID'],
    [{ LastName: 'x', Nope__c: 1 }, 'INVALID_FIELD'],
    [{ LastName: 'x', Name: 'y' }, 'INVALID_FIELD_FOR_INSERT_UPDATE'],
    [{ LastName: 7 }, 'JSON_PARSER_ERROR'],
    [{ LastName: '  ' }, 'REQUIRED_FIELD_MISSING'],
    [{ LastName: 'x', Birthdate: '2026-02-30' }, 'JSON_PARSER_ERROR'],
  ])('%j is refused as %s', async (fields, code) => {
    await expect(sim.edit({ op: 'create', object: 'Contact', fields })).rejects.toMatchObject({ errorCode: code });
  });

  test('a parent can be named by its external id', async () => {
    await sim.edit({ op: 'update', object: 'Account', id: accounts[1], fields: { Truespoke_Id__c: 'beta-key' } });
    const { id } = await sim.edit({
      op: 'create',
      object: 'Contact',
      fields: { LastName: 'Child', Account: { Truespoke_Id__c: 'BETA-KEY' } },
    });
    expect(sim.org.row('Contact', id)?.['AccountId']).toBe(accounts[1]);
    await sim.purge('Contact', id);
  });
});

describe('price books and orders', () => {
  test('entries, orders and lines obey the platform, totals roll up and move only SystemModstamp', async () => {
    const create = async (object: string, fields: Record<string, unknown>): Promise<string> =>
      (await sim.edit({ op: 'create', object, fields })).id;
    const book = sim.org.standardPricebookId;
    const product = await create('Product2', { Name: 'Chair', ProductCode: 'C-1', IsActive: true });
    const custom = await create('Pricebook2', { Name: 'Partners', IsActive: true });
    const early = create('PricebookEntry', { Product2Id: product, Pricebook2Id: custom, UnitPrice: 9, IsActive: true });
    await expect(early).rejects.toMatchObject({ errorCode: 'STANDARD_PRICE_NOT_DEFINED' });
    const entry = await create('PricebookEntry', {
      Product2Id: product,
      Pricebook2Id: book,
      UnitPrice: 10.005,
      IsActive: true,
    });
    expect(sim.org.row('PricebookEntry', entry)).toMatchObject({ Name: 'Chair', ProductCode: 'C-1', UnitPrice: 10.01 });
    const twice = create('PricebookEntry', { Product2Id: product, Pricebook2Id: book, UnitPrice: 11 });
    await expect(twice).rejects.toMatchObject({ errorCode: 'DUPLICATE_VALUE' });

    const bare = await create('Order', { AccountId: accounts[0], EffectiveDate: '2026-01-05', Status: 'Draft' });
    const lost = create('OrderItem', { OrderId: bare, PricebookEntryId: entry, Quantity: 1, UnitPrice: 10 });
    await expect(lost).rejects.toMatchObject({ errorCode: 'FIELD_INTEGRITY_EXCEPTION' });
    const order = await create('Order', {
      AccountId: accounts[0],
      EffectiveDate: '2026-01-05',
      Status: 'Draft',
      Pricebook2Id: book,
    });
    const line = await create('OrderItem', { OrderId: order, PricebookEntryId: entry, Quantity: 3, UnitPrice: 9.99 });
    expect(sim.org.row('OrderItem', line)).toMatchObject({ Product2Id: product, ListPrice: 10.01, TotalPrice: 29.97 });
    expect(sim.org.row('Order', order)).toMatchObject({ TotalAmount: 29.97, StatusCode: 'Draft' });
    expect(sim.org.row('Order', order)?.['OrderNumber']).toMatch(/^\d{8}$/);

    const update = (fields: Record<string, unknown>): Promise<unknown> =>
      sim.edit({ op: 'update', object: 'Order', id: order, fields });
    await expect(update({ Pricebook2Id: custom })).rejects.toMatchObject({ errorCode: 'FIELD_INTEGRITY_EXCEPTION' });
    await update({ Status: 'Activated' });
    await expect(sim.edit({ op: 'delete', object: 'Order', id: order })).rejects.toMatchObject({
      errorCode: 'DELETE_FAILED',
    });
    await expect(sim.edit({ op: 'delete', object: 'Product2', id: product })).rejects.toMatchObject({
      errorCode: 'DELETE_FAILED',
    });
    await expect(sim.edit({ op: 'delete', object: 'Account', id: accounts[0] })).rejects.toMatchObject({
      errorCode: 'DELETE_FAILED',
    });
    await update({ Status: 'Draft' });
    await sim.edit({ op: 'delete', object: 'Order', id: order });
    expect(sim.org.row('OrderItem', line)?.['IsDeleted']).toBe(true);
  });
});
