// What hints bring in before an object is read for the first time: from then on the feed of its changes stands behind it.
// Proves: Law 4, Law 7
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import type { MemoryRemote } from '../../src/connectors/memory/remote.js';
import { externalId, objectName } from '../../src/model/ids.js';
import { openWorker } from '../../src/store/workers.js';
import { openWheel, type Wheel } from '../support/wheel.js';

const thing = `
entity: thing
fields: { code: { type: text, match: exact } }
spokes:
  left: { object: Thing, fields: { code: Code }, delete: propagate }
`;

let wheel: Wheel;
afterEach(() => wheel.end());

const rows = async (): Promise<number> => (await wheel.sql('select 1 from hub.thing')).length;
const tell = (left: MemoryRemote, id: string): void =>
  left.tell({ kind: 'hint', hint: { object: objectName('Thing'), externalId: externalId(id), deleted: false } });

interface Held {
  readonly left: MemoryRemote;
  /** From now on what it heard of is read by id. */
  readonly look: () => Promise<void>;
  /** From now on all that is there is listed. */
  readonly list: () => Promise<void>;
}

/** It hears of what happens at the spoke; somebody else holds the turns to read anything there. */
async function hearing(): Promise<Held> {
  wheel = await openWheel({ spokes: { left: { objects: { Thing: { fields: { Code: {} } } } } }, mappings: [thing] });
  const [looks, lists] = [await openWorker(wheel.db.pool), await openWorker(wheel.db.pool)];
  expect([await looks.tryLock('inbox/left'), await lists.tryLock('inbound/left')]).toEqual([true, true]);
  wheel.start();
  const left = wheel.remote('left');
  const heard = async (id: string): Promise<boolean> =>
    (await wheel.sql('select 1 from truespoke.inbox where external_id = $1', [id])).length > 0;
  await wheel.until(() => {
    tell(left, 'first');
    return heard('first');
  });
  tell(left, 'last');
  await wheel.until(() => heard('last'));
  await wheel.sql('delete from truespoke.inbox');
  // Only we tell of anything.
  left.faults.hintDrop = 1;
  return { left, look: () => looks.close(), list: () => lists.close() };
}

test('F87 a record that a hint brought in is deleted before the first reading, and nobody hears of it: the feed tells', async () => {
  const { left, look, list } = await hearing();
  const id = left.create('Thing', { Code: 'a' });
  tell(left, id);
  await look();
  await wheel.until(async () => (await rows()) === 1);
  left.remove('Thing', id);
  await list();
  await wheel.until(async () => (await rows()) === 0);
});

test('F90 the first read by id lags behind a deletion that came before the feed began: it is made once more', async () => {
  const { left, look, list } = await hearing();
  const id = left.create('Thing', { Code: 'a' });
  const madeMs = systemClock.monotonic();
  await wheel.until(() => systemClock.monotonic() > madeMs + 400);
  left.remove('Thing', id);
  // Reads by id show what was half-way between the two, whenever they are made.
  const lag = { get: () => systemClock.monotonic() - madeMs - 200, configurable: true };
  Object.defineProperty(left.faults, 'staleReadMs', lag);
  tell(left, id);
  await look();
  await wheel.until(async () => (await rows()) === 1);
  Object.defineProperty(left.faults, 'staleReadMs', { value: 0, writable: true });
  await list();
  await wheel.until(async () => (await rows()) === 0);
});
