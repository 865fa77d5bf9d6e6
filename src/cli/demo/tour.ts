// Owns how a step of the tour is run: it acts, waits for the effect, and states what must hold. Every statement is checked and kept; a step whose
// statement fails is not ok, and the tour goes on, so that one look shows everything that is wrong.
import { callsSince, createsSince, openBooks, type Books, type Calls } from './ledgers.js';
import { compareAll, underWay } from './agreement.js';
import type { Screen } from './screen.js';
import type { Sides } from './sides.js';
import type { World } from './world.js';

export interface Step {
  /** Stable, for programs: `application-edit`. */
  readonly name: string;
  readonly title: string;
  /** Milliseconds from the act to its last effect. */
  run(tour: Tour): Promise<number>;
}

export interface Check {
  readonly what: string;
  readonly expected: string;
  readonly actual: string;
  readonly ok: boolean;
}

export interface StepResult {
  readonly name: string;
  readonly ok: boolean;
  readonly ms: number;
  readonly apiCalls: number;
  readonly failed: readonly Check[];
}

const lookMs = 10;
const waitMsMax = 30_000;

export class Tour {
  readonly books: Books;
  readonly checks: Check[] = [];

  constructor(
    readonly world: World,
    readonly screen: Screen,
    /** Number of demos in this folder before this one: each chooses other records. */
    readonly round: number,
    readonly signal: AbortSignal,
  ) {
    this.books = openBooks(world);
  }

  /** What was done: `sql`, `edit`, `order` … */
  act(label: string, text: string): void {
    this.screen.detail(label, text);
  }

  expect(what: string, expected: unknown, actual: unknown): void {
    const [wanted, found] = [String(expected), String(actual)];
    this.checks.push({ what, expected: wanted, actual: found, ok: wanted === found });
  }

  /** Looks until it is so; resolves with the milliseconds that took, or with null when it is not so in time. */
  async until(look: () => boolean | Promise<boolean>, msMax = waitMsMax): Promise<number | null> {
    const { clock } = this.world;
    const started = clock.monotonic();
    while (!this.signal.aborted) {
      if (await look()) return clock.monotonic() - started;
      if (clock.monotonic() - started > msMax) return null;
      await clock.sleep(lookMs, this.signal);
    }
    this.signal.throwIfAborted();
    return null;
  }

  /** Shows the fields that the step is about, side by side. */
  show(sides: Sides, fields: readonly string[]): void {
    this.screen.sides(sides, fields);
  }

  calls(): Calls {
    return callsSince(this.world, this.books);
  }

  /** Waits until nothing is under way and every record agrees; states that, and that no record was made twice. */
  async expectAgreement(msMax: number): Promise<number> {
    let agreement = { compared: 0, differences: ['nothing compared'] as readonly string[] };
    const took = await this.until(async () => {
      if ((await underWay(this.world)) > 0) return false;
      agreement = await compareAll(this.world);
      return agreement.differences.length === 0;
    }, msMax);
    const open = await underWay(this.world);
    if (took === null && open > 0) this.expect('deliveries and hints under way', 0, open);
    if (agreement.compared === 0) agreement = await compareAll(this.world);
    const { differences, compared } = agreement;
    const [first] = differences;
    this.expect('records that differ', 0, first === undefined ? 0 : `${differences.length}, such as ${first}`);
    const { total, duplicates } = createsSince(this.world, this.books);
    const [twice] = duplicates;
    this.expect('records made twice', 0, twice === undefined ? 0 : `${duplicates.length}, such as ${twice}`);
    this.act('compared', `${compared.toLocaleString('en-US')} pairs of records: ${differences.length} differ`);
    this.act('ledgers', `${total.toLocaleString('en-US')} records created, ${duplicates.length} of them twice`);
    return took ?? msMax;
  }
}

export async function runStep(step: Step, letter: string, tour: Tour): Promise<StepResult> {
  tour.screen.step(letter, step.title);
  const started = tour.world.clock.monotonic();
  let ms: number;
  try {
    ms = await step.run(tour);
  } catch (error) {
    tour.signal.throwIfAborted();
    ms = tour.world.clock.monotonic() - started;
    tour.expect('the step', 'runs to its end', error instanceof Error ? error.message : String(error));
  }
  const calls = tour.calls();
  const failed = tour.checks.filter((check) => !check.ok);
  const ok = failed.length === 0 && tour.checks.length > 0;
  tour.screen.result({ ok, ms, calls, checks: tour.checks });
  return { name: step.name, ok, ms: Math.round(ms), apiCalls: calls.total, failed };
}
