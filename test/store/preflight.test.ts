// Proves: Invariant 9
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectFailure, judge, placeOf, preflight } from '../../src/store/preflight.js';
import { createSlot } from '../../src/store/slots.js';
import { startTestCluster } from '../support/global-setup.js';
import { startTransactionPooler } from '../support/pooler.js';
import { testDatabase, type TestDatabase, withClient } from '../support/postgres.js';

let db: TestDatabase;
const roles: string[] = [];
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(async () => {
  for (const role of roles) await db.pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  await db.drop();
});

/** A role of its own for one test, and the URL that logs in as it. */
async function asRole(options: string): Promise<string> {
  const role = `r_${db.name}_${roles.length}`;
  roles.push(role);
  await db.pool.query(`CREATE ROLE ${role} LOGIN ${options}; GRANT CREATE ON DATABASE ${db.name} TO ${role}`);
  return db.url.replace('postgres@', `${role}@`);
}

test('a fit hub tells who it is', async () => {
  const facts = await preflight({ url: await asRole('REPLICATION') });
  expect(facts).toMatchObject({ timeline: 1, database: db.name, slotWalBytesMax: null });
  expect(facts.systemId).toMatch(/^\d{15,}$/);
  expect(facts.versionNumber).toBeGreaterThanOrEqual(140_000);
  expect(facts.walLsn).toBeGreaterThan(0n);
});

test('a role without REPLICATION: the command that grants it', async () => {
  await expect(preflight({ url: await asRole('') })).rejects.toMatchObject({
    code: 'hub_no_replication',
    recovery: 'retry',
    message: expect.stringMatching(/^hub 127\.0\.0\.1:\d+\/t_\w+: role "r_\w+" lacks REPLICATION$/),
    hint: expect.stringMatching(/ALTER ROLE "r_\w+" REPLICATION;/),
  });
});

test('a read-only role and a role that may not create are two problems, listed together', async () => {
  const url = await asRole('REPLICATION');
  const role = new URL(url).username;
  await db.pool.query(
    `ALTER ROLE ${role} SET default_transaction_read_only = on; REVOKE CREATE ON DATABASE ${db.name} FROM ${role}`,
  );
  const refused = preflight({ url });
  await expect(refused).rejects.toMatchObject({
    code: 'hub_read_only',
    message: expect.stringMatching(/read-only transactions\n.*may not create schemas/),
  });
});

test('wal_level replica, and every slot taken: each named with its command', async () => {
  const cluster = await startTestCluster({ wal_level: 'replica', max_replication_slots: '1' });
  try {
    await withClient(`${cluster.url}/postgres`, (client) =>
      client.query(`SELECT pg_create_physical_replication_slot('taken')`),
    );
    const refused = await preflight({ url: `${cluster.url}/postgres` }).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: 'hub_wal_level',
      message: expect.stringMatching(/wal_level is replica.*\n.*every replication slot is taken/),
      hint: expect.stringMatching(/ALTER SYSTEM SET wal_level = 'logical'.*\n.*max_replication_slots/),
    });
    const own = await preflight({ url: `${cluster.url}/postgres`, slotName: 'taken' }).catch((error: unknown) => error);
    expect((own as Error).message).not.toMatch(/slot is taken/);
  } finally {
    await cluster.stop();
  }
});

test('our own slot needs no free place', async () => {
  await createSlot(db.pool, `own_${db.name}`);
  expect((await preflight({ url: db.url, slotName: `own_${db.name}` })).database).toBe(db.name);
});

test('F56 a pooler in transaction mode is refused', async () => {
  const pooler = await startTransactionPooler(db.url);
  try {
    await expect(preflight({ url: pooler.url })).rejects.toMatchObject({
      code: 'hub_pooled',
      message: expect.stringContaining('transaction mode'),
    });
  } finally {
    await pooler.close();
  }
});

describe('a hub that cannot be reached', () => {
  test('nothing listens, no such database: place, cause, next step, and never the password', async () => {
    const refused = await preflight({ url: 'postgres://me:hunter2@127.0.0.1:1/hub' }).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: 'hub_unreachable',
      message: expect.stringMatching(/^hub 127\.0\.0\.1:1\/hub: nothing listens/),
    });
    expect(JSON.stringify(refused) + String(refused)).not.toContain('hunter2');
    await expect(preflight({ url: db.url.replace(db.name, 'nowhere') })).rejects.toMatchObject({
      code: 'hub_no_database',
    });
    await expect(preflight({ url: db.url.replace('postgres@', 'nobody_here@') })).rejects.toMatchObject({
      code: 'hub_credential',
    });
  });

  test('a wrong password, a server in start-up and a silent host have their own cause', () => {
    const postgresError = (code: string): Error => Object.assign(new Error('said so'), { code });
    expect(connectFailure('h:1/d', postgresError('28P01'))).toMatchObject({
      code: 'hub_credential',
      message: 'hub h:1/d: the password is wrong (said so)',
    });
    expect(connectFailure('h:1/d', postgresError('57P03')).code).toBe('hub_starting');
    expect(connectFailure('h:1/d', postgresError('53300')).code).toBe('hub_full');
    expect(connectFailure('h:1/d', new Error('timeout expired')).message).toContain('does not answer');
    expect(placeOf('not a url')).toBe('(hub.url)');
  });
});

test('an old server, a standby and another encoding are refused with a way out', () => {
  const fit = {
    version: 180_000,
    walLevel: 'logical',
    encoding: 'UTF8',
    inRecovery: false,
    readOnly: false,
    user: 'u',
    mayReplicate: true,
    mayCreate: true,
    database: 'd',
    slotsFree: 1,
    slotExists: false,
    sendersFree: 1,
    slotWalBytesMax: null,
  };
  const codes = (change: Partial<typeof fit>): string[] => judge({ ...fit, ...change }).map(({ code }) => code);
  expect(codes({})).toEqual([]);
  expect(codes({ version: 130_012 })).toEqual(['hub_version']);
  expect(codes({ inRecovery: true, readOnly: true })).toEqual(['hub_read_only']);
  expect(codes({ encoding: 'LATIN1' })).toEqual(['hub_encoding']);
  expect(codes({ sendersFree: 0 })).toEqual(['hub_no_sender']);
  for (const problem of judge({
    ...fit,
    version: 1,
    walLevel: 'minimal',
    encoding: 'x',
    inRecovery: true,
    mayReplicate: false,
    mayCreate: false,
    slotsFree: 0,
    sendersFree: 0,
  })) {
    expect(problem.hint.length).toBeGreaterThan(20);
  }
});
