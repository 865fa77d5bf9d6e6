// The quota ledger and the connectors' memory on a real Postgres: what several processes do at once comes out as if one did it.
// Proves: Invariant 7
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { memoryLedger } from '../../src/connectors/limiter-plain.js';
import { spokeName } from '../../src/model/ids.js';
import type { QuotaLane, QuotaLedger } from '../../src/model/quota.js';
import { connectorState } from '../../src/store/connector-state.js';
import { migrate } from '../../src/store/migrate.js';
import { openPool } from '../../src/store/pool.js';
import { loadQuotas, postgresLedger, setQuotaReserve } from '../../src/store/quota.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';
import { VirtualClock } from '../support/virtual-clock.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  await migrate(db.pool, 'migrations');
});
afterAll(() => db.drop());
beforeEach(() => db.pool.query('truncate truespoke.quota, truespoke.connector_state'));

const one = (lane: QuotaLane = 'interactive') => ({ lane, cost: 1, wanted: 1 });

test('processes that take at once never take more than there is', async () => {
  const clock = new VirtualClock();
  const ledger = postgresLedger(db.pool, clock);
  await ledger.observe('remote', { remaining: 60, limit: 100 });
  await setQuotaReserve(db.pool, 'remote', 0.2, clock.now());
  const grants = await Promise.all(Array.from({ length: 100 }, () => ledger.take('remote', one())));
  expect(grants.reduce((sum, grant) => sum + grant.granted, 0)).toBe(40);
  expect((await loadQuotas(db.pool))[0]).toMatchObject({ spoke: 'remote', remaining: 20, limit: 100, reserve: 0.2 });
});

test('an unknown budget grants what is wanted; a pause holds it all the same', async () => {
  const clock = new VirtualClock();
  const ledger = postgresLedger(db.pool, clock);
  expect(await ledger.take('remote', { lane: 'backfill', cost: 3, wanted: 20 })).toEqual({
    granted: 20,
    waitMs: 0,
    reason: null,
  });
  await ledger.pause('remote', 30_000, '429');
  expect(await ledger.take('remote', one())).toEqual({ granted: 0, waitMs: 30_000, reason: 'paused' });
  await ledger.pause('remote', 10_000, 'shorter');
  clock.step(20_000);
  expect(await ledger.take('remote', one())).toEqual({ granted: 0, waitMs: 10_000, reason: 'paused' });
  clock.step(10_000);
  expect(await ledger.take('remote', one())).toMatchObject({ granted: 1 });
  expect(await loadQuotas(db.pool)).toEqual([]);
});

test('F99 a clock that steps back an hour ends a pause instead of prolonging it', async () => {
  const clock = new VirtualClock();
  const ledger = postgresLedger(db.pool, clock);
  await ledger.observe('remote', { remaining: 10, limit: 10 });
  await ledger.pause('remote', 5_000, '429');
  clock.step(-3_600_000);
  expect(await ledger.take('remote', one())).toMatchObject({ granted: 1 });
  await ledger.pause('remote', 2_000, 'again');
  expect(await ledger.take('remote', one())).toMatchObject({ granted: 0, waitMs: 2_000 });
});

test('F99 a longer pause that is told after a small step back holds for its whole length, where both end at one moment', async () => {
  const steps: readonly Step[] = [
    { kind: 'pause', ms: 1 },
    { kind: 'time', ms: -4 },
    { kind: 'pause', ms: 5 },
    { kind: 'take', lane: 'interactive', cost: 1, extra: 0 },
  ];
  expect((await bothAnswer(steps)).at(-1)).toEqual({ granted: 0, waitMs: 5, reason: 'paused' });
});

test('the SQL ledger and the pure rules agree, whatever is asked of them', async () => {
  // Small numbers too, so that moments coincide.
  const ms = (min: number) =>
    fc.oneof(fc.integer({ min, max: 20_000 }), fc.integer({ min: Math.max(min, -5), max: 5 }));
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({
      kind: fc.constant('take' as const),
      lane: fc.constantFrom('interactive' as const, 'repair' as const, 'backfill' as const),
      cost: fc.integer({ min: 1, max: 60 }),
      extra: fc.integer({ min: 0, max: 30 }),
    }),
    fc.record({ kind: fc.constant('time' as const), ms: ms(-20_000) }),
    fc.record({ kind: fc.constant('refund' as const), tokens: fc.integer({ min: 1, max: 30 }) }),
    fc.record({ kind: fc.constant('pause' as const), ms: ms(1) }),
    fc.record({
      kind: fc.constant('observe' as const),
      remaining: fc.integer({ min: -5, max: 150 }),
      restore: fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined }),
      resetInMs: fc.option(fc.integer({ min: 1, max: 30_000 }), { nil: undefined }),
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
      await bothAnswer(steps);
    }),
    { numRuns: 200 },
  );
});

type Step =
  | { kind: 'take'; lane: QuotaLane; cost: number; extra: number }
  | { kind: 'time'; ms: number }
  | { kind: 'refund'; tokens: number }
  | { kind: 'pause'; ms: number }
  | { kind: 'observe'; remaining: number; restore: number | undefined; resetInMs: number | undefined };

let runs = 0;

/** The answers to all steps; fails at the first on which the two ledgers differ. */
async function bothAnswer(steps: readonly Step[]): Promise<readonly unknown[]> {
  // A row of its own for each run: emptying the table costs more than all the steps.
  const spoke = `remote ${(runs += 1)}`;
  const clock = new VirtualClock();
  const ledgers = [postgresLedger(db.pool, clock), memoryLedger(clock)] as const;
  for (const ledger of ledgers) await ledger.observe(spoke, { remaining: 100, limit: 100, restorePerSecond: 5 });
  const answers: unknown[] = [];
  for (const step of steps) {
    if (step.kind === 'time') clock.step(step.ms);
    const [stored, pure] = [await act(ledgers[0], spoke, step, clock), await act(ledgers[1], spoke, step, clock)];
    expect(stored).toEqual(pure);
    answers.push(pure);
  }
  return answers;
}

async function act(ledger: QuotaLedger, spoke: string, step: Step, clock: VirtualClock): Promise<unknown> {
  switch (step.kind) {
    case 'take':
      return ledger.take(spoke, { lane: step.lane, cost: step.cost, wanted: step.cost + step.extra });
    case 'refund':
      return ledger.refund(spoke, step.tokens);
    case 'pause':
      return ledger.pause(spoke, step.ms, 'told');
    case 'observe':
      return ledger.observe(spoke, {
        remaining: step.remaining,
        limit: 100,
        ...(step.restore === undefined ? {} : { restorePerSecond: step.restore }),
        ...(step.resetInMs === undefined ? {} : { resetAtMs: clock.now() + step.resetInMs }),
      });
    case 'time':
      return undefined;
  }
}

const stateOf = (name: string, pool = db.pool, lockWaitMs = 5_000) =>
  connectorState({ spoke: spokeName(name), pool, clock: systemClock, lockWaitMs });

test('a connector finds again what it stored, of its own spoke only', async () => {
  await stateOf('a').put('token', 'one');
  await stateOf('a').put('token', 'two');
  expect(await stateOf('a').get('token')).toBe('two');
  expect(await stateOf('b').get('token')).toBeNull();
  await stateOf('a').put('token', null);
  expect(await stateOf('a').get('token')).toBeNull();
});

test('one at a time holds a key, in one process and across processes; other keys go on', async () => {
  const other = openPool({ url: db.url, applicationName: 'another process', max: 4 });
  try {
    const states = [stateOf('a'), stateOf('a'), stateOf('a', other), stateOf('a', other)];
    let [inside, most, runs] = [0, 0, 0];
    const body = async (): Promise<void> => {
      most = Math.max(most, (inside += 1));
      await states[0]?.put('seen', 'x');
      await systemClock.sleep(5);
      inside -= 1;
      runs += 1;
    };
    await Promise.all([...states, ...states].map((state) => state.exclusive('refresh', body)));
    expect({ most, runs }).toEqual({ most: 1, runs: 8 });
    const nested = await states[0]?.exclusive('refresh', () =>
      stateOf('b').exclusive('refresh', () => Promise.resolve('inner')),
    );
    expect(nested).toBe('inner');
  } finally {
    await other.end();
  }
});

test('a body that fails lets go of the key, and a holder that dies too', async () => {
  const state = stateOf('a');
  await expect(state.exclusive('refresh', () => Promise.reject(new Error('no token')))).rejects.toThrow('no token');
  expect(await state.exclusive('refresh', () => Promise.resolve('free'))).toBe('free');
  const dying = openPool({ url: db.url, applicationName: 'dying', max: 2 });
  const held = stateOf('a', dying).exclusive('refresh', async () => {
    await db.pool.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dying'`);
    return 'its body ended';
  });
  expect(await held).toBe('its body ended');
  expect(await state.exclusive('refresh', () => Promise.resolve('free'))).toBe('free');
  await dying.end();
});

test('a key that stays held is given up with the place and the next step', async () => {
  const other = openPool({ url: db.url, applicationName: 'holder', max: 2 });
  let release = (): void => undefined;
  const until = new Promise<void>((resolve) => (release = resolve));
  let entered = (): void => undefined;
  const inside = new Promise<void>((resolve) => (entered = resolve));
  const holding = stateOf('a', other).exclusive('refresh', () => (entered(), until));
  await inside;
  await expect(stateOf('a', db.pool, 150).exclusive('refresh', () => Promise.resolve())).rejects.toThrow('a/refresh');
  release();
  await holding;
  await other.end();
});
