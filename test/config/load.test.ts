import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ConfigError, Problems } from '../../src/base/errors.js';
import type { Config } from '../../src/config/config.js';
import { loadConfig, type LoadOptions } from '../../src/config/load.js';
import { spokeName } from '../../src/model/ids.js';

let folder: string;
let file: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'truespoke-config-'));
  file = join(folder, 'truespoke.yaml');
});
afterAll(() => rm(folder, { recursive: true, force: true }));
beforeEach(() => rm(join(folder, '.env'), { force: true }));

const minimal = `spokes:
  crm:
    connector: memory
`;

async function load(
  text: string,
  environment: Record<string, string> = {},
  options: LoadOptions = {},
): Promise<Config> {
  await writeFile(file, text);
  return loadConfig(file, environment, options);
}

async function told(
  text: string,
  environment: Record<string, string> = {},
  options: LoadOptions = {},
): Promise<string> {
  try {
    await load(text, environment, options);
    return 'accepted';
  } catch (error) {
    if (error instanceof Problems) return error.message;
    throw error;
  }
}

describe('what comes out', () => {
  test('everything has a default', async () => {
    const config = await load(`${minimal}hub:\nserver:\n  # port: 1\n`);
    expect(config).toMatchObject({
      file,
      hub: { url: null, dataDir: join(folder, '.truespoke'), poolSize: 10 },
      mappings: join(folder, 'mappings'),
      server: { host: '127.0.0.1', port: 7420, publicUrl: null, tokens: [] },
      schedule: { pollSeconds: 10, reconcile: '0 3 * * *' },
      log: { level: 'info' },
      secrets: [],
    });
    expect(config.spokes.get(spokeName('crm'))).toMatchObject({
      connector: 'memory',
      enabled: true,
      options: {},
      parsed: null,
      quotaReservePercent: 20,
      limits: { concurrency: null, spacingMs: 0 },
      deletions: { max: 100, percent: 10 },
    });
  });

  test('references come from the environment, then from .env beside the file, then from files', async () => {
    await writeFile(join(folder, '.env'), 'A=from-dotenv\nB=from-dotenv\n');
    await writeFile(join(folder, 'key.pem'), 'PRIVATE\nKEY\n');
    const config = await load(
      `${minimal}    accessToken: \${A}\n    webhookSecrets: ["\${B}", "\${C}"]\n    auth: { jwt: { privateKey: "file:key.pem" } }\n    shop: "\${C}.example.com"\n    limits: { concurrency: "\${N}" }\n`,
      { A: 'from-environment', C: 'sea-shop', N: '3' },
    );
    const spoke = config.spokes.get(spokeName('crm'));
    expect(spoke?.options).toEqual({
      accessToken: 'from-environment',
      webhookSecrets: ['from-dotenv', 'sea-shop'],
      auth: { jwt: { privateKey: 'PRIVATE\nKEY' } },
      shop: 'sea-shop.example.com',
    });
    expect(spoke?.limits.concurrency).toBe(3);
    expect([...config.secrets].sort()).toEqual(['PRIVATE\nKEY', 'from-dotenv', 'from-environment', 'sea-shop']);
  });

  test('a connector parses its own keys and learns where they stand', async () => {
    const seen: unknown[] = [];
    const connectors = new Map([
      [
        'memory',
        { parseConfig: (raw: unknown, place: (path: string[]) => unknown) => void seen.push(raw, place(['shop'])) },
      ],
    ]);
    await load(`${minimal}    shop: x\n`, {}, { connectors });
    expect(seen).toEqual([{ shop: 'x' }, { file: 'truespoke.yaml', line: 4, column: 11 }]);
  });
});

test('an option that is left empty reaches the connector as null', async () => {
  const connectors = new Map([['memory', { parseConfig: (raw: unknown) => raw }]]);
  const config = await load(`${minimal}    shop:\n`, {}, { connectors });
  expect(config.spokes.get(spokeName('crm'))?.parsed).toEqual({ shop: null });
});

describe('what is refused', () => {
  test('unknown keys, each with a suggestion and its place, all at once', async () => {
    const text = await told(`${minimal}    limits: { spacing: 3 }\nhubb: {}\nserver:\n  prt: 8080\n`);
    expect(text).toMatch(
      /truespoke.yaml:4:15: unknown key 'spacing' in 'spokes.crm.limits'\n {4}did you mean 'spacingMs'/,
    );
    expect(text).toMatch(/truespoke.yaml:5:1: unknown key 'hubb'\n {4}did you mean 'hub'/);
    expect(text).toMatch(/truespoke.yaml:7:3: unknown key 'prt' in 'server'\n {4}did you mean 'port'/);
  });

  test('a literal secret, wherever it stands, without repeating it', async () => {
    const canary = 'c4nary-9f2e';
    for (const line of [
      `accessToken: ${canary}`,
      `auth: { clientCredentials: { clientSecret: ${canary} } }`,
      `webhookSecrets: [${canary}]`,
      `password: "x\${A}"`,
      `apiKey: 12345`,
      `other: shpat_${canary}`,
      `private_key: "-----BEGIN PRIVATE KEY-----${canary}"`,
      `url: "https://user:${canary}@example.com"`,
    ]) {
      const text = await told(`${minimal}    ${line}\n`, { A: 'a' });
      expect(text, line).toMatch(/^truespoke.yaml:4:\d+: '.*secret written out\n {4}write a reference/);
      expect(text).not.toContain(canary);
    }
    expect(await told(`${minimal}hub: { url: "postgres://u:${canary}@h/db" }\n`)).toMatch(
      /'hub.url' looks like a secret/,
    );
    expect((await load(`${minimal}hub: { url: "\${HUB}" }\n`, { HUB: 'postgres://u:p@h/db' })).hub.url).toBe(
      'postgres://u:p@h/db',
    );
  });

  test('variables that are not set, all at once, with name and place', async () => {
    const text = await told(`${minimal}    accessToken: \${TOKEN}\n    shop: \${SHOP}\nhub: { url: "\${URL}" }\n`, {
      SHOP: '',
    });
    expect(text).toMatch(/4:18: 'spokes.crm.accessToken' needs the variable TOKEN, which is not set\n {4}set TOKEN/);
    expect(text).toMatch(/5:11: 'spokes.crm.shop' needs the variable SHOP, which is empty/);
    expect(text).toMatch(/6:13: 'hub.url' needs the variable URL/);
    expect(text.split('\n').filter((line) => line.startsWith('truespoke')).length).toBe(3);
    expect(await told(`${minimal}    shop: "\${A B}"\n`)).toMatch(/is not a reference/);
    expect(await told(`${minimal}    privateKey: file:nowhere.pem\n`)).toMatch(/cannot be read: ENOENT/);
  });

  test('a connector that does not exist, and what a connector says of its keys', async () => {
    const connectors = new Map([
      [
        'salesforce',
        {
          parseConfig: (_raw: unknown, place: (path: string[]) => object) => {
            throw new Problems([{ ...place(['shop']), message: 'wrong shop', hint: 'h' }]);
          },
        },
      ],
    ]);
    expect(await told('spokes: { crm: { connector: salesfroce } }', {}, { connectors })).toMatch(
      /1:29: 'crm' names an unknown connector 'salesfroce'\n {4}did you mean 'salesforce'/,
    );
    expect(await told('spokes:\n  crm:\n    connector: salesforce\n    shop: x\n', {}, { connectors })).toMatch(
      /4:11: wrong shop/,
    );
  });

  test('a server that the world could reach without a token', async () => {
    expect(await told(`${minimal}server: { host: 0.0.0.0 }\n`)).toMatch(
      /4:17: the server would answer on 0.0.0.0 without any token/,
    );
    const tokens = `tokens: [{ name: ops, role: admin, sha256: ${'a'.repeat(64)} }]`;
    expect((await load(`${minimal}server: { host: 0.0.0.0, ${tokens} }\n`)).server.tokens.length).toBe(1);
    expect(await told(`${minimal}server: { tokens: [{ name: a, role: admin, sha256: plain }] }\n`)).toMatch(
      /64 hex digits/,
    );
  });

  test('bounds and forms', async () => {
    expect(await told(`${minimal}server: { port: 70000 }\n`)).toMatch(/'server.port'/);
    expect(await told(`${minimal}schedule: { reconcile: daily }\n`)).toMatch(/cron line/);
    expect(await told(`${minimal}server: { publicUrl: "ftp://x" }\n`)).toMatch(/expected an address/);
    expect(await told(`${minimal}log: { level: loud }\n`)).toMatch(/expected one of trace/);
    expect(await told('spokes: {}\n')).toMatch(/name at least one spoke/);
    expect(await told('spokes: { Crm: { connector: memory } }\n')).toMatch(/lower-case letters/);
    expect(await told('')).toMatch(/expected keys below it/);
  });

  test('F124–F126 hostile YAML never reaches the engine', async () => {
    expect(await told(`${minimal}${minimal}`)).toMatch(/4:1: this key stands twice/);
    expect(await told(`${minimal}__proto__: { polluted: 1 }\n`)).toMatch(/'__proto__' is not allowed/);
    expect(await told(`# ${'x'.repeat(1_100_000)}`)).toMatch(/larger than 1 MB/);
    expect(({} as Record<string, unknown>)['polluted']).toBe(undefined);
  });

  test('a file that is not there', async () => {
    const error = await loadConfig(join(folder, 'nowhere.yaml'), {}).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).hint).toMatch(/truespoke init/);
  });
});

test('the configuration that `init` writes is accepted', async () => {
  const { starterConfig } = await import('../../src/cli/starter.js');
  const environment = {
    SALESFORCE_LOGIN_URL: 'https://example.my.salesforce.com',
    SALESFORCE_CLIENT_ID: 'id',
    SALESFORCE_CLIENT_SECRET: 'secret',
    SHOPIFY_SHOP: 'example.myshopify.com',
    SHOPIFY_ACCESS_TOKEN: 'token',
    SHOPIFY_WEBHOOK_SECRET: 'secret',
  };
  expect([...(await load(starterConfig, environment)).spokes.keys()]).toEqual(['salesforce', 'shopify']);
});
