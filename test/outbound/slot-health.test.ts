import { expect, test } from 'vitest';
import { lsn } from '../../src/model/lsn.js';
import { slotHealth } from '../../src/outbound/slot-health.js';
import { readSlot, createSlot, type SlotRow } from '../../src/store/slots.js';
import { serverVersion, testDatabase } from '../support/postgres.js';

const gibibyte = 1024 ** 3;
const row: SlotRow = {
  name: 's',
  plugin: 'pgoutput',
  database: 'd',
  temporary: false,
  active: true,
  activePid: 7,
  walStatus: 'reserved',
  invalidation: null,
  restartLsn: lsn(1_000n),
  confirmedLsn: lsn(1_500n),
  currentLsn: lsn(2_000n),
  safeWalBytes: null,
  keepBytesMax: null,
  oldestTransaction: null,
};
const behind = (bytes: number): SlotRow => ({ ...row, currentLsn: lsn(1_000n + BigInt(bytes)) });

test('an active slot that keeps up is healthy, and its lag is counted from what was acknowledged', () => {
  expect(slotHealth(row)).toEqual({
    status: 'healthy',
    lagBytes: 500,
    retainedBytes: 1000,
    used: null,
    longTransaction: null,
    advice: null,
  });
});

test('F37 the alarm comes at half of max_slot_wal_keep_size, or at the default without one', () => {
  const limited = (bytes: number): SlotRow => ({ ...behind(bytes), keepBytesMax: 2 * gibibyte, safeWalBytes: 1 });
  expect(slotHealth(limited(gibibyte - 1)).status).toBe('healthy');
  expect(slotHealth(limited(gibibyte))).toMatchObject({ status: 'lagging', used: 0.5 });
  expect(slotHealth(behind(4 * gibibyte - 1)).status).toBe('healthy');
  expect(slotHealth(behind(4 * gibibyte)).status).toBe('lagging');
});

test('every state of pg_replication_slots has its name', () => {
  expect(slotHealth(null).status).toBe('missing');
  expect(slotHealth({ ...row, active: false }).status).toBe('inactive');
  expect(slotHealth({ ...row, walStatus: 'unreserved' }).status).toBe('endangered');
  expect(slotHealth({ ...row, walStatus: 'lost' }).status).toBe('lost');
  expect(slotHealth({ ...row, invalidation: 'idle_timeout' })).toMatchObject({
    status: 'lost',
    advice: expect.stringContaining('idle_timeout'),
  });
  expect(slotHealth({ ...row, walStatus: null, restartLsn: null, confirmedLsn: null }).lagBytes).toBe(0);
});

test('F42 a long transaction that holds the slot is reported with its pid', async () => {
  const db = await testDatabase();
  await db.pool.query('CREATE TABLE t (id int)');
  await createSlot(db.pool, `s_${db.name}`);
  const open = await db.pool.connect();
  await open.query('BEGIN; INSERT INTO t VALUES (1)');
  const pid = Number((await open.query('SELECT pg_backend_pid() AS pid')).rows[0]?.['pid']);
  const health = slotHealth(await readSlot(db.pool, `s_${db.name}`, await serverVersion(db.pool)), {
    longTransactionMs: 0,
  });
  expect(health.longTransaction?.pid).toBe(pid);
  expect(health.advice).toContain(`pg_terminate_backend(${pid})`);
  await open.query('ROLLBACK');
  open.release();
  expect(
    slotHealth(await readSlot(db.pool, `s_${db.name}`, await serverVersion(db.pool)), { longTransactionMs: 0 })
      .longTransaction,
  ).toBeNull();
  await db.drop();
});
