// Owns the promise of bad input: one clear message with place, cause and next step, the documented exit code, no stack, no secret,
// and nothing half-done: after mending, the same command works.
// Proves: Invariant 9
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../support/global-setup.js';
import { testDatabase, withClient, type TestDatabase } from '../support/postgres.js';
import { truespoke, withFolder, withProject, type Ran } from './support.js';

/** What every refusal owes its reader. */
function clear(ran: Ran, code: number): Ran {
  expect([ran.code, ran.out]).toEqual([code, '']);
  expect(ran.err).not.toMatch(/^\s+at .*[:(]\d+/m);
  expect(ran.err).not.toContain('defect of Truespoke');
  expect(ran.err).not.toMatch(/\[object Object\]|undefined/);
  // The next step: under a problem, after `next:`, or what was expected instead.
  expect(ran.err).toMatch(/\n {2,}\S|expected \S/);
  return ran;
}

const check = (cwd: string, env: Record<string, string> = {}): Promise<Ran> => truespoke(['check'], { cwd, env });

const hub = 'postgres://nobody@127.0.0.1:9/none';
const memory = 'connector: memory, objects: { Widget: { fields: { code: {}, label: {} } } }';

/** Replaces one piece of a sound project; the test breaks when the piece is not there. */
async function edit(cwd: string, file: string, from: string | RegExp, to: string): Promise<void> {
  const path = join(cwd, file);
  const before = await readFile(path, 'utf8');
  const after = before.replace(from, to);
  expect(after).not.toBe(before);
  await writeFile(path, after);
}

describe('truespoke.yaml', () => {
  const bad: readonly (readonly [string, string, RegExp])[] = [
    [
      'a bracket that is not closed',
      `spokes:\n  store: { ${memory}\nserver: { port: 0 }\n`,
      /^truespoke\.yaml:\d+:\d+: not YAML/,
    ],
    ['a tab as indentation', `spokes:\n\tstore: { ${memory} }\n`, /^truespoke\.yaml:2:1: .*tab/],
    ['a key twice', `spokes:\n  store: { ${memory} }\nspokes: {}\n`, /^truespoke\.yaml:3:1: this key stands twice/],
    ['no spokes', 'server: { port: 0 }\n', /spokes/],
    [
      'an unknown key',
      `spokes:\n  store: { ${memory} }\nsevrer: {}\n`,
      /^truespoke\.yaml:3:1: unknown key 'sevrer'\n +did you mean 'server'\?/,
    ],
    [
      'an unknown connector',
      'spokes:\n  store: { connector: memry }\n',
      /^truespoke\.yaml:2:23: 'store' names an unknown connector 'memry'\n +did you mean 'memory'\?/,
    ],
    [
      'an unknown key of the connector',
      `spokes:\n  store: { connector: memory, objcts: {} }\n`,
      /^truespoke\.yaml:2:\d+: .*objcts/,
    ],
    [
      'a number out of its bounds',
      `spokes:\n  store: { ${memory} }\nserver: { port: 99999 }\n`,
      /^truespoke\.yaml:3:17: .*port/,
    ],
    [
      'an address that is none',
      `hub: { url: "postgres://u@" }\nspokes:\n  store: { ${memory} }\n`,
      /^truespoke\.yaml:1:13: .*expected postgres:\/\//,
    ],
    [
      'a server open to the world without a token',
      `spokes:\n  store: { ${memory} }\nserver: { host: 0.0.0.0 }\n`,
      /^truespoke\.yaml:3:17: .*without any token/,
    ],
    [
      'a cron line that is none',
      `spokes:\n  store: { ${memory} }\nschedule: { reconcile: daily }\n`,
      /^truespoke\.yaml:3:24: /,
    ],
  ];
  test.each(bad)('%s', (_what, text, expected) =>
    withProject(hub, async (cwd) => {
      await writeFile(join(cwd, 'truespoke.yaml'), text);
      const { err } = clear(await check(cwd), 2);
      expect(err).toMatch(expected);
      expect(err).toMatch(/\n1 problem\n$/);
    }),
  );

  test('F130 a literal secret, a variable that is not set and a file that is not there, all at once and none repeated', () =>
    withProject(hub, async (cwd) => {
      const canary = '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';
      const text = `hub: { url: "\${HUB_ADDRESS}" }\nspokes:\n  shop:\n    connector: shopify\n    shop: x.myshopify.com\n    accessToken: ${canary}\n    webhookSecrets: ["file:none.txt"]\n`;
      await writeFile(join(cwd, 'truespoke.yaml'), text);
      const { err } = clear(await check(cwd), 2);
      expect(err).toMatch(/^truespoke\.yaml:1:13: 'hub\.url' needs the variable HUB_ADDRESS, which is not set/m);
      expect(err).toMatch(/^truespoke\.yaml:6:18: 'spokes\.shop\.accessToken' is a secret written out/m);
      expect(err).toMatch(/^truespoke\.yaml:7:22: .*names a file that cannot be read: ENOENT/m);
      expect(err).not.toContain(canary);
    }));

  test('a configuration that may not be read, and none at all', () =>
    withFolder(async (cwd) => {
      expect(clear(await check(cwd), 2).err).toMatch(/there is no .*truespoke\.yaml[\s\S]*truespoke init/);
      await mkdir(join(cwd, 'truespoke.yaml'));
      expect(clear(await check(cwd), 2).err).toMatch(/truespoke\.yaml cannot be read/);
    }));
});

describe('mappings', () => {
  const bad: readonly (readonly [string, string | RegExp, string, RegExp])[] = [
    ['YAML that is none', 'fields:', 'fields: [', /not YAML/],
    [
      'a field that the hub entity lacks',
      'label: label',
      'lable: label',
      /'lable' is not a field of widget\n +did you mean 'label'\?/,
    ],
    ['a spoke that is not configured', '  store:', '  stroe:', /stroe[\s\S]*did you mean 'store'\?/],
    [
      'an authority that is no spoke of the entity',
      'label: { type: text }',
      'label: { type: text, authority: crm }',
      /crm/,
    ],
    ['a reference to nothing', 'label: { type: text }', 'label: { ref: gadget }', /unknown entity 'gadget'/],
    [
      'a lens that does not exist',
      'label: label',
      'label: { remote: label, via: uppercse }',
      /did you mean 'uppercase'\?/,
    ],
    [
      'an expression that is none',
      'label: label',
      "label: { in: 'remote.label +', out: { label: hub.label } }",
      /label/,
    ],
    ['two fields that write one place', 'label: label', 'label: code', /code/],
    [
      'a type and a value that contradict',
      'label: { type: text }',
      'label: { type: integer, values: [a, b] }',
      /values|integer/,
    ],
  ];
  test.each(bad)('%s', (_what, from, to, expected) =>
    withProject(hub, async (cwd, env) => {
      await edit(cwd, 'mappings/widget.yaml', from, to);
      const { err } = clear(await check(cwd, env), 2);
      expect(err).toMatch(/^mappings\/widget\.yaml:\d+:\d+: /m);
      expect(err).toMatch(expected);
    }),
  );

  test('two files that map one entity contradict each other', () =>
    withProject(hub, async (cwd, env) => {
      await writeFile(
        join(cwd, 'mappings', 'again.yaml'),
        await readFile(join(cwd, 'mappings', 'widget.yaml'), 'utf8'),
      );
      expect(clear(await check(cwd, env), 2).err).toMatch(
        /the entity 'widget' is already mapped in mappings\/again\.yaml/,
      );
      await rm(join(cwd, 'mappings', 'again.yaml'));
      expect((await check(cwd, env)).code).toBe(0);
    }));
});

describe('words on the command line', () => {
  test.each([
    ['an unknown command', ['stauts'], /unknown command 'stauts'\n\(Did you mean status\?\)/],
    ['an unknown option', ['run', '--serve'], /unknown option '--serve'/],
    ['an unknown role', ['run', '--roles', 'inbuond'], /Unknown: inbuond\. Known: capture, inbound/],
    ['a missing argument', ['pause'], /missing required argument 'spoke'/],
    ['a spoke that does not exist', ['pause', 'stroe'], /no spoke 'stroe'\n {2}next: Did you mean store\?/],
    ['an unknown simulator', ['simulate', 'netsuite'], /Allowed choices are salesforce, shopify/],
    ['a port that is none', ['simulate', 'shopify', '--port', '70000'], /whole number from 0 to 65535/],
    [
      'a fault that does not exist',
      ['simulate', 'shopify', '--faults', 'lost-respnse'],
      /lost-respnse[\s\S]*lost-response/,
    ],
    ['nothing to backfill', ['backfill'], /Name one spoke, or say --all/],
    ['nothing to replay', ['parked', 'replay'], /Give ids/],
    ['an id that is none', ['review', 'approve', 'all'], /'all' is not the id of a review/],
  ])('%s', (_what, args, expected) =>
    withProject(hub, async (cwd, env) => {
      const { code, out, err } = await truespoke(args, { cwd, env });
      expect([code, out]).toEqual([2, '']);
      expect(err).toMatch(expected);
      expect(err).not.toMatch(/^\s+at /m);
    }),
  );
});

describe('the hub', () => {
  let database: TestDatabase;
  let physical: TestCluster;
  let deaf: Server;
  beforeAll(async () => {
    [database, physical] = await Promise.all([testDatabase(), startTestCluster({ wal_level: 'replica' })]);
    deaf = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve));
  });
  afterAll(async () => {
    deaf.close();
    await Promise.all([database.drop(), physical.stop()]);
  });

  /** The refusal, for each of the commands that open the hub. */
  async function refused(url: string, code: number, expected: RegExp): Promise<void> {
    await withProject(url, async (cwd, env) => {
      for (const args of [['run'], ['migrate', '--plan'], ['status'], ['check', '--connect'], ['backfill', '--all']]) {
        const { err } = clear(await truespoke(args, { cwd, env }), code);
        expect([args, err]).toEqual([args, expect.stringMatching(expected)]);
        expect(err).not.toContain('hunter2');
      }
      const { out } = await truespoke(['status', '--json'], { cwd, env });
      const { error } = JSON.parse(out) as { error: { code: string; message: string; hint: string | null } };
      expect([error.code.startsWith('hub_'), error.hint]).toEqual([true, expect.stringMatching(/\w/)]);
    });
  }

  test('that nobody listens at', () =>
    refused(
      'postgres://u:hunter2secret@127.0.0.1:9/x',
      3,
      /hub 127\.0\.0\.1:9\/x: nothing listens there[\s\S]*next: Start Postgres/,
    ));

  test('whose name is unknown', () =>
    refused(
      'postgres://u:hunter2secret@no-such-host.invalid/x',
      3,
      /hub no-such-host\.invalid:5432\/x: the host name/,
    ));

  test('that is something else', () => {
    const { port } = deaf.address() as AddressInfo;
    return refused(`postgres://u:hunter2secret@127.0.0.1:${port}/x`, 3, /hub 127\.0\.0\.1:\d+\/x: [\s\S]*next: /);
  });

  test('that has no such database', () =>
    refused(
      database.url.replace(/[^/]+$/, 'nothing_here'),
      3,
      /the database does not exist[\s\S]*next: CREATE DATABASE/,
    ));

  test('F30 whose wal_level is not logical: the statement that mends it is named', () =>
    refused(
      `${physical.url}/postgres`,
      3,
      /wal_level is replica; captured changes need logical[\s\S]*ALTER SYSTEM SET wal_level/,
    ));

  test('whose role lacks REPLICATION: nothing is made, and after the GRANT that was named it works', async () => {
    const role = `role_${database.name}`;
    const asRole = database.url.replace('postgres@', `${role}@`);
    await withClient(database.url, async (client) => {
      await client.query(`CREATE ROLE ${role} LOGIN`);
      await client.query(`GRANT CREATE ON DATABASE ${database.name} TO ${role}`);
      try {
        await refused(
          asRole,
          3,
          new RegExp(`role "${role}" lacks REPLICATION[\\s\\S]*ALTER ROLE "${role}" REPLICATION`),
        );
        const { rows } = await client.query(`SELECT nspname FROM pg_namespace WHERE nspname IN ('hub', 'truespoke')`);
        expect(rows).toEqual([]);
        await client.query(`ALTER ROLE "${role}" REPLICATION`);
        await withProject(asRole, async (cwd, env) => {
          const mended = await truespoke(['migrate'], { cwd, env });
          expect([mended.err, mended.code]).toEqual(['', 0]);
        });
      } finally {
        await client.query(`DROP OWNED BY ${role}`);
        await client.query(`DROP ROLE ${role}`);
      }
    });
  });

  test('with a table that lacks a field of the mapping is told, and nothing of the tables is changed', async () => {
    await database.pool.query('create schema if not exists shop');
    await database.pool.query(
      'create table shop.widget (id bigint generated by default as identity primary key, code text)',
    );
    const mapping = `entity: widget
table: { schema: shop, name: widget, id: id }
fields:
  code: { type: text, match: exact }
  label: { type: text }
spokes:
  store: { object: Widget, fields: { code: code, label: label } }
`;
    await withProject(
      database.url,
      async (cwd, env) => {
        const { code, err, out } = await truespoke(['migrate', '--plan'], { cwd, env });
        expect([code, err]).not.toEqual([0, '']);
        expect(out + err).toMatch(/shop\.widget[\s\S]*label/);
        const { rows } = await database.pool.query(
          `select column_name from information_schema.columns where table_schema = 'shop' order by 1`,
        );
        expect(rows.map((row) => Object.values(row)[0])).toEqual(['code', 'id']);
      },
      mapping,
    );
  });

  test('a spoke that neither the configuration nor the hub knows is no empty list', () =>
    withProject(database.url, async (cwd, env) => {
      await truespoke(['migrate'], { cwd, env });
      for (const command of [['parked', 'list'], ['conflicts']]) {
        const { err } = clear(await truespoke([...command, '--spoke', 'stroe'], { cwd, env }), 2);
        expect(err).toMatch(/no spoke 'stroe'/);
      }
    }));

  test('what is no id, no entity or more than one statement is told as that', () =>
    withProject(database.url, async (cwd, env) => {
      await truespoke(['migrate'], { cwd, env });
      const told: readonly (readonly [readonly string[], RegExp])[] = [
        [['merge', 'widget', 'ann', 'bob'], /widget ann and bob are not two records/],
        [['merge', 'widgte', 'ann', 'bob'], /no entity 'widgte'/],
        [['unmerge', 'ann'], /'ann' is not the id of a merge/],
        [['conflicts', 'resolve', '99999999999999999999', 'hub'], /is not the id of a conflict/],
        [['conflicts', '--entity', 'widgte'], /no entity 'widgte'\n +next: Did you mean widget/],
        [['review', 'approve', 'ann'], /'ann' is not the id of a review/],
        [['parked', 'replay', 'ann'], /'ann' is not the id of a parked record/],
        [['sql', 'select 1; select 2'], /next: One statement a call/],
      ];
      for (const [command, expected] of told) {
        const { err } = clear(await truespoke([...command], { cwd, env }), 2);
        expect(err).toMatch(expected);
      }
    }));
});

describe('a port in use', () => {
  test('the server names it and ends with exit code 2; on a free one the same project runs', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const database = await testDatabase();
    try {
      const { port } = taken.address() as AddressInfo;
      await withProject(database.url, async (cwd, env) => {
        await edit(cwd, 'truespoke.yaml', 'server: { port: 0 }', `server: { port: ${port} }`);
        expect(clear(await truespoke(['run'], { cwd, env }), 2).err).toMatch(
          new RegExp(`port ${port} on 127\\.0\\.0\\.1 is already in use[\\s\\S]*next: Set server\\.port`),
        );
        taken.close();
        const stop = new AbortController();
        const running = truespoke(['run'], { cwd, env, signal: stop.signal });
        await expect
          .poll(async () => (await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => null))?.status, {
            timeout: 20_000,
          })
          .toBe(200);
        stop.abort();
        expect((await running).code).toBe(0);
      });
    } finally {
      taken.close();
      await database.drop();
    }
  });

  test('a simulator names it and ends with exit code 2', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    const ran = await truespoke(['simulate', 'shopify', '--port', String(port)]);
    taken.close();
    expect(clear(ran, 2).err).toContain(`port ${port} is already in use`);
  });
});
