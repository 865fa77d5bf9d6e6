// Owns the promises of `check --connect`: real logins at the simulators, each refusal clear and with its exit code.
// Proves: Law 9, Invariant 9
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startSalesforce, type SalesforceSimulator } from '../../src/simulators/salesforce/server.js';
import { startShopify, type ShopifySimulator } from '../../src/simulators/shopify/server.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';
import { truespoke, withStarter } from './support.js';

let database: TestDatabase;
let salesforce: SalesforceSimulator;
let shopify: ShopifySimulator;

beforeAll(async () => {
  [database, salesforce, shopify] = await Promise.all([testDatabase(), startSalesforce(), startShopify()]);
  salesforce.load('Account', [{ Name: 'Online Store' }]);
});
afterAll(async () => {
  await Promise.all([database.drop(), salesforce.close(), shopify.close()]);
});

interface Answer {
  readonly ok: boolean;
  readonly spokes: {
    readonly name: string;
    readonly label: string | null;
    readonly error: { message: string } | null;
  }[];
}

const atSimulators = <T>(body: (cwd: string, env: Record<string, string>) => Promise<T>): Promise<T> =>
  withStarter({ hubUrl: database.url, salesforce, shopify }, body);

const connect = async (
  cwd: string,
  env: Record<string, string>,
): Promise<{ code: number; err: string; answer: Answer }> => {
  const { code, out, err } = await truespoke(['check', '--connect', '--json'], { cwd, env });
  return { code, err, answer: (out === '' ? {} : JSON.parse(out)) as Answer };
};

describe('check --connect', () => {
  test('before the first migration it names the next step', () =>
    atSimulators(async (cwd, env) => {
      const { code, err } = await connect(cwd, env);
      expect(code).toBe(2);
      expect(err).toMatch(/next: Run `truespoke migrate`/);
    }));

  test('the starter mappings hold against both systems', () =>
    atSimulators(async (cwd, env) => {
      expect((await truespoke(['migrate'], { cwd, env })).err).toBe('');
      const { code, err, answer } = await connect(cwd, env);
      expect([err, code, answer.ok]).toEqual(['', 0, true]);
      expect(answer.spokes.map(({ name, error }) => [name, error])).toEqual([
        ['salesforce', null],
        ['shopify', null],
      ]);
    }));

  test('a mapping that names a field the remote lacks is told with its place, exit code 2', () =>
    atSimulators(async (cwd, env) => {
      const file = join(cwd, 'mappings', 'customer.yaml');
      const text = await readFile(file, 'utf8');
      await writeFile(file, text.replace(/Email\b/, 'Emial'));
      const { code, err } = await connect(cwd, env);
      expect(code).toBe(2);
      expect(err).toMatch(/customer\.yaml:\d+:\d+: .*Emial/);
    }));

  test('a default whose record is not there is told before anything runs, exit code 3', () =>
    atSimulators(async (cwd, env) => {
      const file = join(cwd, 'mappings', 'sales_order.yaml');
      await writeFile(file, (await readFile(file, 'utf8')).replace('Online Store', 'Nowhere Store'));
      const { code, answer } = await connect(cwd, env);
      expect([code, answer.ok]).toEqual([3, false]);
      expect(answer.spokes.find(({ name }) => name === 'salesforce')).toMatchObject({
        label: expect.any(String) as string,
        error: { message: expect.stringMatching(/AccountId needs exactly one .*Nowhere Store.*found 0/) as string },
      });
    }));

  test('a wrong credential: that spoke says so, the other one answers, exit code 3, no secret shown', () =>
    atSimulators(async (cwd, env) => {
      const { code, err, answer } = await connect(cwd, { ...env, SHOPIFY_ACCESS_TOKEN: 'wrong-token-canary' });
      expect([code, answer.ok]).toEqual([3, false]);
      expect(answer.spokes.find(({ name }) => name === 'salesforce')?.error).toBeNull();
      expect(answer.spokes.find(({ name }) => name === 'shopify')?.error?.message).toBeTruthy();
      expect(err + JSON.stringify(answer)).not.toContain('wrong-token-canary');
    }));

  test('a spoke that cannot be reached is exit code 3', () =>
    atSimulators(async (cwd, env) => {
      const { code, answer } = await connect(cwd, { ...env, SALESFORCE_LOGIN_URL: 'http://127.0.0.1:9' });
      expect([code, answer.ok]).toEqual([3, false]);
      expect(answer.spokes.find(({ name }) => name === 'shopify')?.error).toBeNull();
    }));
});
