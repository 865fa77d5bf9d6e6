// The limiter's promises, over both ways of counting running calls: bottleneck (production) and plain (simulation).
// Proves: Law 9, Law 10, Invariant 7
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BadRecord, OutcomeUnknown, RateLimited, Retriable } from '../../src/base/errors.js';
import { silentLog } from '../../src/base/log.js';
import { seeded } from '../../src/base/random.js';
import type { Lane } from '../../src/connectors/connector.js';
import type { BoundLimiter, LimiterOptions } from '../../src/connectors/limiter-gate.js';
import { memoryLedger, plainLimiter } from '../../src/connectors/limiter-plain.js';
import { openLimiter } from '../../src/connectors/limiter.js';
import { spokeName } from '../../src/model/ids.js';
import type { Quota, QuotaLedger } from '../../src/model/quota.js';
import { settled, VirtualClock } from '../support/virtual-clock.js';

const spoke = spokeName('remote');
const failing = () => Promise.reject(new Retriable({ code: 'down', message: 'down' }));
const ask = (lane: Lane = 'interactive', signal?: AbortSignal) => ({
  cost: 1,
  lane,
  ...(signal === undefined ? {} : { signal }),
});

/** A call that a test ends when it likes. */
function held(): {
  call: () => Promise<string>;
  end: (value?: string) => void;
  fail: (error: Error) => void;
  started: () => number;
} {
  let count = 0;
  let end: (value?: string) => void = () => undefined;
  let fail: (error: Error) => void = () => undefined;
  const promise = new Promise<string>((resolve, reject) => {
    end = (value = 'done') => resolve(value);
    fail = reject;
  });
  return {
    call: () => ((count += 1), promise),
    end: (value) => end(value),
    fail: (error) => fail(error),
    started: () => count,
  };
}

describe.each([
  ['bottleneck', openLimiter],
  ['plain', plainLimiter],
])('limiter over %s', (_name, open: (options: LimiterOptions) => BoundLimiter) => {
  let clock: VirtualClock;
  let opened: BoundLimiter[] = [];
  beforeEach(() => {
    clock = new VirtualClock();
    opened = [];
  });
  afterEach(async () => {
    for (const each of opened) await each.close();
  });

  const make = (more: Partial<LimiterOptions> = {}): BoundLimiter => {
    const limiter = open({
      spoke,
      clock,
      random: seeded(3),
      log: silentLog,
      ledger: memoryLedger(clock),
      signal: new AbortController().signal,
      concurrency: 4,
      ...more,
    });
    opened.push(limiter);
    return limiter;
  };

  test('never more calls at once than allowed, and every one runs', async () => {
    const limiter = make({ concurrency: 3 });
    let [running, most, done] = [0, 0, 0];
    const all = Array.from({ length: 12 }, () =>
      limiter.run(ask(), async () => {
        most = Math.max(most, (running += 1));
        await clock.sleep(10);
        running -= 1;
        done += 1;
      }),
    );
    await clock.advance(100);
    await Promise.all(all);
    expect({ most, done }).toEqual({ most: 3, done: 12 });
  });

  test('interactive goes before repair before backfill', async () => {
    const limiter = make({ concurrency: 1 });
    const first = held();
    const busy = limiter.run(ask(), first.call);
    await settled();
    const order: string[] = [];
    const lanes = ['backfill', 'repair', 'interactive', 'backfill', 'interactive'] as const;
    const rest = lanes.map((lane) => limiter.run(ask(lane), () => Promise.resolve(void order.push(lane))));
    // bottleneck takes a timer's turn to queue each call.
    for (let turn = 0; turn < 10; turn++) await settled();
    first.end();
    await Promise.all([busy, ...rest]);
    expect(order).toEqual(['interactive', 'interactive', 'repair', 'backfill', 'backfill']);
  });

  test('F99 starts keep their spacing while the wall clock jumps back and forth', async () => {
    const limiter = make({ spacingMs: 100 });
    const starts: number[] = [];
    const all = Array.from({ length: 5 }, () =>
      limiter.run(ask(), () => Promise.resolve(void starts.push(clock.monotonic()))),
    );
    const wall = vi.spyOn(Date, 'now').mockImplementation(() => clock.now());
    for (const jump of [-3_600_000, 7_200_000, -3_600_000, 0, 0, 0]) {
      clock.step(jump);
      await clock.advance(100);
    }
    wall.mockRestore();
    await Promise.all(all);
    expect(starts).toEqual([0, 100, 200, 300, 400]);
  });

  test('F59 after "wait" no call starts before its time, then all go on', async () => {
    const limiter = make();
    limiter.backOff(5_000, 'told to wait');
    const call = held();
    const running = limiter.run(ask(), call.call);
    await clock.advance(4_999);
    expect(call.started()).toBe(0);
    expect(limiter.status()).toMatchObject({ pausedReason: 'told to wait', waiting: 1 });
    await clock.advance(1);
    expect(call.started()).toBe(1);
    call.end();
    await running;
  });

  test('a call that was queued when the remote said "wait" waits too', async () => {
    const limiter = make({ concurrency: 1 });
    const first = held();
    const busy = limiter.run(ask(), first.call);
    await settled();
    const second = held();
    const queued = limiter.run(ask(), second.call);
    await settled();
    limiter.backOff(3_000, '429');
    first.end();
    await busy;
    await clock.advance(2_999);
    expect(second.started()).toBe(0);
    await clock.advance(1);
    expect(second.started()).toBe(1);
    second.end();
    await queued;
  });

  test('F61 a wait longer than the lane tolerates is told at once, with its length, without a call', async () => {
    const limiter = make();
    limiter.backOff(3_600_000, 'daily limit');
    const call = held();
    const error = await limiter.run(ask(), call.call).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RateLimited);
    expect((error as RateLimited).retryAfterMs).toBe(3_600_000);
    expect((error as RateLimited).message).toContain('daily limit');
    limiter.backOff(10, 'a shorter wait does not shorten the longer');
    expect(limiter.status().pausedMs).toBe(3_600_000);
    await clock.advance(3_600_000);
    call.end();
    expect(await limiter.run(ask(), call.call)).toBe('done');
  });

  test('F62 failures in a row open the breaker; one probe decides; failing again waits longer', async () => {
    const limiter = make({ breaker: { failuresMax: 3, openMs: 1_000, openMsMax: 60_000 } });
    for (let n = 0; n < 3; n++) await expect(limiter.run(ask(), failing)).rejects.toThrow('down');
    expect(limiter.status().breaker).toBe('open');
    const probe = held();
    const others = held();
    const first = limiter.run(ask(), probe.call);
    const rest = [limiter.run(ask(), others.call), limiter.run(ask(), others.call)];
    await clock.advance(1_000);
    expect([probe.started(), others.started()]).toEqual([1, 0]);
    expect(limiter.status().breaker).toBe('half-open');
    probe.fail(new OutcomeUnknown({ code: 'lost', message: 'lost' }));
    await expect(first).rejects.toThrow('lost');
    await clock.advance(1_700);
    expect(others.started()).toBe(0);
    await clock.advance(400);
    expect(others.started()).toBe(1);
    others.end();
    await Promise.all(rest);
    expect(others.started()).toBe(2);
    expect(limiter.status().breaker).toBe('closed');
  });

  test('F62 an answer with status 503 is a failure; a rejected record and a 404 are not', async () => {
    const limiter = make({ breaker: { failuresMax: 2, openMs: 1_000, openMsMax: 1_000 } });
    for (let n = 0; n < 5; n++) {
      await limiter
        .run(ask(), () => Promise.reject(new BadRecord({ code: 'no', message: 'no' })))
        .catch(() => undefined);
      await limiter.run(ask(), () => Promise.resolve({ status: 404 }));
    }
    expect(limiter.status().breaker).toBe('closed');
    for (let n = 0; n < 2; n++) await limiter.run(ask(), () => Promise.resolve({ status: 503 }));
    expect(limiter.status().breaker).toBe('open');
  });

  test('a cancelled probe says nothing: the next call probes', async () => {
    const limiter = make({ breaker: { failuresMax: 1, openMs: 1_000, openMsMax: 1_000 } });
    await expect(limiter.run(ask(), failing)).rejects.toThrow('down');
    await clock.advance(1_000);
    const stop = new AbortController();
    const probe = held();
    const cancelled = limiter.run(ask('interactive', stop.signal), probe.call);
    await settled();
    stop.abort(new Error('stopped'));
    probe.fail(new Retriable({ code: 'aborted', message: 'aborted' }));
    await expect(cancelled).rejects.toThrow();
    expect(await limiter.run(ask(), () => Promise.resolve('well'))).toBe('well');
    expect(limiter.status().breaker).toBe('closed');
  });

  test('an aborted caller leaves the queue at once and its call is never made', async () => {
    const limiter = make({ concurrency: 1 });
    const first = held();
    const busy = limiter.run(ask(), first.call);
    await settled();
    const stop = new AbortController();
    const queued = held();
    const waiting = limiter.run(ask('interactive', stop.signal), queued.call);
    await settled();
    stop.abort(new Error('no longer wanted'));
    await expect(waiting).rejects.toThrow('no longer wanted');
    first.end();
    await busy;
    await settled();
    expect(queued.started()).toBe(0);
    expect(await limiter.run(ask(), () => Promise.resolve('next'))).toBe('next');
  });

  test('an aborted caller that waits for the remote leaves at once', async () => {
    const limiter = make();
    limiter.backOff(10_000, 'wait');
    const stop = new AbortController();
    const waiting = limiter.run(ask('interactive', stop.signal), () => Promise.resolve());
    await settled();
    stop.abort(new Error('shutting down'));
    await expect(waiting).rejects.toThrow('shutting down');
    expect(limiter.status().waiting).toBe(0);
  });

  test('a call that has started is never left running unnoticed', async () => {
    const limiter = make();
    const stop = new AbortController();
    const call = held();
    let settledAs = 'pending';
    const running = limiter.run(ask('interactive', stop.signal), call.call).then((value) => (settledAs = value));
    await settled();
    stop.abort(new Error('stop'));
    await settled();
    expect([settledAs, limiter.status().running]).toEqual(['pending', 1]);
    call.end('its own outcome');
    await running;
    expect([settledAs, limiter.status().running]).toEqual(['its own outcome', 0]);
  });

  test('one statement pays for many calls, and what lies idle goes back', async () => {
    const initial: Quota = {
      remaining: 1_000,
      limit: 1_000,
      restorePerSecond: 0,
      resetAtMs: null,
      reserve: 0,
      updatedAtMs: clock.now(),
      pausedAtMs: null,
      pausedUntilMs: null,
    };
    const ledger = memoryLedger(clock, { remote: initial });
    const take = vi.spyOn(ledger, 'take');
    const limiter = make({ ledger, leaseTokens: 20, concurrency: 50 });
    await Promise.all(Array.from({ length: 50 }, () => limiter.run(ask(), () => Promise.resolve())));
    expect(take).toHaveBeenCalledTimes(3);
    expect(ledger.read('remote')?.remaining).toBe(940);
    await clock.advance(2_500);
    expect(ledger.read('remote')?.remaining).toBe(950);
  });

  test('an empty budget holds calls until it refills, a lane that must leave more first', async () => {
    const initial: Quota = {
      remaining: 2,
      limit: 10,
      restorePerSecond: 1,
      resetAtMs: null,
      reserve: 0.1,
      updatedAtMs: clock.now(),
      pausedAtMs: null,
      pausedUntilMs: null,
    };
    const limiter = make({ ledger: memoryLedger(clock, { remote: initial }), leaseTokens: 1 });
    const done: string[] = [];
    const runs = (['backfill', 'interactive', 'interactive'] as const).map((lane) =>
      limiter.run(ask(lane), () => Promise.resolve(void done.push(`${lane} at ${clock.monotonic()}`))),
    );
    await clock.advance(10_000);
    await Promise.all(runs);
    expect(done[0]).toBe('interactive at 0');
    expect(done[1]).toBe('interactive at 1000');
    // Floor of backfill: 10 × (0.1 + 0.9 × 0.4) = 4.6 tokens; one more is needed.
    expect(done[2]).toMatch(/^backfill at (4[6-9]|5[0-9])\d\d$/);
  });

  test('what one process was told to wait, the other learns from the ledger', async () => {
    const ledger = memoryLedger(clock);
    const [one, two] = [make({ ledger }), make({ ledger })];
    one.observe({ remaining: 100, limit: 100 });
    one.backOff(4_000, '429');
    const call = held();
    const running = two.run(ask(), call.call);
    await clock.advance(3_900);
    expect(call.started()).toBe(0);
    await clock.advance(200);
    expect(call.started()).toBe(1);
    call.end();
    await running;
  });

  test('the waiting room is bounded', async () => {
    const limiter = make({ waitingMax: 2 });
    limiter.backOff(5_000, 'wait');
    const waiting = [limiter.run(ask(), () => Promise.resolve()), limiter.run(ask(), () => Promise.resolve())];
    await expect(limiter.run(ask(), () => Promise.resolve())).rejects.toBeInstanceOf(RateLimited);
    await clock.advance(5_000);
    await Promise.all(waiting);
  });

  test('a ledger that cannot be reached stops calls, not the process', async () => {
    const down = (): Promise<never> => Promise.reject(new Error('hub is down'));
    const ledger: QuotaLedger = { take: down, refund: down, observe: down, pause: down };
    const limiter = make({ ledger });
    const call = held();
    limiter.observe({ remaining: 1, limit: 10 });
    await expect(limiter.run(ask(), call.call)).rejects.toThrow('hub is down');
    expect(call.started()).toBe(0);
    limiter.backOff(1, 'told');
    await settled();
  });

  test('a budget that every answer repeats is written twice a second, a low one at once', async () => {
    const ledger = memoryLedger(clock);
    const observe = vi.spyOn(ledger, 'observe');
    const limiter = make({ ledger });
    for (let n = 0; n < 100; n++) limiter.observe({ remaining: 1_000 - n, limit: 1_000 });
    expect(observe).toHaveBeenCalledTimes(1);
    await clock.advance(500);
    limiter.observe({ remaining: 800, limit: 1_000 });
    expect(observe).toHaveBeenCalledTimes(2);
    limiter.observe({ remaining: 100, limit: 1_000 });
    expect(observe).toHaveBeenCalledTimes(3);
  });
});
