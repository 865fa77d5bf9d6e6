// Owns watching the first reading of both systems: what was read, what was written, how fast, how long still. The engine does the work; this looks at its
// tables, as anyone can.
import { join } from 'node:path';
import { Halt } from '../../base/errors.js';
import type { Io } from '../io.js';
import { createProgress, type Progress } from '../progress.js';
import { underWay } from './agreement.js';
import { readProgress, type HubProgress } from './hub-view.js';
import type { World } from './world.js';

const lookMs = 250;
const msMax = 300_000;
/** Objects that the starter mappings read: five in Salesforce, three in Shopify. */
const scansWanted = 8;

/** Resolves with the seconds it took. Rejects when it is not done after five minutes, or the signal aborts. */
export async function watchBackfill(world: World, io: Io): Promise<number> {
  const { clock, pool } = world;
  const started = clock.monotonic();
  const progress = createProgress(io);
  const ended = new Set<string>();
  try {
    for (;;) {
      io.signal.throwIfAborted();
      const now = await readProgress(pool);
      show(now, progress, ended);
      if (complete(now) && (await underWay(world)) === 0) break;
      if (clock.monotonic() - started > msMax) throw notDone(world);
      await clock.sleep(lookMs, io.signal);
    }
    for (const { spoke } of (await readProgress(pool)).writes) progress.end(`write ${spoke}`);
  } finally {
    progress.stop();
  }
  return (clock.monotonic() - started) / 1000;
}

function notDone({ folder }: World): Halt {
  return new Halt({
    code: 'demo_backfill_slow',
    message: `the backfill is not done after ${msMax / 1000} s`,
    hint: `\`truespoke status -c ${join(folder, 'truespoke.yaml')}\` and ${join(folder, 'engine.log')} tell why.`,
  });
}

function complete({ scans, writes, unlinked }: HubProgress): boolean {
  const read = scans.length >= scansWanted && scans.every(({ done }) => done);
  return read && unlinked === 0 && writes.every(({ open }) => open === 0);
}

function show(now: HubProgress, progress: Progress, ended: Set<string>): void {
  for (const { spoke, object, records, total, done } of now.scans) {
    const key = `read ${spoke} ${object}`;
    // Nothing to read is nothing to show.
    if (ended.has(key) || (done && records === 0)) continue;
    progress.update(key, { label: `read   ${spoke} ${object}`, done: records, total });
    if (done) {
      ended.add(key);
      progress.end(key);
    }
  }
  for (const { spoke, confirmed, open } of now.writes) {
    if (confirmed + open === 0) continue;
    // What is due is found while reading goes on, and some of it turns out to be there already: the total moves both ways.
    progress.update(`write ${spoke}`, { label: `write  ${spoke}`, done: confirmed, total: confirmed + open });
  }
}

export interface Found {
  readonly records: number;
  readonly links: number;
  readonly conflicts: number;
  readonly drift: number;
  readonly reviews: number;
  readonly parked: number;
}

export async function countFound({ pool }: Pick<World, 'pool'>): Promise<Found> {
  const { rows } = await pool.query(
    `select (select count(*) from hub.account) + (select count(*) from hub.customer) + (select count(*) from hub.product)
            + (select count(*) from hub.sales_order) + (select count(*) from hub.sales_order_line) as records,
            (select count(*) from truespoke.link where state = 'live') as links,
            (select count(*) from truespoke.conflict) as conflicts,
            (select count(*) from truespoke.drift where state = 'open') as drift,
            (select count(*) from truespoke.review where state = 'open') as reviews,
            (select count(*) from truespoke.parked where state in ('open', 'waiting')) as parked`,
  );
  const count = (name: string): number => Number(rows[0]?.[name] ?? 0);
  const [records, links, conflicts] = [count('records'), count('links'), count('conflicts')];
  return { records, links, conflicts, drift: count('drift'), reviews: count('reviews'), parked: count('parked') };
}
