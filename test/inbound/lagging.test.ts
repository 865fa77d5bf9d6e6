// A read by id that lags behind the listing that asked for it is made again (F98).
// Proves: Law 4, Law 8
import { afterEach, describe, expect, test } from 'vitest';
import { lookAgain } from '../../src/inbound/lagging.js';
import { shownBy } from '../../src/model/shown.js';
import { externalId, objectName, version } from '../../src/model/ids.js';
import { missingRecord, type RemoteRecord } from '../../src/model/record.js';
import { openWheel, type Wheel } from '../support/wheel.js';

const record = (at: string, deleted = false): RemoteRecord => ({
  ...missingRecord(objectName('Contact'), externalId('c-1')),
  version: version(at),
  deleted,
});

describe('what a listing showed', () => {
  test.each([
    ['an older read lags', record('2'), record('1'), true],
    ['the same is what was asked for', record('2'), record('2'), false],
    ['a newer one as well', record('2'), record('3'), false],
    ['of a deletion, the record as it was before lags', record('2', true), record('2'), true],
    ['of a deletion, a record that is back does not', record('2', true), record('3'), false],
    ['an absence is doubted elsewhere', record('2'), undefined, false],
    ['without versions a read is taken at its word', record(''), record(''), false],
  ])('%s', (_, listed, read, lags) => {
    expect(lookAgain(shownBy(listed), read) !== null).toBe(lags);
  });

  test('is waited for ever more rarely, and not for ever', () => {
    const delays: number[] = [];
    for (let shown = shownBy(record('2')); ;) {
      const again = lookAgain(shown, record('1'));
      if (again === null) break;
      delays.push(again.delayMs);
      shown = again.shown;
    }
    expect(delays).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });
});

describe('the running engine', () => {
  let wheel: Wheel | undefined;
  afterEach(async () => {
    await wheel?.end();
    wheel = undefined;
  });

  test('F98 an edit that was listed while it could not be judged comes in although the read after it lags', async () => {
    const on = (wheel = await openWheel({
      spokes: {
        left: { versions: 'counter', capabilities: { stream: false }, objects: { Contact: { fields: { Name: {} } } } },
      },
      mappings: [
        'entity: person\nfields: { name: text }\nspokes: { left: { object: Contact, fields: { name: Name } } }',
      ],
      engine: { pollMs: 600_000 },
    }));
    const remote = on.remote('left');
    const id = remote.create('Contact', { Name: 'Ann' });
    on.start();
    await on.until(async () => (await on.sql('select 1 from hub.person')).length === 1);
    await on.settled();
    // The first poll is over, and there will be no other.
    await on.until(async () => (await on.sql(`select 1 from truespoke.cursor where kind = 'changes'`)).length === 1);
    // And the record is older than reads will lag, or it would be an absence.
    await on.until(() => remote.view(objectName('Contact'), 1_500).get(id) !== undefined);
    remote.faults.staleReadMs = 1_500;
    remote.edit('Contact', id, { Name: 'Anna' });
    const listed = shownBy(record(String(remote.get('Contact', id)?.stamp).padStart(16, '0')));
    await on.sql(
      `insert into truespoke.inbox (spoke, event_id, topic, object, external_id, deleted, compliance, body, received_at)
       values ('left', 'refetch:in_flight', 'refetch', 'Contact', $1, false, false, $2, now())`,
      [id, listed],
    );
    await on.until(async () => (await on.sql(`select 1 from hub.person where name = 'Anna'`)).length === 1);
    await on.settled();
  });

  test('F102 a record that has just come to be is not gone because reads by id do not show it yet, however often they are made', async () => {
    const on = (wheel = await openWheel({
      spokes: { left: { capabilities: { stream: false }, objects: { Contact: { fields: { Name: {} } } } } },
      mappings: [
        'entity: person\nfields: { name: text }\nspokes: { left: { object: Contact, fields: { name: Name }, delete: propagate } }',
      ],
      engine: { pollMs: 600_000 },
    }));
    const remote = on.remote('left');
    on.start();
    await on.settled();
    await on.sql(`insert into hub.person (name) values ('Ann')`);
    await on.until(() => remote.list('Contact').length === 1);
    await on.settled();
    remote.faults.staleReadMs = 60_000;
    await on.sql(
      `insert into truespoke.inbox (spoke, event_id, topic, object, external_id, deleted, compliance, received_at)
       values ('left', 'absent:once', 'absent', 'Contact', $1, false, false, now())`,
      [remote.list('Contact')[0]?.id],
    );
    const asked = `select 1 from truespoke.inbox where topic = 'absent' and event_id <> 'absent:once' and not_before > received_at`;
    await on.until(async () => (await on.sql(asked)).length > 0);
    expect(await on.sql('select name from hub.person')).toEqual([{ name: 'Ann' }]);
    remote.faults.heal();
    await on.settled();
    expect([await on.sql('select name from hub.person'), remote.list('Contact').length]).toEqual([
      [{ name: 'Ann' }],
      1,
    ]);
  });

  const person =
    'entity: person\nfields: { name: text, note: text }\n' +
    'spokes: { left: { object: Contact, fields: { name: Name, note: Note }, delete: propagate } }';

  /** A record that both know, and that reads by id do not show yet. */
  async function notShownYet(): Promise<{ readonly on: Wheel; readonly id: string }> {
    const objects = { Contact: { fields: { Name: {}, Note: {} } } };
    const on = (wheel = await openWheel({
      spokes: { left: { versions: 'counter', capabilities: { stream: false }, objects } },
      mappings: [person],
      engine: { pollMs: 600_000 },
    }));
    on.start();
    await on.settled();
    await on.sql(`insert into hub.person (name) values ('Ann')`);
    await on.until(() => on.remote('left').list('Contact').length === 1);
    await on.settled();
    on.remote('left').faults.staleReadMs = 60_000;
    return { on, id: on.remote('left').list('Contact')[0]?.id ?? '' };
  }

  async function stillThere(on: Wheel, fields: Readonly<Record<string, string>>): Promise<void> {
    on.remote('left').faults.heal();
    await on.until(async () => (await on.sql('select 1 from truespoke.delivery')).length === 0);
    const [shown] = on.remote('left').list('Contact');
    expect([await on.sql('select name, note from hub.person'), shown?.fields]).toEqual([
      [{ name: fields['Name'], note: fields['Note'] }],
      fields,
    ]);
  }

  const looked = (on: Wheel): Promise<unknown> => {
    const before = on.remote('left').calls['fetch'] ?? 0;
    return on.until(() => (on.remote('left').calls['fetch'] ?? 0) > before + 1);
  };

  test('F102 a record that refused our condition exists, whatever a read by id that lags says', async () => {
    const { on, id } = await notShownYet();
    on.remote('left').edit('Contact', id, { Note: 'by hand' });
    await on.sql(`update hub.person set name = 'Anna'`);
    await looked(on);
    expect(await on.sql('select name from hub.person')).toEqual([{ name: 'Anna' }]);
    await stillThere(on, { Name: 'Anna', Note: 'by hand' });
  });

  test('F102 a record that has just come to be is not gone because the read-back of an unanswered write does not show it', async () => {
    const { on } = await notShownYet();
    on.remote('left').faults.next('lostApplied');
    await on.sql(`update hub.person set name = 'Anna'`);
    await looked(on);
    expect(await on.sql('select name from hub.person')).toEqual([{ name: 'Anna' }]);
    await on.sql(`update hub.person set note = 'later'`);
    await stillThere(on, { Name: 'Anna', Note: 'later' });
  });
});
