// What the real APIs do to our calls (F59–F62, F67, F68), through connectors, limiter and engine: waited for as told, never hammered,
// never taken for success, and everything agrees afterwards.
import { afterEach, expect, test } from 'vitest';
import { systemClock, type Clock } from '../../src/base/clock.js';
import { createLog } from '../../src/base/log.js';
import { openSaas, type Saas } from '../support/saas.js';

let saas: Saas;
afterEach(() => saas.end());

/** Real time, and what a test adds to it. */
function adjustable(): { readonly clock: Clock; skip(ms: number): void } {
  let added = 0;
  const clock: Clock = {
    now: () => systemClock.now() + added,
    monotonic: () => systemClock.monotonic() + added,
    async sleep(ms, signal) {
      const until = clock.monotonic() + ms;
      while (clock.monotonic() < until && signal?.aborted !== true)
        await systemClock.sleep(Math.min(50, until - clock.monotonic()), signal);
    },
  };
  return { clock, skip: (ms) => (added += ms) };
}

async function open(more: Parameters<typeof openSaas>[0] = {}): Promise<void> {
  saas = await openSaas(more);
  saas.salesforce.load('Contact', [{ FirstName: 'n0', LastName: 'Lee', Email: 'ann@x.test' }]);
  saas.shopify.load('Customer', [{ firstName: 'n0', lastName: 'Lee', email: 'ann@x.test' }]);
  await saas.start();
  await agree('n0');
}

const rename = (name: string): Promise<unknown> => saas.sql('update hub.customer set first_name = $1', [name]);
const contact = (): unknown => saas.salesforce.records('Contact')[0]?.['FirstName'];
const customer = (): unknown => saas.shopify.records('Customer')[0]?.['firstName'];

async function agree(name: string): Promise<void> {
  await saas.until(async () => {
    const [row] = await saas.sql(
      `select (select string_agg(first_name, ',') from hub.customer) as hub, (select count(*) from truespoke.delivery)::text as open,
              (select count(*) from truespoke.link where entity = 'customer')::text as links`,
    );
    const all = JSON.stringify([row, contact(), customer()]);
    if (all !== JSON.stringify([{ hub: name, open: '0', links: '2' }, name, name])) throw new Error(all);
    return true;
  }, 40_000);
}

const writes = (side: 'salesforce' | 'shopify'): string[] =>
  saas[side].ledger
    .entries({ object: side === 'salesforce' ? 'Contact' : 'Customer' })
    .filter(({ requestId, op }) => requestId !== null && op !== 'create')
    .map(({ after }) => String(after?.[side === 'salesforce' ? 'FirstName' : 'firstName']));

test('F59 429 with Retry-After in seconds, as a date, garbage and absent; F60 THROTTLED in a 200: one write each', async () => {
  await open();
  const date = new Date(systemClock.now() + 1_000).toUTCString();
  for (const [i, retryAfter] of ['1', date, 'soon', undefined].entries()) {
    const more = retryAfter === undefined ? {} : { retryAfter };
    saas.shopify.faults.put({ id: 'busy', route: 'mutation|customer', kind: 'status', status: 429, times: 1, ...more });
    await rename(`busy ${i}`);
    await agree(`busy ${i}`);
  }
  saas.shopify.faults.put({ id: 'busy', route: '.', kind: 'throttle', times: 3 });
  await rename('throttled');
  await agree('throttled');
  expect(writes('shopify').filter((name) => name !== 'n0')).toEqual([
    'busy 0',
    'busy 1',
    'busy 2',
    'busy 3',
    'throttled',
  ]);
}, 90_000);

test('F61 the daily limit: that spoke waits and is not hammered, the other one goes on, and the next day everything agrees', async () => {
  const { clock, skip } = adjustable();
  await open({ clock });
  saas.salesforce.setLimit({ max: 100, spent: 100 });
  await rename('n1');
  await saas.until(() => customer() === 'n1');
  await saas.until(
    async () =>
      (await saas.sql(`select 1 from truespoke.quota where spoke = 'salesforce' and paused_until is not null`))
        .length === 1,
  );
  const before = saas.salesforce.stats().total;
  const until = performance.now() + 1_500;
  await saas.until(() => performance.now() > until);
  expect(saas.salesforce.stats().total - before).toBeLessThan(5);
  expect(contact()).toBe('n0');
  expect(await saas.sql('select 1 from truespoke.parked')).toEqual([]);
  saas.salesforce.setLimit({ max: 10_000_000, spent: 0 });
  skip(20 * 60_000);
  await agree('n1');
}, 90_000);

test('F61 a daily limit that polls would use up: they are spread over the day, and edits go out at once all the same', async () => {
  const told: string[] = [];
  await open({ log: createLog({ level: 'info', destination: { write: (line: string) => void told.push(line) } }) });
  saas.salesforce.setLimit({ max: 15_000, spent: 0 });
  await saas.until(() => told.some((line) => line.includes('polls are spread')));
  await rename('n1');
  await agree('n1');
}, 90_000);

test('F62 503: the breaker opens, a probe closes it again, and the other spoke never notices', async () => {
  await open();
  saas.salesforce.faults.put({ id: 'down', route: '.', kind: 'status', status: 503 });
  await rename('n1');
  await saas.until(() => customer() === 'n1');
  await saas.until(
    async () => (await saas.engine.status()).spokes.find(({ name }) => name === 'salesforce')?.breaker !== 'closed',
  );
  const before = saas.salesforce.stats().total;
  const until = performance.now() + 2_000;
  await saas.until(() => performance.now() > until);
  expect(saas.salesforce.stats().total - before).toBeLessThan(5);
  saas.salesforce.faults.clear();
  await agree('n1');
  expect(writes('salesforce').filter((name) => name === 'n1')).toEqual(['n1']);
}, 90_000);

test('F66 F67 a cut body and 200 with a page of HTML, applied or not: read back, one write', async () => {
  await open();
  for (const [i, fault] of [
    { kind: 'html', applied: true } as const,
    { kind: 'html', applied: false } as const,
    { kind: 'cut-body' } as const,
  ].entries()) {
    saas.salesforce.faults.put({ id: 'odd', route: '^(POST|PATCH) ', times: 1, ...fault });
    saas.shopify.faults.put({ id: 'odd', route: 'mutation', times: 1, ...fault });
    await rename(`odd ${i}`);
    await agree(`odd ${i}`);
  }
  expect(writes('salesforce').filter((name) => name.startsWith('odd'))).toEqual(['odd 0', 'odd 1', 'odd 2']);
  expect(new Set(writes('shopify').filter((name) => name.startsWith('odd'))).size).toBe(3);
}, 90_000);

test('F68 userErrors and success: false in a 200 are no success: parked with their reason, and a good value closes them', async () => {
  await open();
  await saas.sql(`update hub.customer set email = 'not an address'`);
  await saas.until(async () => (await saas.sql(`select 1 from truespoke.parked where state = 'open'`)).length === 2);
  expect([saas.salesforce.records('Contact')[0]?.['Email'], saas.shopify.records('Customer')[0]?.['email']]).toEqual([
    'ann@x.test',
    'ann@x.test',
  ]);
  await saas.sql(`update hub.customer set email = 'anna@x.test'`);
  await saas.until(() => saas.shopify.records('Customer')[0]?.['email'] === 'anna@x.test');
  await saas.until(async () => (await saas.sql(`select 1 from truespoke.parked where state = 'open'`)).length === 0);
  expect(saas.salesforce.records('Contact')[0]?.['Email']).toBe('anna@x.test');
});
