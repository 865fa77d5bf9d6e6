// Owns the order of everything in a simulated run: one thread, one real I/O at a time, virtual time; the seed decides what goes next.
// Whatever the engine awaits is either an event here (a statement, a call, a sleep) or goes on at once.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Clock } from '../../src/base/clock.js';
import type { Random } from '../../src/base/random.js';

/** Who waits: one life of the engine, or the world around it. What a dead owner waits for never comes. */
export class Owner {
  dead = false;
  constructor(readonly name: string) {}
}

interface Waiting {
  readonly id: number;
  readonly owner: Owner;
  readonly actor: string;
  readonly label: string;
  /** Starts the real work; resolves with what hands the result to the waiter. */
  readonly start: () => Promise<() => void>;
  readonly pid: (() => number | null) | undefined;
  readonly frees: boolean;
}

interface Sleeper {
  readonly owner: Owner;
  readonly dueMs: number;
  readonly order: number;
  readonly wake: () => void;
}

interface Blocked {
  readonly event: Waiting;
  readonly done: Promise<() => void>;
}

export interface IoOptions {
  /** Backend of the statement: lets the scheduler see that it waits for a lock of someone who is not running now. */
  readonly pid?: () => number | null;
  /** Ends locks: whoever waited for one may go on. */
  readonly frees?: boolean;
}

export interface SchedulerPorts {
  readonly random: Random;
  /** Is this backend waiting for a lock? Asked outside of the simulated world. */
  readonly isBlocked: (pid: number) => Promise<boolean>;
}

const actorOf = new AsyncLocalStorage<string>();
const pause = (ms: number): Promise<'slow'> => new Promise((resolve) => setTimeout(() => resolve('slow'), ms));
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class Scheduler {
  readonly trace: string[] = [];
  /** Events fired so far. */
  fired = 0;
  private waiting: Waiting[] = [];
  private blocked: Blocked[] = [];
  private sleepers: Sleeper[] = [];
  private elapsedMs = 0;
  private counter = 0;
  private weights = new Map<string, number>();

  constructor(
    private readonly ports: SchedulerPorts,
    private readonly startMs = Date.UTC(2026, 0, 1),
  ) {}

  /** Runs `body` under a name; its events are chosen with that name's weight. */
  as<T>(actor: string, body: () => T): T {
    return actorOf.run(actor, body);
  }

  io<T>(owner: Owner, label: string, body: () => Promise<T>, options: IoOptions = {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (owner.dead) return;
      this.counter += 1;
      this.waiting.push({
        id: this.counter,
        owner,
        actor: actorOf.getStore() ?? owner.name,
        label,
        pid: options.pid,
        frees: options.frees === true,
        start: () =>
          body().then(
            (value) => () => resolve(value),
            (error: unknown) => () => reject(error as Error),
          ),
      });
    });
  }

  /** A clock that stops with its owner. `stepMs` moves its wall, not its watch. */
  clockOf(owner: Owner, offset: { ms: number } = { ms: 0 }): Clock {
    return {
      now: () => this.startMs + this.elapsedMs + offset.ms,
      monotonic: () => this.elapsedMs,
      sleep: (ms, signal) => {
        if (signal?.aborted === true || ms <= 0) return Promise.resolve();
        return new Promise((resolve) => {
          this.counter += 1;
          const sleeper = { owner, dueMs: this.elapsedMs + ms, order: this.counter, wake: resolve };
          this.sleepers.push(sleeper);
          const end = (): void => {
            this.sleepers = this.sleepers.filter((each) => each !== sleeper);
            resolve();
          };
          signal?.addEventListener('abort', end, { once: true });
        });
      },
    };
  }

  get nowMs(): number {
    return this.elapsedMs;
  }

  /** Events that could fire now. */
  get ready(): number {
    return this.waiting.length;
  }

  get idle(): boolean {
    return this.waiting.length === 0 && this.blocked.length === 0;
  }

  /** New odds: some actors run ahead, some starve for a while. */
  reweigh(): void {
    this.weights = new Map();
  }

  /** Fires one waiting event of the seed's choice. `drop`: its work is done, its waiter never hears of it. */
  async fire(drop = false): Promise<void> {
    const event = this.pick();
    if (event === null) return;
    this.waiting.splice(this.waiting.indexOf(event), 1);
    this.fired += 1;
    this.elapsedMs += Math.floor(this.ports.random.next() * 3);
    this.note(`${event.owner.name}/${event.actor} ${event.label}`);
    const done = event.start();
    const deliver = await this.settled(done, event.pid);
    if (deliver === null) {
      this.note(`  waits for a lock`);
      this.blocked.push({ event, done });
    } else if (!event.owner.dead && !drop) deliver();
    await turn();
    if (event.frees && this.blocked.length > 0) await this.unblock();
  }

  /** Lets time pass until the next sleeper is due, or `ms`, whichever comes first. */
  async pass(ms: number): Promise<void> {
    this.sleepers = this.sleepers.filter((each) => !each.owner.dead);
    const endMs = this.elapsedMs + ms;
    const due = this.sleepers
      .filter((each) => each.dueMs <= endMs)
      .sort((a, b) => a.dueMs - b.dueMs || a.order - b.order);
    const [first] = due;
    this.elapsedMs = Math.max(this.elapsedMs, first === undefined ? endMs : first.dueMs);
    this.note(`time ${this.elapsedMs}`);
    for (const each of due.filter((one) => one.dueMs <= this.elapsedMs)) {
      this.sleepers = this.sleepers.filter((one) => one !== each);
      each.wake();
    }
    await turn();
  }

  /** Jumps: everyone who slept until then or less wakes once. */
  async leap(ms: number): Promise<void> {
    this.elapsedMs += ms;
    await this.pass(0);
    const due = this.sleepers.filter((each) => !each.owner.dead && each.dueMs <= this.elapsedMs);
    for (const each of due.sort((a, b) => a.dueMs - b.dueMs || a.order - b.order)) each.wake();
    this.sleepers = this.sleepers.filter((each) => !due.includes(each));
    await turn();
  }

  /** The owner is no more. Returns the labels and starters of what it was about to do: a request may be on its way already. */
  kill(owner: Owner): readonly { readonly label: string; readonly start: () => Promise<unknown> }[] {
    owner.dead = true;
    const lost = this.waiting.filter((event) => event.owner === owner);
    this.waiting = this.waiting.filter((event) => event.owner !== owner);
    this.note(`${owner.name} dies`);
    return lost.map(({ label, start }) => ({ label, start }));
  }

  /** After backends were ended or locks given back from outside. */
  async unblock(): Promise<void> {
    for (const entry of [...this.blocked]) {
      const deliver = await this.settled(entry.done, entry.event.pid);
      if (deliver === null) continue;
      this.blocked = this.blocked.filter((each) => each !== entry);
      this.note(`${entry.event.owner.name}/${entry.event.actor} goes on: ${entry.event.label}`);
      if (!entry.event.owner.dead) deliver();
      await turn();
      if (entry.event.frees) return this.unblock();
    }
  }

  note(line: string): void {
    this.trace.push(line);
  }

  private pick(): Waiting | null {
    const weightOf = (event: Waiting): number => {
      const key = `${event.owner.name}/${event.actor}`;
      let weight = this.weights.get(key);
      if (weight === undefined) {
        const draw = this.ports.random.next();
        weight = draw < 0.2 ? 0.02 : draw < 0.7 ? 1 : 5;
        this.weights.set(key, weight);
      }
      return weight;
    };
    const total = this.waiting.reduce((sum, event) => sum + weightOf(event), 0);
    let left = this.ports.random.next() * total;
    for (const event of this.waiting) {
      left -= weightOf(event);
      if (left <= 0) return event;
    }
    return this.waiting.at(-1) ?? null;
  }

  /** Null: it waits for a lock that another one holds. Decided by Postgres, never by time alone. */
  private async settled(
    done: Promise<() => void>,
    pid: (() => number | null) | undefined,
  ): Promise<(() => void) | null> {
    let sightings = 0;
    for (;;) {
      const first = await Promise.race([done, pause(pid === undefined ? 1_000 : 8)]);
      if (first !== 'slow') return first;
      const backend = pid?.() ?? null;
      if (backend === null) continue;
      // Longer than deadlock_timeout: whoever closes a circle has been told so by then.
      sightings = (await this.ports.isBlocked(backend)) ? sightings + 1 : 0;
      if (sightings >= 3) return null;
    }
  }
}
