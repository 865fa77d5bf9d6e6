// Proves that all spokes of a process learn of pauses by one look at the hub a second, and that a pause made here holds at once.
import { resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SpokePaused } from '../../src/base/errors.js';
import { silentLog } from '../../src/base/log.js';
import { Pauses } from '../../src/engine/pauses.js';
import { spokeName } from '../../src/model/ids.js';
import { migrate } from '../../src/store/migrate.js';
import type { Pool } from '../../src/store/pool.js';
import { pauseSpoke, registerSpoke, resumeSpoke } from '../../src/store/spokes.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';
import { VirtualClock } from '../support/virtual-clock.js';

const names = ['left', 'right'].map(spokeName);
const [left, right] = names as [ReturnType<typeof spokeName>, ReturnType<typeof spokeName>];
const never = new AbortController().signal;

let db: TestDatabase;
let clock: VirtualClock;
let looks: number;
let pauses: Pauses;
beforeEach(async () => {
  db = await testDatabase();
  await migrate(db.pool, resolve('migrations'));
  for (const name of names) await registerSpoke(db.pool, name, 'memory');
  clock = new VirtualClock();
  looks = 0;
  const pool = {
    query: (text: string, values?: unknown[]) => {
      if (text.startsWith('select')) looks += 1;
      return db.pool.query(text, values);
    },
  } as unknown as Pool;
  pauses = new Pauses({ pool, clock, log: silentLog });
});
afterEach(() => db.drop());

const open = (name: typeof left): Promise<void> => pauses.gateOf(name).whenOpen(never);

test('many spokes that ask within a second cost one look', async () => {
  await Promise.all([open(left), open(right), open(left)]);
  await open(right);
  expect(looks).toBe(1);
  await clock.advance(1_000);
  await Promise.all([open(left), open(right)]);
  expect(looks).toBe(2);
});

test('a spoke that a person paused waits until it is resumed, and the others do not', async () => {
  await pauseSpoke(db.pool, left, { atMs: 0, by: 'person', reason: 'asked', hint: null });
  let isOpen = false;
  const waiting = open(left).then(() => (isOpen = true));
  await open(right);
  await clock.advance(3_000);
  expect(isOpen).toBe(false);
  await resumeSpoke(db.pool, left);
  await expect
    .poll(async () => {
      await clock.advance(500);
      return isOpen;
    })
    .toBe(true);
  await waiting;
});

test('a pause made here holds at once, whatever a look says that began before it', async () => {
  const early = open(right);
  const paused = pauses
    .gateOf(left)
    .pause(new SpokePaused({ code: 'credentials', spoke: left, message: 'the key was revoked' }));
  await Promise.all([early, paused]);
  let isOpen = false;
  void open(left).then(() => (isOpen = true));
  await clock.advance(400);
  expect(isOpen).toBe(false);
});
