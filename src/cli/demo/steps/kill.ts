// Step f: the engine is killed with SIGKILL amid 500 edits and started again: it goes on from Postgres alone.
import { engineWrites } from '../ledgers.js';
import type { Step, Tour } from '../tour.js';
import { chooseProducts } from './chosen.js';

const updates = 420;
const inserts = 80;
/** Writes that took effect before the kill: enough that many others are under way. */
const writesBefore = 60;
const connections = 4;

export const kill: Step = {
  name: 'kill',
  title: 'The engine is killed with SIGKILL amid 500 edits, and started again',
  async run(tour) {
    const { world } = tour;
    const { clock } = world;
    tour.act(
      'sql',
      `${updates} × update hub.product set price = price + 0.01 where …; ${inserts} × insert into hub.customer …`,
    );
    const started = clock.monotonic();
    const editing = makeEdits(tour);
    const reached = await tour.until(() => engineWrites(world, tour.books) >= writesBefore, 15_000);
    const pid = world.engine.pid;
    await world.engine.kill();
    const before = engineWrites(world, tour.books);
    await editing;
    tour.act('kill', `kill -9 ${String(pid)}: ${before} writes had taken effect, the rest waits in Postgres`);
    tour.expect(`${writesBefore} writes before the kill`, true, reached !== null);
    await world.engine.start();
    tour.act('start', `a new engine runs as ${String(world.engine.pid)}`);
    await tour.expectAgreement(90_000);
    const after = engineWrites(world, tour.books);
    // Otherwise nothing was left to do after the kill, and nothing was shown.
    tour.expect('the new engine had work left', true, after > before);
    tour.expect('new customers that both systems have', inserts, await arrived(tour));
    return clock.monotonic() - started;
  },
};

/** 500 transactions over a few connections, as from an application's own pool. */
async function makeEdits(tour: Tour): Promise<void> {
  const { pool } = tour.world;
  const products = await chooseProducts(tour, 300, updates);
  const all: (() => Promise<unknown>)[] = products.map(
    ({ id }) =>
      () =>
        pool.query('update hub.product set price = price + 0.01 where id = $1', [id]),
  );
  for (let at = 0; at < inserts; at += 1) {
    const name = [newEmail(tour, at), 'Phoenix', `Ash ${tour.round + 1}-${at + 1}`];
    // Among the others: one insert after every fifth update.
    all.splice(at * 6, 0, () =>
      pool.query('insert into hub.customer (email, first_name, last_name) values ($1, $2, $3)', name),
    );
  }
  const lane = async (): Promise<void> => {
    for (let next = all.shift(); next !== undefined; next = all.shift()) await next();
  };
  await Promise.all(Array.from({ length: connections }, lane));
}

const newEmail = ({ round }: Tour, at: number): string => `phoenix.${round + 1}-${at + 1}@example.com`;

async function arrived(tour: Tour): Promise<number> {
  const { salesforce, shopify } = tour.world;
  const emails = Array.from({ length: inserts }, (_, at) => newEmail(tour, at));
  const inCrm = new Set(salesforce.records('Contact').map((row) => String(row['Email']).toLowerCase()));
  const inShop = new Set(shopify.records('Customer').map((row) => String(row['email'])));
  await Promise.resolve();
  return emails.filter((email) => inCrm.has(email) && inShop.has(email)).length;
}
