// Owns the promises of `run` and of what stands beside it: a real engine over both simulated systems, its server, its status, its end.
// Proves: Invariant 1, Invariant 2
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../src/cli/program.js';
import { startSalesforce, type SalesforceSimulator } from '../../src/simulators/salesforce/server.js';
import { startShopify, type ShopifySimulator } from '../../src/simulators/shopify/server.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';
import { fakeIo, truespoke, withStarter, withProject } from './support.js';

let database: TestDatabase;
let salesforce: SalesforceSimulator;
let shopify: ShopifySimulator;

beforeAll(async () => {
  [database, salesforce, shopify] = await Promise.all([testDatabase(), startSalesforce(), startShopify()]);
  salesforce.load('Account', [{ Name: 'Online Store' }]);
  salesforce.load('Contact', [{ LastName: 'Lovelace', FirstName: 'Ada', Email: 'ada@example.com' }]);
  shopify.load('Customer', [{ firstName: 'Grace', lastName: 'Hopper', email: 'grace@example.com' }]);
});
afterAll(async () => {
  await Promise.all([database.drop(), salesforce.close(), shopify.close()]);
});

const atSimulators = <T>(body: (cwd: string, env: Record<string, string>) => Promise<T>): Promise<T> =>
  withStarter({ hubUrl: database.url, salesforce, shopify }, body, 1);

interface Running {
  readonly url: string;
  readonly log: () => string;
}

async function running(
  cwd: string,
  env: Record<string, string>,
  body: (running: Running) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const fake = fakeIo({ cwd, env, signal: stop.signal });
  const ended = run(['run', '--json'], fake.io);
  const failed = ended.then((code) => `ended with ${code}: ${fake.err()}`);
  try {
    const announced = (): Promise<string> => Promise.race([failed, Promise.resolve(fake.out())]);
    await expect.poll(announced, { timeout: 20_000 }).toMatch(/"event":"running"/);
    const { url } = JSON.parse(fake.out()) as { url: string };
    await body({ url, log: fake.err });
  } finally {
    const before = performance.now();
    stop.abort();
    expect(await ended).toBe(0);
    expect(performance.now() - before).toBeLessThan(2_000);
  }
}

const emails = async (): Promise<string[]> =>
  (await database.pool.query<{ email: string }>('select email from hub.customer order by email')).rows.map(
    (row) => row.email,
  );
const contact = (email: string): Record<string, unknown> | undefined =>
  salesforce.records('Contact').find((row) => row['Email'] === email) as Record<string, unknown> | undefined;

describe('run', () => {
  test('both systems come in, each gets what it lacks, SQL goes out, and it ends within two seconds', () =>
    atSimulators((cwd, env) =>
      running(cwd, env, async ({ url, log }) => {
        const within = { timeout: 25_000, interval: 100 };
        await expect.poll(async () => (await fetch(`${url}/readyz`)).status, within).toBe(200);
        await expect.poll(emails, within).toEqual(['ada@example.com', 'grace@example.com']);
        await expect.poll(() => contact('grace@example.com')?.['LastName'], within).toBe('Hopper');
        await database.pool.query(`update hub.customer set first_name = 'Augusta' where email = 'ada@example.com'`);
        await expect.poll(() => contact('ada@example.com')?.['FirstName'], within).toBe('Augusta');

        const status = JSON.parse((await truespoke(['status', '--json'], { cwd, env })).out) as Record<string, unknown>;
        expect(status).toMatchObject({ fine: true, replication: { state: 'streaming' } });
        const metrics = await (await fetch(`${url}/metrics`)).text();
        expect(metrics).toMatch(/truespoke_api_calls_total\{spoke="salesforce",outcome="ok"\} [1-9]/);
        expect(metrics).toMatch(/truespoke_links\{spoke="shopify"\} [1-9]/);
        expect(log()).not.toMatch(/ada@example\.com|Augusta|Lovelace/);
        expect(log()).not.toContain(shopify.accessToken);
      }),
    ));

  test('the second start resumes: nothing is created twice', () =>
    atSimulators((cwd, env) =>
      running(cwd, env, async ({ url }) => {
        await expect.poll(async () => (await fetch(`${url}/readyz`)).status, { timeout: 20_000 }).toBe(200);
        expect(salesforce.records('Contact').filter((row) => row['Email'] === 'grace@example.com')).toHaveLength(1);
        const paused = await fetch(`${url}/api/spokes/shopify/pause`, { method: 'POST' });
        expect(paused.status).toBe(200);
        const shown = await truespoke(['status'], { cwd, env });
        expect(shown.code).toBe(1);
        expect(shown.out).toMatch(/shopify +paused/);
        expect((await truespoke(['resume', 'shopify'], { cwd, env })).code).toBe(0);
      }),
    ));
});

describe('beside the engine', () => {
  test('status without an engine says so, exit code 1; parked and conflicts are empty lists', () =>
    atSimulators(async (cwd, env) => {
      const status = await truespoke(['status'], { cwd, env });
      expect([status.code, status.err]).toEqual([1, '']);
      expect(status.out).toMatch(/replication +stopped/);
      expect(status.out).toMatch(/salesforce +live/);
      expect(JSON.parse((await truespoke(['parked', '--json'], { cwd, env })).out)).toEqual({ parked: [] });
      expect((await truespoke(['conflicts'], { cwd, env })).out).toBe('There is no conflict.\n');
    }));

  test('a port in use ends `run` with exit code 2, nothing half-done', () =>
    atSimulators(async (cwd, env) => {
      const file = join(cwd, 'truespoke.yaml');
      await writeFile(file, (await readFile(file, 'utf8')).replace('port: 0', `port: ${shopify.port}`));
      const { code, err } = await truespoke(['run'], { cwd, env });
      expect(code).toBe(2);
      expect(err).toContain(`port ${shopify.port} on 127.0.0.1 is already in use`);
    }));

  test('wrong roles, a backfill of nothing and a replay of nothing are exit code 2', () =>
    withProject(database.url, async (cwd, env) => {
      for (const args of [
        ['run', '--roles', 'king'],
        ['backfill'],
        ['backfill', 'x', '--all'],
        ['parked', 'replay'],
        ['parked', 'replay', 'x'],
      ]) {
        expect([args, (await truespoke(args, { cwd, env })).code]).toEqual([args, 2]);
      }
    }));
});
