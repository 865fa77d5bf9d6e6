// Owns the promises of `reconcile`: it finds a record that was damaged without a trace, says so with its exit code, and sees it repaired.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../src/cli/program.js';
import { startSalesforce, type SalesforceSimulator } from '../../src/simulators/salesforce/server.js';
import { startShopify, type ShopifySimulator } from '../../src/simulators/shopify/server.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';
import { fakeIo, truespoke, withStarter } from './support.js';

let database: TestDatabase;
let salesforce: SalesforceSimulator;
let shopify: ShopifySimulator;
beforeAll(async () => {
  [database, salesforce, shopify] = await Promise.all([testDatabase(), startSalesforce(), startShopify()]);
  salesforce.load('Account', [{ Name: 'Online Store' }]);
  salesforce.load('Contact', [{ LastName: 'Lovelace', FirstName: 'Ada', Email: 'ada@example.com' }]);
});
afterAll(() => Promise.all([database.drop(), salesforce.close(), shopify.close()]));

const atSimulators = <T>(body: (cwd: string, env: Record<string, string>) => Promise<T>): Promise<T> =>
  withStarter({ hubUrl: database.url, salesforce, shopify }, body, 600);

test(
  'a record damaged without a stamp is found, repaired by the running engine, and closed by the next look',
  { timeout: 90_000 },
  () =>
    atSimulators(async (cwd, env) => {
      const stop = new AbortController();
      const engine = fakeIo({ cwd, env, signal: stop.signal });
      const ended = run(['run', '--json', '--no-server'], engine.io);
      try {
        const shown = (): string[] => shopify.records('Customer').map((row) => String(row['email']));
        await expect.poll(shown, { timeout: 30_000 }).toEqual(['ada@example.com']);
        const [contact] = salesforce.records('Contact');
        const id = String(contact?.['Id']);
        // The engine's own look at changes must be over: inside its overlap it would see the damage in passing, and take it for an edit.
        const polled = `select object from truespoke.cursor where kind = 'changes' and object = 'Contact'`;
        await expect
          .poll(async () => (await truespoke(['sql', polled, '--json'], { cwd, env })).out, { timeout: 30_000 })
          .toContain('"rowCount":1');
        await expect
          .poll(async () => (await truespoke(['reconcile', '--json'], { cwd, env })).code, { timeout: 30_000 })
          .toBe(0);
        salesforce.org.damage('Contact', id, { LastName: 'L???' });
        const found = await truespoke(['reconcile', 'salesforce', '--entity', 'customer', '--json'], { cwd, env });
        expect(found.code).toBe(1);
        expect(JSON.parse(found.out)).toMatchObject({
          open: 1,
          reports: [{ entity: 'customer', compared: 1, drifted: 1 }],
        });
        await expect.poll(() => salesforce.record('Contact', id)?.['LastName'], { timeout: 30_000 }).toBe('Lovelace');
        const again = await truespoke(['reconcile', 'salesforce', '--json'], { cwd, env });
        expect(JSON.parse(again.out)).toMatchObject({ open: 0 });
        expect(again.code).toBe(0);
        expect((await truespoke(['reconcile', 'salesforce'], { cwd, env })).out).toContain('Both sides agree.');
      } finally {
        stop.abort();
        await ended;
      }
    }),
);

test('an unknown spoke or entity is wrong usage, with what there is', () =>
  atSimulators(async (cwd, env) => {
    const spoke = await truespoke(['reconcile', 'sap'], { cwd, env });
    expect([spoke.code, spoke.err]).toEqual([2, expect.stringContaining('salesforce')]);
    const entity = await truespoke(['reconcile', '--entity', 'invoice'], { cwd, env });
    expect([entity.code, entity.err]).toEqual([2, expect.stringContaining('mapped are')]);
  }));
