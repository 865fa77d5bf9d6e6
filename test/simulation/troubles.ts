// Owns what goes wrong while people and applications work: which kinds a seed brings is its plan's, when each strikes is the order's.
// Heals everything at the end.
import type { Random } from '../../src/base/random.js';
import { externalId, objectName } from '../../src/model/ids.js';
import type { Simulation } from './simulation.js';
import { followedEntities, hubEntities, spokeNames, type SpokeId } from './world.js';

const troubleKinds = [
  'crash',
  'stall',
  'restart',
  'clock',
  'sweep',
  'write',
  'listing',
  'forgery',
  'pause',
  'hide',
  'sleep',
] as const;
type Kind = (typeof troubleKinds)[number];

const hideable: readonly (readonly [SpokeId, string, string])[] = [
  ['alpha', 'Contact', 'Name'],
  ['alpha', 'Contact', 'Score'],
  ['beta', 'Client', 'label'],
  ['beta', 'Client', 'points'],
  ['gamma', 'Party', 'n'],
];

export class Troubles {
  /** How often something went wrong that a plan asked for. */
  count = 0;

  constructor(
    private readonly run: Simulation,
    private readonly random: Random,
  ) {}

  /** One trouble of the seed's kinds. */
  async strike(): Promise<void> {
    await this.bring(this.one(troubleKinds.filter((kind) => this.has(kind))));
  }

  /** Every run brings its five: those of a lucky plan come from the cheapest kinds. */
  async topUp(): Promise<void> {
    await this.bring(this.one(['crash', 'write', 'forgery', 'listing'] as const));
  }

  /** Did one of a crash's own making come about? */
  dies(name: string): boolean {
    const { run } = this;
    if (run.healed || run.lives >= run.plan.livesMax) return false;
    const rate = run.plan.crashpoints[name] ?? run.plan.crashpointRate;
    if (rate <= 0 || this.random.next() >= rate) return false;
    this.count += 1;
    return true;
  }

  /** Does this statement of the engine fail? */
  fails(label: string): boolean {
    const { plan, healed, scheduler } = this.run;
    const rate = plan.refusals[label] ?? 0;
    if (healed || rate <= 0 || this.random.next() >= rate) return false;
    scheduler.note(`  ${label} fails`);
    this.count += 1;
    return true;
  }

  /** One that is forgotten is a trouble only when a stream begins anew: it is not counted. */
  forgetsAck(): boolean {
    const { plan, healed } = this.run;
    return plan.forgetsAcks && !healed && this.random.next() < 0.7;
  }

  heal(): void {
    const { remotes, scheduler } = this.run;
    for (const name of spokeNames) remotes[name].faults.heal();
    for (const [name, object, path] of hideable) remotes[name].hide(object, path, false);
    scheduler.note('healed');
  }

  private has(kind: Kind): boolean {
    const { plan, lives } = this.run;
    switch (kind) {
      case 'crash':
        return plan.crashes && lives < plan.livesMax;
      case 'stall':
        return plan.stalls && lives < plan.livesMax;
      case 'restart':
        return plan.restarts;
      case 'clock':
        return plan.clockSteps;
      case 'write':
        return plan.scripted.length > 0;
      case 'listing':
        return plan.listings;
      case 'forgery':
        return plan.forgeries;
      case 'pause':
        return plan.pauses;
      case 'hide':
        return plan.hides;
      case 'sweep':
      case 'sleep':
        return true;
      default:
        return kind satisfies never;
    }
  }

  private async bring(kind: Kind): Promise<void> {
    const { run, random } = this;
    const { scheduler } = run;
    if (kind !== 'sweep' && kind !== 'sleep') this.count += 1;
    const spoke = this.one(spokeNames);
    switch (kind) {
      case 'crash':
        // Something was done and nobody heard of it, or nothing was.
        if (random.next() < 0.5 && scheduler.ready > 0) await scheduler.fire();
        return run.crash('between two events');
      case 'stall':
        return run.stall();
      case 'restart':
        return run.restartPostgres();
      case 'clock':
        return this.stepClock();
      case 'sweep':
        return run.sweep(spoke);
      case 'write':
        return this.scriptWrite(spoke);
      case 'listing': {
        const fault = random.next() < 0.5 ? 'emptyListing' : 'cutListing';
        scheduler.note(`next listing of ${spoke}: ${fault}`);
        run.remotes[spoke].faults.next(fault, 'listing');
        return run.sweep(spoke);
      }
      case 'forgery':
        return this.forge(spoke);
      case 'pause':
        scheduler.note(`the credential of ${spoke} is refused`);
        run.remotes[spoke].faults.next('unauthorised', random.next() < 0.5 ? 'read' : 'write');
        return;
      case 'hide':
        return this.hide();
      case 'sleep':
        return scheduler.leap(Math.floor(random.next() * 5_000));
      default:
        return kind satisfies never;
    }
  }

  /** The other way round for the one that is hidden already. */
  private hide(): void {
    const { remotes, scheduler } = this.run;
    const [name, object, path] = this.one(hideable);
    const hidden = !remotes[name].isHidden(object, path);
    remotes[name].hide(object, path, hidden);
    scheduler.note(`${name}: ${object}.${path} is ${hidden ? 'hidden from us' : 'shown again'}`);
  }

  private stepClock(): void {
    const { offset, scheduler } = this.run;
    // F99: an hour either way.
    offset.ms = Math.floor((this.random.next() - 0.5) * 7_200_000);
    scheduler.note(`the hub's clock steps to ${offset.ms}`);
  }

  private scriptWrite(spoke: SpokeId): void {
    const { plan, remotes, scheduler } = this.run;
    const kind = plan.scripted.length === 0 ? 'throttled' : this.one(plan.scripted);
    // Where neither a key nor a condition protects, a late effect can never be told from a new edit: the promise excludes it.
    const fault = kind === 'lateApplied' && spoke === 'gamma' ? 'throttled' : kind;
    scheduler.note(`next write at ${spoke}: ${fault}`);
    remotes[spoke].faults.next(fault, 'write');
  }

  /** Word of something that did not happen: of a record that lives, of one that never was, twice. */
  private forge(spoke: SpokeId): void {
    const { remotes, scheduler } = this.run;
    const entity = this.one(hubEntities);
    const place = followedEntities[entity].keys[spoke];
    if (place === undefined || place.child !== undefined) return;
    const rows = remotes[spoke].list(place.object);
    const known = rows.length > 0 && this.random.next() < 0.7;
    const id = known ? this.one(rows).id : 'x-99999999';
    const deleted = this.random.next() < 0.6;
    scheduler.note(`${spoke}: forged word of ${id}${deleted ? ', deleted' : ''}`);
    const hint = { object: objectName(place.object), externalId: externalId(id), deleted };
    for (let i = 0; i < 1 + Math.floor(this.random.next() * 2); i += 1) remotes[spoke].tell({ kind: 'hint', hint });
  }

  private one<T>(list: readonly T[]): T {
    return list[Math.floor(this.random.next() * list.length)] as T;
  }
}
