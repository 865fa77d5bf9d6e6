// Hints of a stream on their way into the inbox: together where they come together, none left out, and a failure is told.
import { resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { silentLog } from '../../src/base/log.js';
import { seeded, seededIds } from '../../src/base/random.js';
import type { StreamEvent } from '../../src/connectors/connector.js';
import type { EngineContext, LiveSpoke } from '../../src/engine/context.js';
import { listenSpoke } from '../../src/engine/inbox-service.js';
import { externalId, objectName, spokeName } from '../../src/model/ids.js';
import { migrate } from '../../src/store/migrate.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';

let db: TestDatabase;
beforeEach(async () => {
  db = await testDatabase();
  await migrate(db.pool, resolve('migrations'));
});
afterEach(() => db.drop());

const hint = (id: number): StreamEvent => ({
  kind: 'hint',
  hint: { object: objectName('Thing'), externalId: externalId(String(id)), deleted: false },
});

/** A stream that gives these, then waits for its end; the hub answers when `open` resolves. */
function listening(count: number, open: Promise<void>): { readonly statements: number[]; readonly run: Promise<void> } {
  const statements: number[] = [];
  const given = new AbortController();
  async function* listen(_objects: unknown, signal: AbortSignal): AsyncGenerator<StreamEvent> {
    for (let id = 1; id <= count; id += 1) yield hint(id);
    given.abort();
    if (!signal.aborted) await new Promise<void>((end) => signal.addEventListener('abort', () => end()));
  }
  const pool = {
    async query(statement: { readonly values: readonly (readonly unknown[])[] }) {
      statements.push(statement.values[1]?.length ?? 0);
      await open;
      return db.pool.query(statement as never);
    },
  };
  const ids = seededIds(systemClock, seeded(1));
  const context = { pool, ids, clock: systemClock, session: { tryLock: () => Promise.resolve(true) } };
  const live = {
    name: spokeName('left'),
    objects: [objectName('Thing')],
    log: silentLog,
    spoke: { listen },
    hintBell: { ring: () => undefined },
    whenOpen: () => Promise.resolve(),
  };
  const run = listenSpoke(context as unknown as EngineContext, live as unknown as LiveSpoke, given.signal);
  return { statements, run };
}

test('hints that arrive while others are being stored are stored together, in their order, none left out', async () => {
  let answer = (): void => undefined;
  const { statements, run } = listening(50, new Promise((done) => (answer = done)));
  await expect.poll(() => statements).toEqual([1]);
  answer();
  await run;
  expect(statements).toEqual([1, 49]);
  const { rows } = await db.pool.query(`select external_id from truespoke.inbox order by id`);
  expect(rows.map((row) => Number(row['external_id']))).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
});

test('the stream waits while more hints than are kept wait for the hub', async () => {
  let answer = (): void => undefined;
  const { statements, run } = listening(2_500, new Promise((done) => (answer = done)));
  answer();
  await run;
  expect(Math.max(...statements)).toBeLessThanOrEqual(1_000);
  expect(statements.reduce((sum, one) => sum + one, 0)).toBe(2_500);
});

test('a hint that cannot be stored ends the stream, which then begins anew with a poll', async () => {
  const { run } = listening(3, Promise.reject(new Error('the hub is gone')));
  await expect(run).rejects.toThrow('the hub is gone');
});
