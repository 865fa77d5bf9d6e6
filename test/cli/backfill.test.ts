// Owns the promises of `backfill`, `parked` and `conflicts`: progress and a result, what was set aside and trying it again.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startSalesforce, type SalesforceSimulator } from '../../src/simulators/salesforce/server.js';
import { startShopify, type ShopifySimulator } from '../../src/simulators/shopify/server.js';
import { entityName, spokeName } from '../../src/model/ids.js';
import { insertConflicts } from '../../src/store/conflicts.js';
import { park, type Park } from '../../src/store/parked.js';
import { transaction } from '../../src/store/pool.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';
import { truespoke, withStarter, withProject } from './support.js';

describe('backfill', () => {
  let database: TestDatabase;
  let salesforce: SalesforceSimulator;
  let shopify: ShopifySimulator;

  beforeAll(async () => {
    [database, salesforce, shopify] = await Promise.all([testDatabase(), startSalesforce(), startShopify()]);
    salesforce.load('Account', [{ Name: 'Online Store' }]);
    salesforce.load('Contact', [{ LastName: 'Lovelace', Email: 'ada@example.com' }]);
    shopify.load('Customer', [
      { lastName: 'Lovelace', email: 'ada@example.com' },
      { lastName: 'Hopper', email: 'grace@example.com' },
    ]);
  });
  afterAll(async () => {
    await Promise.all([database.drop(), salesforce.close(), shopify.close()]);
  });

  test(
    'reads both, links what is the same, sends what one lacks, and ends; again it has nothing left to do',
    () =>
      withStarter({ hubUrl: database.url, salesforce, shopify }, async (cwd, env) => {
        const { code, out, err } = await truespoke(['backfill', '--all', '--json'], { cwd, env });
        expect(code).toBe(0);
        expect(err).toMatch(/^shopify Customer +done +2(  |$)/m);
        const result = JSON.parse(out) as { spokes: { name: string; state: string; links: number }[] };
        expect(result.spokes.map(({ name, state }) => [name, state])).toEqual([
          ['salesforce', 'live'],
          ['shopify', 'live'],
        ]);
        expect(
          salesforce
            .records('Contact')
            .map((row) => row['Email'])
            .sort(),
        ).toEqual(['ada@example.com', 'grace@example.com']);
        const writes = salesforce.ledger.entries().length;
        expect((await truespoke(['backfill', 'salesforce'], { cwd, env })).code).toBe(0);
        expect(salesforce.ledger.entries().length).toBe(writes);
      }),
    60_000,
  );
});

describe('what was set aside', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await testDatabase();
  });
  afterAll(() => database.drop());

  const entry: Park = {
    direction: 'out',
    spoke: spokeName('store'),
    entity: entityName('widget'),
    key: 'hub-1',
    state: 'open',
    code: 'too_long',
    message: 'label is too long',
    field: 'label',
    payload: { record: 'canary-value' },
    waitsFor: null,
    deadlineMs: null,
  };

  test('parked records are listed with their reason and without their values, and replayed through the ordinary doors', () =>
    withProject(database.url, async (cwd, env) => {
      await truespoke(['migrate'], { cwd, env });
      const inward: Park = { ...entry, direction: 'in', key: 'W-9', code: 'bad_value' };
      const foreign: Park = { ...inward, entity: entityName('gone'), key: 'G-1' };
      await transaction(database.pool, (tx) => park(tx, [entry, inward, foreign], 1_700_000_000_000));
      const listed = await truespoke(['parked'], { cwd, env });
      expect(listed.out).toMatch(/store +widget +hub-1 .*too_long \(label\): label is too long/);
      expect(listed.out).not.toContain('canary-value');

      const { code, out } = await truespoke(['parked', 'replay', '--all', '--json'], { cwd, env });
      expect([code, JSON.parse(out)]).toEqual([1, { replayed: ['1', '2'], left: ['3'], missing: [] }]);
      const { rows: deliveries } = await database.pool.query('select spoke, hub_id, state from truespoke.delivery');
      expect(deliveries).toEqual([{ spoke: 'store', hub_id: 'hub-1', state: 'pending' }]);
      const { rows: hints } = await database.pool.query('select object, external_id from truespoke.inbox');
      expect(hints).toEqual([{ object: 'Widget', external_id: 'W-9' }]);
      expect((await truespoke(['parked', 'replay', '1', '--json'], { cwd, env })).out).toContain('"missing":["1"]');
    }));

  test('conflicts show both values, and a value cannot draw on the terminal', () =>
    withProject(database.url, async (cwd, env) => {
      await truespoke(['migrate'], { cwd, env });
      const conflict = {
        entity: entityName('widget'),
        hubId: 'hub-1' as never,
        field: 'label',
        spoke: spokeName('store'),
        base: 'old',
        hub: 'ours',
        spokeValue: '\u001b[2Jtheirs',
        remote: null,
        policy: 'latest',
        winner: 'hub' as const,
        hubAtMs: null,
        spokeAtMs: null,
        trace: null,
      };
      await transaction(database.pool, (tx) => insertConflicts(tx, [conflict], 1_700_000_000_000));
      const { out, code } = await truespoke(['conflicts'], { cwd, env });
      expect(code).toBe(0);
      expect(out).toMatch(/widget +hub-1 +label +old +ours +\\u001b\[2Jtheirs +latest +hub/);
      expect(out).not.toContain('\u001b');
      expect((await truespoke(['conflicts', '--open'], { cwd, env })).out).toBe('There is no conflict.\n');
    }));
});
