// Owns the promise that a secret stays where it is: a canary stands behind every reference of the configuration, the engine runs, is refused,
// parks and pauses, and no canary is found in anything that people, logs, metrics or tables show (F130).
// Proves: Invariant 8
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLog } from '../../src/base/log.js';
import { scrubber } from '../../src/base/scrub.js';
import { run } from '../../src/cli/program.js';
import { startSalesforce, type SalesforceSimulator } from '../../src/simulators/salesforce/server.js';
import { startShopify, type ShopifySimulator } from '../../src/simulators/shopify/server.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';
import { fakeIo, truespoke, withFolder } from './support.js';

const shopToken = 'shpat_canary00canary00canary00canary0';
const webhookSecret = 'canary-webhook-0815';
const hubPassword = 'canary-hub-4711';

let database: TestDatabase;
let salesforce: SalesforceSimulator;
let shopify: ShopifySimulator;
beforeAll(async () => {
  const shop = startShopify({ accessToken: shopToken, webhookSecrets: [webhookSecret] });
  [database, salesforce, shopify] = await Promise.all([testDatabase(), startSalesforce(), shop]);
  salesforce.load('Account', [{ Name: 'Online Store' }]);
  salesforce.load('Contact', [{ LastName: 'Lovelace', Email: 'ada@example.com' }]);
  shopify.load('Customer', [{ firstName: 'Grace', lastName: 'Hopper', email: 'grace@example.com' }]);
});
afterAll(() => Promise.all([database.drop(), salesforce.close(), shopify.close()]));

function inProject<T>(body: (cwd: string, env: Record<string, string>) => Promise<T>): Promise<T> {
  return withFolder(async (cwd) => {
    await truespoke(['init', '--simulated'], { cwd });
    const file = join(cwd, 'truespoke.yaml');
    const text = (await readFile(file, 'utf8'))
      .replace(
        '# hub:\n#   url: ${HUB_URL}',
        'hub: { url: "${HUB_URL}" }\nschedule: { poll: 1 }\nlog: { level: trace }',
      )
      .replace('port: 7420', 'port: 0');
    await writeFile(file, text);
    return body(cwd, {
      HUB_URL: database.url.replace('postgres@', `postgres:${hubPassword}@`),
      SALESFORCE_LOGIN_URL: salesforce.url,
      SALESFORCE_CLIENT_ID: salesforce.credentials.clientId,
      SALESFORCE_CLIENT_SECRET: salesforce.credentials.clientSecret,
      SHOPIFY_URL: shopify.url,
      SHOPIFY_SHOP: shopify.domain,
      SHOPIFY_ACCESS_TOKEN: shopToken,
      SHOPIFY_WEBHOOK_SECRET: webhookSecret,
    });
  });
}

/** Everything that the engine keeps, as text. Connector state holds rotated tokens on purpose and is closed to other roles. */
async function tables(): Promise<string> {
  const { rows } = await database.pool.query(
    `select table_name as name from information_schema.tables where table_schema = 'truespoke' and table_name <> 'connector_state'`,
  );
  const texts: string[] = [];
  for (const { name } of rows) {
    const content = await database.pool.query(`select t::text as line from truespoke."${String(name)}" t`);
    texts.push(...content.rows.map((row) => row['line'] ?? ''));
  }
  return texts.join('\n');
}

/** Runs the engine until `until` holds and hands back what it showed: log, page, status, metrics. */
async function shownWhile(
  cwd: string,
  env: Record<string, string>,
  until: (status: string) => boolean,
): Promise<string> {
  const stop = new AbortController();
  const fake = fakeIo({ cwd, env, signal: stop.signal });
  const ended = run(['run', '--json', '--verbose'], fake.io);
  const seen: string[] = [];
  try {
    await expect.poll(fake.out, { timeout: 20_000 }).toMatch(/"event":"running"/);
    const { url } = JSON.parse(fake.out()) as { url: string };
    const get = async (path: string): Promise<string> => (await fetch(url + path)).text();
    await expect.poll(async () => until(await get('/api/status')), { timeout: 25_000, interval: 200 }).toBe(true);
    seen.push(await get('/api/status'), await get('/metrics'), await get('/'), await get('/readyz'));
  } finally {
    stop.abort();
    await ended;
  }
  return [...seen, fake.out(), fake.err()].join('\n');
}

const commands = [
  ['status'],
  ['status', '--json'],
  ['check', '--connect', '--verbose'],
  ['parked', 'list', '--json'],
  ['conflicts', '--json'],
  ['review', '--json'],
  ['audit', '--json'],
  ['migrate', '--plan', '--json'],
];

describe('canaries', () => {
  test(
    'F130 no secret in logs, errors, status, metrics, parked records or tables; not while all is well, not when refused',
    () =>
      inProject(async (cwd, env) => {
        const well = await shownWhile(cwd, env, (status) => (status.match(/"state":"live"/g) ?? []).length === 2);
        const wrong = {
          ...env,
          SHOPIFY_ACCESS_TOKEN: `${shopToken}x`,
          SALESFORCE_CLIENT_SECRET: 'canary-wrong-secret',
        };
        const refused = await shownWhile(cwd, wrong, (status) => /"state":"paused"/.test(status));
        const said: string[] = [];
        for (const args of commands)
          for (const environment of [env, wrong]) {
            const { out, err } = await truespoke(args, { cwd, env: environment });
            said.push(out, err);
          }
        const nowhere = { ...env, HUB_URL: `postgres://u:${hubPassword}@127.0.0.1:9/x` };
        const lost = await truespoke(['status', '--verbose'], { cwd, env: nowhere });
        const everything = [well, refused, ...said, lost.err, await tables()].join('\n');
        // The search would find something: these stand there.
        expect(everything).toContain('shopify');
        expect(everything.length).toBeGreaterThan(10_000);
        for (const canary of [
          shopToken,
          webhookSecret,
          hubPassword,
          'canary-wrong-secret',
          salesforce.credentials.clientSecret,
        ])
          expect(everything.includes(canary), canary).toBe(false);
      }),
    90_000,
  );

  test('F130 a secret that a remote repeats in its own words is masked in every output', () =>
    inProject(async (cwd, env) => {
      await truespoke(['pause', 'shopify', '--reason', `they said: bad token ${shopToken}`], { cwd, env });
      for (const args of [['status'], ['status', '--json'], ['audit']]) {
        const { out } = await truespoke(args, { cwd, env });
        expect(out).toContain('they said: bad token [hidden]');
        expect(out).not.toContain(shopToken);
      }
      await truespoke(['resume', 'shopify'], { cwd, env });
    }));

  test('the mask knows a secret inside JSON and inside a URL, and leaves words alone', () => {
    const key = '-----BEGIN KEY-----\nab"c\n-----END KEY-----';
    const scrub = scrubber([key, 'p@ss/word', 'abc']);
    expect(scrub(JSON.stringify({ key }))).toBe('{"key":"[hidden]"}');
    expect(scrub(`postgres://u:${encodeURIComponent('p@ss/word')}@h and p@ss/word`)).toBe(
      'postgres://u:[hidden]@h and [hidden]',
    );
    expect(scrub('abc is a word')).toBe('abc is a word');
  });

  test('a log line masks secrets wherever they stand in it', () => {
    const lines: string[] = [];
    const log = createLog({
      level: 'info',
      secrets: ['canary-9'],
      destination: { write: (line) => void lines.push(line) },
    });
    log
      .child({ spoke: 'x' })
      .warn({ err: new Error('refused canary-9'), deep: { list: ['canary-9'] } }, 'canary-9 was refused');
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toContain('canary-9');
    expect(lines[0]).toContain('[hidden] was refused');
  });
});
