// Owns the order of everything in a simulated run: one thread, one real I/O at a time, virtual time; the seed decides what goes next.
// Whatever the engine awaits is either an event here (a statement, a call, a sleep) or goes on at once.
import type { Clock } from '../../src/base/clock.js';
import type { Random } from '../../src/base/random.js';

/** Who waits: one life of the engine, or the world around it. What a dead owner waits for never comes. */
export class Owner {
  dead = false;
  /** Stopped in its tracks (SIGSTOP): it holds what it holds, and does nothing until it wakes. */
  frozen = false;
  constructor(readonly name: string) {}
}

interface Outcome {
  readonly failed: boolean;
  readonly deliver: () => void;
}

interface Waiting {
  readonly id: number;
  readonly owner: Owner;
  readonly actor: string;
  /** Whose odds it has. */
  readonly odds: string;
  readonly label: string;
  /** Starts the real work; resolves with what hands the result to the waiter. */
  readonly start: () => Promise<Outcome>;
  readonly pid: (() => number | null) | undefined;
  readonly frees: boolean;
}

interface Sleeper {
  readonly owner: Owner;
  readonly dueMs: number;
  readonly order: number;
  readonly wake: () => void;
}

/** Started, and not told to its waiter yet. */
interface Running {
  readonly event: Waiting;
  /** Its transaction is over as well, and Postgres has given its locks back. */
  failed: boolean;
  readonly done: Promise<unknown>;
  deliver: (() => void) | null;
}

export interface IoOptions {
  /** Its events are chosen with this name's weight. Handed on by hand, not by what follows a promise. */
  readonly actor?: string;
  /** Backend of the statement: lets the scheduler see that it waits for a lock of someone who is not running now. */
  readonly pid?: () => number | null;
  /** Ends locks: whoever waited for one may go on. */
  readonly frees?: boolean;
}

export interface SchedulerPorts {
  readonly random: Random;
  /** Of these backends, those that wait for a lock, with whom they wait for. Asked outside of the simulated world. */
  readonly blockers: (pids: readonly number[]) => Promise<ReadonlyMap<number, readonly number[]>>;
  /** Ends this backend's statement as Postgres ends one that closes a circle. */
  readonly refuse: (pid: number) => Promise<void>;
}

const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class Scheduler {
  readonly trace: string[] = [];
  /** Events fired so far. */
  fired = 0;
  private waiting: Waiting[] = [];
  private blocked: Running[] = [];
  private sleepers: Sleeper[] = [];
  private elapsedMs = 0;
  private counter = 0;
  private weights = new Map<string, number>();

  constructor(
    private readonly ports: SchedulerPorts,
    private readonly startMs = Date.UTC(2026, 0, 1),
  ) {}

  io<T>(owner: Owner, label: string, body: () => Promise<T>, options: IoOptions = {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (owner.dead) return;
      this.counter += 1;
      this.waiting.push({
        id: this.counter,
        owner,
        actor: options.actor ?? owner.name,
        odds: `${owner.name}/${options.actor ?? owner.name}`,
        label,
        pid: options.pid,
        frees: options.frees === true,
        start: () =>
          body().then(
            (value) => ({ failed: false, deliver: () => resolve(value) }),
            (error: unknown) => ({ failed: true, deliver: () => reject(error as Error) }),
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
          const wake = (): void => {
            signal?.removeEventListener('abort', end);
            resolve();
          };
          const sleeper: Sleeper = { owner, dueMs: this.elapsedMs + ms, order: this.counter, wake };
          const end = (): void => {
            this.sleepers = this.sleepers.filter((each) => each !== sleeper);
            resolve();
          };
          this.sleepers.push(sleeper);
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
    return this.waiting.filter(canFire).length;
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
    this.note(`${event.odds} ${event.label}`);
    const running = startOf(event);
    if (!(await this.settled([running])) && !(await this.isRefused(running))) {
      this.note(`  waits for a lock`);
      this.blocked.push(running);
    } else if (!event.owner.dead && !drop) running.deliver?.();
    await immediate();
    if ((event.frees || running.failed) && this.blocked.length > 0) await this.unblock();
  }

  /** Lets time pass until the next sleeper is due, or `ms`, whichever comes first. */
  async pass(ms: number): Promise<void> {
    this.sleepers = this.sleepers.filter((each) => !each.owner.dead);
    const endMs = this.elapsedMs + ms;
    const due = this.sleepers
      .filter((each) => each.dueMs <= endMs && !each.owner.frozen)
      .sort((a, b) => a.dueMs - b.dueMs || a.order - b.order);
    const [first] = due;
    this.elapsedMs = Math.max(this.elapsedMs, first === undefined ? endMs : first.dueMs);
    this.note(`time ${this.elapsedMs}`);
    for (const each of due.filter((one) => one.dueMs <= this.elapsedMs)) {
      this.sleepers = this.sleepers.filter((one) => one !== each);
      each.wake();
    }
    await immediate();
  }

  /** Jumps: everyone who slept until then or less wakes once. */
  async leap(ms: number): Promise<void> {
    this.elapsedMs += ms;
    await this.pass(0);
    const due = this.sleepers.filter((each) => !each.owner.dead && !each.owner.frozen && each.dueMs <= this.elapsedMs);
    for (const each of due.sort((a, b) => a.dueMs - b.dueMs || a.order - b.order)) each.wake();
    this.sleepers = this.sleepers.filter((each) => !due.includes(each));
    await immediate();
  }

  /** The owner is no more. Returns the labels and starters of what it was about to do: a request may be on its way already. */
  kill(owner: Owner): readonly { readonly label: string; readonly start: () => Promise<unknown> }[] {
    owner.dead = true;
    const lost = this.waiting.filter((event) => event.owner === owner);
    this.waiting = this.waiting.filter((event) => event.owner !== owner);
    this.note(`${owner.name} dies`);
    return lost.map(({ label, start }) => ({ label, start }));
  }

  /** After locks were given back or backends ended: who can go on does, in the order in which they began to wait. */
  async unblock(): Promise<void> {
    while (this.blocked.length > 0) {
      await this.settled(this.blocked);
      const free = this.blocked.filter((one) => one.deliver !== null);
      // Half of what it wants a statement may have by now: then it waits for another one than before, perhaps for what a second one wants.
      if (free.length === 0) {
        if (await this.refuseOne()) continue;
        return;
      }
      this.blocked = this.blocked.filter((one) => one.deliver === null);
      for (const { event, deliver } of free) {
        this.note(`${event.odds} goes on: ${event.label}`);
        if (!event.owner.dead) deliver?.();
        await immediate();
      }
    }
  }

  note(line: string): void {
    this.trace.push(line);
  }

  private pick(): Waiting | null {
    const open = this.waiting.filter(canFire);
    const weights = open.map((event) => this.weightOf(event));
    let left = this.ports.random.next() * weights.reduce((sum, weight) => sum + weight, 0);
    for (const [i, event] of open.entries()) {
      left -= weights[i] ?? 0;
      if (left <= 0) return event;
    }
    return open.at(-1) ?? null;
  }

  private weightOf({ odds }: Waiting): number {
    let weight = this.weights.get(odds);
    if (weight === undefined) {
      const draw = this.ports.random.next();
      weight = draw < 0.2 ? 0.02 : draw < 0.7 ? 1 : 5;
      this.weights.set(odds, weight);
    }
    return weight;
  }

  /** True when all of these are over. False when one of them waits for somebody who is not running now: Postgres says so, not a clock. */
  private async settled(some: readonly Running[]): Promise<boolean> {
    const [only] = some;
    // Nobody can keep it waiting.
    if (only !== undefined && some.length === 1 && only.event.pid === undefined) {
      await only.done;
      return true;
    }
    // A busy machine is asked ever less often: it needs its time for the answer.
    for (let patienceMs = 8; ; patienceMs = Math.min(2 * patienceMs, 64)) {
      const open = some.filter((one) => one.deliver === null);
      if (open.length === 0) return true;
      await withinMs(open.length === 1 && open[0] !== undefined ? open[0].done : anyOf(open), patienceMs);
      const left = some.filter((one) => one.deliver === null);
      if (left.length === 0) return true;
      if (left.length === open.length && (await this.allWait(left))) return false;
    }
  }

  /**
   * Behind somebody who waits already: of two who wait for one row, Postgres lets either go first. So the second is refused, as if it
   * had closed a circle. Just so when both wait for the same one: set free at once, they would race for what both want next, unless the
   * lock is all that the statement wants.
   */
  private async isRefused(running: Running, blocked: readonly Running[] = this.blocked): Promise<boolean> {
    const others = blocked.filter((one) => one.deliver === null);
    if (others.length === 0) return false;
    const pid = pidOf(running);
    const waiting = new Set(others.map(pidOf));
    const blockers = await this.ports.blockers([pid, ...waiting]);
    const behind = blockers.get(pid) ?? [];
    const racing = others.filter((one) => !wantsOneLock(one)).flatMap((one) => blockers.get(pidOf(one)) ?? []);
    const races = !wantsOneLock(running) && behind.some((one) => racing.includes(one));
    if (!races && !behind.some((one) => waiting.has(one))) return false;
    this.note(`  waits behind another, and is refused`);
    await this.ports.refuse(pid);
    // However long the server takes to hear of it.
    await running.done;
    return true;
  }

  /** The first of the waiting that stands in the way of one before it. */
  private async refuseOne(): Promise<boolean> {
    for (const [i, one] of this.blocked.entries())
      if (one.deliver === null && (await this.isRefused(one, this.blocked.slice(0, i)))) return true;
    return false;
  }

  /**
   * Each waits, directly or through others that wait, for a backend that runs nothing. Those in a circle do not: the youngest of them is
   * refused. Postgres itself would refuse whoever its timers find first.
   */
  private async allWait(some: readonly Running[]): Promise<boolean> {
    const running = [...this.blocked, ...some].filter(({ deliver }) => deliver === null);
    const pids = running.map(({ event }) => event.pid?.() ?? null);
    const known = new Set(pids.filter((pid) => pid !== null));
    const blockers = await this.ports.blockers([...known]);
    const stuck = new Set<number>();
    for (let before = -1; before !== stuck.size;) {
      before = stuck.size;
      for (const [pid, by] of blockers) if (by.some((one) => !known.has(one) || stuck.has(one))) stuck.add(pid);
    }
    const circle = new Set([...blockers.keys()].filter((pid) => !stuck.has(pid)));
    for (let before = -1; before !== circle.size;) {
      before = circle.size;
      for (const pid of circle) if (!(blockers.get(pid) ?? []).some((one) => circle.has(one))) circle.delete(pid);
    }
    const youngest = running
      .filter(({ event }) => circle.has(event.pid?.() ?? -1))
      .sort((a, b) => b.event.id - a.event.id)[0];
    if (youngest !== undefined) await this.ports.refuse(youngest.event.pid?.() ?? 0);
    return some.every(({ event, deliver }) => deliver === null && stuck.has(event.pid?.() ?? -1));
  }
}

/** What a stopped process had sent off arrives all the same. */
const canFire = ({ owner, label }: Waiting): boolean => !owner.frozen || label.startsWith('call');

const pidOf = ({ event }: Running): number => event.pid?.() ?? -1;
const wantsOneLock = ({ event }: Running): boolean => event.label.includes('advisory');

const anyOf = (some: readonly Running[]): Promise<unknown> => Promise.race(some.map(({ done }) => done));

function startOf(event: Waiting): Running {
  const running: Running = {
    event,
    failed: false,
    deliver: null,
    done: event.start().then(({ failed, deliver }) => {
      running.failed = failed;
      running.deliver = deliver;
    }),
  };
  return running;
}

function withinMs(done: Promise<unknown>, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    void done.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
