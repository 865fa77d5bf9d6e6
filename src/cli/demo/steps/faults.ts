// Step e: for a while both systems answer with errors, throttle, cut their answers short and lose them; edits and orders go on. Afterwards
// everything is in place, and nothing was made twice.
import type { FaultRule, Faults } from '../../../simulators/faults.js';
import type { Step, Tour } from '../tour.js';
import { chooseCustomers, chooseProducts } from './chosen.js';

const salesforceRoutes = ' /(sobjects|composite|query|queryAll)';
const shopifyRoutes = '^(query|mutation) ';
const edits = 20;
const orders = 5;

/** Each strikes a few times and then stops by itself. */
function rules(route: string, round: number): readonly FaultRule[] {
  const kinds: readonly (Omit<FaultRule, 'id' | 'route'> & { readonly name: string })[] = [
    { name: '429', kind: 'status', status: 429, retryAfter: 1, times: 3 },
    { name: 'throttled', kind: 'throttle', times: 3 },
    { name: '503', kind: 'status', status: 503, times: 4 },
    { name: 'cut body', kind: 'cut-body', times: 4 },
    { name: 'lost response', kind: 'lost-response', times: 4 },
  ];
  return kinds.map(({ name, ...rule }, at) => ({
    ...rule,
    id: name,
    route,
    probability: 0.35,
    seed: round * 10 + at + 1,
  }));
}

export const faults: Step = {
  name: 'faults',
  title: 'Both systems answer 429, THROTTLED, 503, cut bodies and lost responses for a while',
  async run(tour) {
    const { world } = tour;
    const { clock } = world;
    const started = clock.monotonic();
    world.salesforce.faults.put(...rules(salesforceRoutes, tour.round));
    world.shopify.faults.put(...rules(shopifyRoutes, tour.round));
    try {
      await editEverywhere(tour);
      // Until the faults are used up, or for long enough: then the weather clears.
      await tour.until(() => strikesLeft(tour) === 0, 8_000);
      tour.act('faults', `Salesforce: ${struck(world.salesforce.faults)}`);
      tour.act('', `Shopify: ${struck(world.shopify.faults)}`);
      tour.expect(
        'faults struck on both sides',
        true,
        strikes(world.salesforce.faults) > 0 && strikes(world.shopify.faults) > 0,
      );
    } finally {
      world.salesforce.faults.clear();
      world.shopify.faults.clear();
    }
    await tour.expectAgreement(40_000);
    return clock.monotonic() - started;
  },
};

function strikes(from: Faults): number {
  return from.list().reduce((sum, rule) => sum + rule.struck, 0);
}

function strikesLeft({ world }: Tour): number {
  return [...world.salesforce.faults.list(), ...world.shopify.faults.list()].reduce(
    (sum, rule) => sum + (rule.times ?? 0) - rule.struck,
    0,
  );
}

function struck(from: Faults): string {
  return from
    .list()
    .map((rule) => `${rule.id} ×${rule.struck}`)
    .join(', ');
}

/** Edits from all three sides and orders, spread over two seconds so that they meet the faults in different calls. */
async function editEverywhere(tour: Tour): Promise<void> {
  const { pool, salesforce, shopify, clock } = tour.world;
  const customers = await chooseCustomers(tour, 150, edits * 2);
  const products = await chooseProducts(tour, 200, edits + orders);
  tour.act(
    'edits',
    `${edits} prices and ${edits} new customers in SQL, ${edits} contacts in Salesforce, ${edits} customers and ${orders} orders in Shopify`,
  );
  for (let at = 0; at < edits; at += 1) {
    const product = products[at];
    const [inCrm, inShop] = [customers[at], customers[edits + at]];
    const mark = `${tour.round + 1}-${at + 1}`;
    if (product !== undefined) await pool.query('update hub.product set price = price + 1 where id = $1', [product.id]);
    await pool.query('insert into hub.customer (email, first_name, last_name) values ($1, $2, $3)', [
      `storm.${mark}@example.com`,
      'Storm',
      `Rider ${mark}`,
    ]);
    if (inCrm !== undefined) {
      const fields = { MailingCity: `Stormville ${mark}` };
      await salesforce.edit({ op: 'update', object: 'Contact', id: inCrm.salesforceId, fields });
    }
    if (inShop !== undefined) {
      shopify.edit({ op: 'update', object: 'Customer', id: inShop.shopifyId, fields: { lastName: `Gale ${mark}` } });
    }
    const sku = products[edits + Math.floor(at / 4)]?.sku;
    if (at % 4 === 0 && sku !== undefined && inShop !== undefined) {
      shopify.placeOrder({ customer: inShop.email, lines: [{ sku, quantity: 1 }] });
    }
    await clock.sleep(100, tour.signal);
  }
}
