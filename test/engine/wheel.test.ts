// The wheel turns: two spokes and the hub, with the real engine.
// Proves: Law 1, Law 7, Law 8
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RemoteFields, RemoteValue } from '../../src/model/record.js';
import { openWheel, type Wheel } from '../support/wheel.js';

const person = `
entity: person
fields:
  email: { type: text, match: case-insensitive }
  name: text
  size: { type: decimal, scale: 2 }
spokes:
  left:
    object: Contact
    fields: { email: Email, name: Name, size: Size }
    delete: propagate
  right:
    object: Client
    fields: { email: mail, name: { remote: label, via: trim }, size: weight }
    delete: propagate
`;

const spokes = {
  left: { objects: { Contact: { fields: { Email: {}, Name: {}, Size: { type: 'number' as const } } } } },
  right: {
    objects: {
      Client: { fields: { mail: { normalise: ['lowercase'] }, label: {}, weight: { type: 'number' as const } } },
    },
  },
};

const fields = (values: Record<string, RemoteValue>): RemoteFields => values as RemoteFields;

let wheel: Wheel;
beforeEach(async () => {
  wheel = await openWheel({ spokes, mappings: [person] });
});
afterEach(() => wheel.end());

describe('the wheel', () => {
  test('existing records are matched, linked, and pushed where they lack', async () => {
    wheel.remote('left').create('Contact', fields({ Email: 'Ann@x.test', Name: 'Ann', Size: 1.5 }));
    wheel.remote('left').create('Contact', fields({ Email: 'bob@x.test', Name: 'Bob', Size: 2 }));
    wheel.remote('right').create('Client', fields({ mail: 'ann@x.test', label: 'Ann', weight: 1.5 }));
    wheel.remote('right').create('Client', fields({ mail: 'cy@x.test', label: 'Cy', weight: 3 }));
    wheel.start();
    await wheel.settled();
    expect(await wheel.sql('select lower(email) as email, name, size::text from hub.person order by 1')).toEqual([
      { email: 'ann@x.test', name: 'Ann', size: '1.50' },
      { email: 'bob@x.test', name: 'Bob', size: '2.00' },
      { email: 'cy@x.test', name: 'Cy', size: '3.00' },
    ]);
    expect(
      wheel
        .remote('left')
        .list('Contact')
        .map((row) => row.fields['Name' as never]),
    ).toEqual(['Ann', 'Bob', 'Cy']);
    expect(
      wheel
        .remote('right')
        .list('Client')
        .map((row) => row.fields['label' as never]),
    ).toEqual(['Ann', 'Cy', 'Bob']);
    const [links] = await wheel.sql(`select count(*)::text as n from truespoke.link where state = 'live'`);
    expect(links?.['n']).toBe('6');
  });

  test('plain SQL reaches both spokes, and a remote edit reaches the hub and the other spoke', async () => {
    wheel.start();
    await wheel.settled();
    await wheel.sql(`insert into hub.person (email, name, size) values ('dee@x.test', 'Dee', 7)`);
    const left = await wheel.until(() => wheel.remote('left').list('Contact')[0]);
    await wheel.until(() => wheel.remote('right').list('Client')[0]);
    wheel.remote('left').edit('Contact', left.id, fields({ Name: 'Dee Dee' }));
    await wheel.until(() => wheel.remote('right').list('Client')[0]?.fields['label' as never] === 'Dee Dee');
    await wheel.settled();
    expect(await wheel.sql('select name from hub.person')).toEqual([{ name: 'Dee Dee' }]);
    const writes = wheel
      .remote('right')
      .ledger.filter((entry) => entry.by === 'self')
      .map((entry) => entry.op);
    expect(writes).toEqual(['create', 'update']);
  });

  test('a deletion travels to the hub and the other spoke', async () => {
    const id = wheel.remote('left').create('Contact', fields({ Email: 'eve@x.test', Name: 'Eve' }));
    wheel.start();
    await wheel.until(() => wheel.remote('right').list('Client')[0]);
    await wheel.settled();
    wheel.remote('left').remove('Contact', id);
    await wheel.until(() => wheel.remote('right').list('Client').length === 0);
    expect(await wheel.sql('select count(*)::text as n from hub.person')).toEqual([{ n: '0' }]);
  });

  test('idle polls cost no write', async () => {
    wheel.remote('left').create('Contact', fields({ Email: ' Fay@X.test ', Name: ' Fay ', Size: 1 }));
    wheel.start();
    await wheel.settled();
    const before = [wheel.remote('left').ledger.length, wheel.remote('right').ledger.length];
    const polls = wheel.remote('left').calls['changes'] ?? 0;
    await wheel.until(() => (wheel.remote('left').calls['changes'] ?? 0) >= polls + 10);
    expect([wheel.remote('left').ledger.length, wheel.remote('right').ledger.length]).toEqual(before);
  });

  test('a webhook of a spoke that is not connected yet may come again; one of nobody may not', async () => {
    const answer = (spoke: string): Promise<{ readonly status: number }> =>
      wheel.engine.webhook(spoke, {}, new Uint8Array());
    expect([await answer('left'), await answer('nobody')]).toEqual([{ status: 503 }, { status: 404 }]);
    wheel.start();
    // Connected, and this connector takes none.
    await wheel.until(async () => (await answer('left')).status === 404);
  });

  test('a restart goes on from Postgres alone', async () => {
    wheel.start();
    await wheel.settled();
    await wheel.stop();
    await wheel.sql(`insert into hub.person (email, name) values ('gil@x.test', 'Gil')`);
    await wheel.restart();
    await wheel.until(() => wheel.remote('left').list('Contact')[0]);
    await wheel.settled();
    expect(wheel.remote('left').list('Contact')).toHaveLength(1);
  });
});
