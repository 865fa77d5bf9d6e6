// What Shopify's webhooks do on their way (F85–F90), through the whole engine: a webhook is a hint, its record is fetched by id.
// Proves: Law 4
import { afterEach, expect, test } from 'vitest';
import { openSaas, type Saas } from '../support/saas.js';

let saas: Saas;
let customer = '';
afterEach(() => saas.end());

/** One customer, known to the hub; by default nothing is polled from here on, so that what arrives comes by webhook. */
async function open(pollMs = 3_600_000): Promise<void> {
  saas = await openSaas({ pollMs });
  [customer = ''] = saas.shopify.load('Customer', [{ firstName: 'n0', lastName: 'Lee', email: 'ann@x.test' }]);
  await saas.start();
  await shows('n0');
  await saas.until(() => saas.salesforce.records('Contact').length === 1);
  await saas.until(() =>
    saas.shopify.ledger.entries({ op: 'create' }).some(({ after }) => after?.['topic'] === 'CUSTOMERS_UPDATE'),
  );
  await saas.shopify.settled();
  await quiet();
}

const rename = (firstName: string): unknown =>
  saas.shopify.edit({ op: 'update', object: 'Customer', id: customer, fields: { firstName } });
const shows = (name: string): Promise<unknown> =>
  saas.until(async () => (await saas.sql('select first_name from hub.customer'))[0]?.['first_name'] === name);
/** Everything committed so far is captured, and nothing is on its way. */
async function quiet(): Promise<void> {
  const [mark] = await saas.sql(`select pg_logical_emit_message(true, 'drill', 'quiet')::text as lsn`);
  await saas.until(async () => {
    const [row] = await saas.sql(
      `select (select count(*) from truespoke.inbox where done_at is null and not compliance)::text as hints,
              (select count(*) from truespoke.delivery)::text as deliveries,
              (select count(*) from truespoke.position where durable_lsn > $1::pg_lsn)::text as captured`,
      [mark?.['lsn']],
    );
    return row?.['hints'] === '0' && row['deliveries'] === '0' && row['captured'] === '1';
  });
}

const taken = async (): Promise<(string | null | undefined)[]> =>
  (
    await saas.sql(
      `select after ->> 'first_name' as name from truespoke.journal
        where entity = 'customer' and origin = 'shopify' and op = 'update' and after ? 'first_name' order by at, commit_lsn, seq`,
    )
  ).map((row) => row['name']);
const told = (): readonly { readonly webhookId: string; readonly tries: readonly (number | null)[] }[] =>
  saas.shopify.webhooks.deliveries().filter(({ topic }) => topic === 'customers/update');
const inbox = async (): Promise<number> =>
  (await saas.sql(`select 1 from truespoke.inbox where topic like 'customers/%'`)).length;

test('F85 duplicate webhook: one effect', async () => {
  await open();
  const before = await inbox();
  saas.shopify.webhooks.plan.double = 1;
  rename('n1');
  await shows('n1');
  await saas.shopify.settled();
  await quiet();
  expect(told().filter(({ tries }) => tries.at(-1) === 200).length).toBeGreaterThanOrEqual(2);
  expect((await inbox()) - before).toBe(1);
  expect(await taken()).toEqual(['n1']);
});

test('F86 out of order: what is fetched is what is, and nothing goes back', async () => {
  await open();
  saas.shopify.webhooks.plan.reorderMs = 300;
  for (let i = 1; i <= 8; i += 1) rename(`n${i}`);
  await saas.shopify.settled();
  await quiet();
  await shows('n8');
  const order = (await taken()).map((name) => Number(name?.slice(1)));
  expect(order).toEqual([...order].sort((a, b) => a - b));
  expect(saas.salesforce.records('Contact')[0]?.['FirstName']).toBe('n8');
});

test('F87 all webhooks missing: the poller finds everything', async () => {
  await open(300);
  saas.shopify.webhooks.plan.drop = 1;
  rename('n1');
  saas.shopify.edit({
    op: 'create',
    object: 'Customer',
    fields: { firstName: 'Bo', lastName: 'Ray', email: 'bo@x.test' },
  });
  await saas.until(() => saas.salesforce.records('Contact').some((row) => row['Email'] === 'bo@x.test'));
  await saas.until(() => saas.salesforce.records('Contact').some((row) => row['FirstName'] === 'n1'));
  expect(
    told()
      .flatMap(({ tries }) => tries)
      .filter((status) => status !== null),
  ).toEqual([]);
});

test('F88 forged signature: 401, nothing stored, no effect', async () => {
  await open();
  const before = await inbox();
  saas.shopify.webhooks.plan.forge = 1;
  rename('n1');
  await saas.until(() => told().at(-1)?.tries[0] === 401);
  expect(await inbox()).toBe(before);
  expect(await taken()).toEqual([]);
});

test('F89 a valid body replayed to another shop is refused; to a destructive topic it destroys nothing', async () => {
  await open();
  rename('n1');
  await shows('n1');
  await saas.shopify.settled();
  const { webhookId } = told().at(-1) ?? { webhookId: '' };
  const before = await inbox();
  const elsewhere = saas.shopify.webhooks.replay(webhookId, { 'x-shopify-shop-domain': 'other.myshopify.com' });
  await saas.until(() => elsewhere.tries[0] === 401);
  expect(await inbox()).toBe(before);
  const deletion = saas.shopify.webhooks.replay(webhookId, {
    'x-shopify-topic': 'customers/delete',
    'x-shopify-event-id': 'forged',
  });
  await saas.until(() => deletion.tries[0] === 200);
  await quiet();
  expect(
    await saas.sql(`select state, count(*)::text as n from truespoke.link where entity = 'customer' group by 1`),
  ).toEqual([{ state: 'live', n: '2' }]);
  expect(await saas.sql('select first_name from hub.customer')).toEqual([{ first_name: 'n1' }]);
});

test('F90 an old genuine webhook shows the present state, never the past', async () => {
  await open();
  rename('n1');
  await shows('n1');
  await saas.shopify.settled();
  const { webhookId } = told().at(-1) ?? { webhookId: '' };
  rename('n2');
  await shows('n2');
  const old = saas.shopify.webhooks.replay(webhookId, { 'x-shopify-event-id': 'an old one' });
  await saas.until(() => old.tries[0] === 200);
  await quiet();
  expect(await taken()).toEqual(['n1', 'n2']);
});
