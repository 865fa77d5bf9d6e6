// Two processes on one hub, a lost hub, stopping: nothing is sent twice, nothing waits for a process that is gone, nothing leaks.
import { getEventListeners } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock, type Clock } from '../../src/base/clock.js';
import { Halt } from '../../src/base/errors.js';
import { silentLog } from '../../src/base/log.js';
import { seeded } from '../../src/base/random.js';
import { Bell, superviseAll } from '../../src/engine/service.js';
import { openWheel, type Wheel } from '../support/wheel.js';

const left = { capabilities: { writeBatch: 20 }, objects: { Contact: { fields: { Email: {}, Name: {} } } } };
const person = `
entity: person
fields:
  email: { type: text, match: case-insensitive }
  name: text
spokes:
  left:
    object: Contact
    fields: { email: Email, name: Name }
    delete: propagate
`;

let wheel: Wheel | undefined;
afterEach(async () => {
  await wheel?.end();
  wheel = undefined;
});
const opened = async (): Promise<Wheel> => (wheel = await openWheel({ spokes: { left }, mappings: [person] }));

describe('two processes', () => {
  test(
    'F43 share the deliveries, send nothing twice, and one takes over capture at once',
    { timeout: 60_000 },
    async () => {
      const on = await opened();
      on.start();
      await on.settled();
      const second = on.another();
      await second.prepare();
      const stop = new AbortController();
      const running = second.run(stop.signal);
      try {
        await on.until(async () => (await second.status()).replication.state === 'standby');
        // Longer than the half second after which a process looks by itself: one alone cannot have claimed it all by then.
        on.remote('left').faults.latencyMs = 100;
        await on.sql(
          `insert into hub.person (email, name) select 'p' || i || '@x.test', 'P' || i from generate_series(1, 600) i`,
        );
        const holders = new Set<string | null>();
        await on.until(async () => {
          for (const row of await on.sql(
            `select distinct holder::text as holder from truespoke.delivery where holder is not null`,
          ))
            holders.add(row['holder'] ?? null);
          return on.remote('left').list('Contact').length === 600;
        }, 30_000);
        expect(holders.size).toBe(2);
        await on.settled();
        expect(on.remote('left').ledger.map(({ op }) => op)).toEqual(Array.from({ length: 600 }, () => 'create'));
        await on.stop();
        await on.sql(`insert into hub.person (email, name) values ('last@x.test', 'Last')`);
        await on.until(() => on.remote('left').list('Contact').length === 601, 20_000);
      } finally {
        stop.abort();
        await running;
        await second.close();
      }
    },
  );
});

describe('standing by', () => {
  test('F43 however long a process has stood by, it asks for the stream as often as at first', async () => {
    const on = await opened();
    on.start();
    await on.settled();
    const asked: number[] = [];
    const hasty: Clock = {
      ...systemClock,
      now: () => systemClock.now(),
      monotonic: () => systemClock.monotonic(),
      sleep: (ms, signal) => {
        if (second.standsBy) asked.push(ms);
        return systemClock.sleep(Math.min(ms, 50), signal);
      },
    };
    const second = { engine: on.another({ clock: hasty, roles: ['capture'] }), standsBy: false };
    await second.engine.prepare();
    const stop = new AbortController();
    const running = second.engine.run(stop.signal);
    try {
      await on.until(async () => (await second.engine.status()).replication.state === 'standby');
      second.standsBy = true;
      await on.until(() => asked.length >= 60);
      second.standsBy = false;
      // Its other loops wait two seconds at most; a service that failed as often waits seven and more.
      expect(Math.max(...asked)).toBeLessThan(5_000);
      expect((await second.engine.status()).replication.state).toBe('standby');
    } finally {
      stop.abort();
      await running;
      await second.engine.close();
    }
  });
});

describe('the hub goes away', () => {
  test('F28 F29 every connection is terminated again and again: work goes on', async () => {
    const on = await opened();
    on.start();
    await on.settled();
    for (let round = 0; round < 3; round += 1) {
      await on
        .sql(
          `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
        )
        .catch(() => undefined);
      await on.until(() => on.sql(`insert into hub.person (email, name) values ('r${round}@x.test', 'R')`));
      await on.until(() => on.remote('left').list('Contact').length === round + 1, 20_000);
    }
    const began = performance.now();
    await on.stop();
    expect(performance.now() - began).toBeLessThan(2_000);
  });
});

describe('stopping', () => {
  test('is quick while calls hang and while the spoke is paused', async () => {
    const on = await opened();
    on.start();
    await on.settled();
    on.remote('left').faults.latencyMs = 60_000;
    await on.sql(`insert into hub.person (email) values ('a@x.test')`);
    await on.until(
      async () => (await on.sql(`select 1 from truespoke.delivery where state in ('claimed', 'sent')`)).length > 0,
    );
    let began = performance.now();
    await on.stop();
    expect(performance.now() - began).toBeLessThan(2_000);
    on.remote('left').faults.latencyMs = 0;
    await on.restart();
    await on.engine.pause('left', 'test');
    await systemClock.sleep(1_200);
    began = performance.now();
    await on.stop();
    expect(performance.now() - began).toBeLessThan(2_000);
  });

  test('a service that cannot go on takes the others with it', async () => {
    let ended = false;
    const halt = new Halt({ code: 'no', message: 'cannot go on' });
    const services = [
      { name: 'a', run: () => Promise.reject(halt) },
      {
        name: 'b',
        run: async (signal: AbortSignal) => {
          await systemClock.sleep(10_000, signal);
          ended = true;
        },
      },
    ];
    const deps = { clock: systemClock, random: seeded(1), log: silentLog };
    await expect(superviseAll(deps, services, new AbortController().signal)).rejects.toBe(halt);
    expect(ended).toBe(true);
  });

  test('a loop that waits leaves nothing behind in the signal it waits under', async () => {
    const { signal } = new AbortController();
    const bell = new Bell();
    for (let round = 0; round < 50; round += 1) {
      if (round % 2 === 0) bell.ring();
      await bell.wait(systemClock, 1, signal);
    }
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    const stopped = new AbortController();
    const waiting = bell.wait(systemClock, 60_000, stopped.signal);
    stopped.abort();
    await waiting;
  });
});
