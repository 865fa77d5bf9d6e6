// Step e: for a while both systems answer with errors, throttle, cut their answers short and lose them; edits and orders go on. Afterwards
// everything is in place, and nothing was made twice.
import type { FaultRule, Faults } from '../../../simulators/faults.js';
import type { Step, Tour } from '../tour.js';
import { chooseCustomers, chooseProducts, type ChosenCustomer, type ChosenProduct } from './chosen.js';

/** Rounds of edits: at least so many, and more until every fault has struck on both sides. */
const roundsMin = 20;
const msMax = 25_000;
const roundMs = 150;

interface Routes {
  readonly all: string;
  /** Calls that change something: there a lost answer hurts. */
  readonly writes: string;
}

const salesforceRoutes: Routes = {
  all: ' /(sobjects|composite|query|queryAll)',
  writes: '^(PATCH|POST) /(sobjects|composite)',
};
const shopifyRoutes: Routes = { all: '^(query|mutation) ', writes: '^mutation ' };

/** Each strikes a few times and is used up. */
function rules(routes: Routes, round: number): readonly FaultRule[] {
  const kinds: readonly (Omit<FaultRule, 'id'> & { readonly name: string })[] = [
    { name: 'lost response', kind: 'lost-response', times: 2, route: routes.writes, probability: 0.6 },
    { name: 'cut body', kind: 'cut-body', times: 2, route: routes.writes, probability: 0.6 },
    { name: '503', kind: 'status', status: 503, times: 3, route: routes.all, probability: 0.25 },
    { name: '429', kind: 'status', status: 429, retryAfter: 1, times: 2, route: routes.all, probability: 0.25 },
  ];
  return kinds.map(({ name, ...rule }, at) => ({ ...rule, id: name, seed: round * 10 + at + 1 }));
}

/** The API's own way of saying "too fast". Comes last: Salesforce means ten seconds of silence by it. */
function throttle(routes: Routes, times: number): FaultRule {
  return { id: 'throttled', kind: 'throttle', times, route: routes.all };
}

export const faults: Step = {
  name: 'faults',
  title: 'Both systems answer 429, THROTTLED, 503, cut bodies and lost responses for a while',
  async run(tour) {
    const { salesforce, shopify, clock } = tour.world;
    const started = clock.monotonic();
    salesforce.faults.put(...rules(salesforceRoutes, tour.round));
    shopify.faults.put(...rules(shopifyRoutes, tour.round));
    try {
      const made = await editEverywhere(tour, () => {
        const crm = struckOrThrottled(salesforce.faults, throttle(salesforceRoutes, 1));
        const shop = struckOrThrottled(shopify.faults, throttle(shopifyRoutes, 3));
        return crm && shop;
      });
      tour.act('edits', made);
      tour.act('faults', `Salesforce: ${struck(salesforce.faults)}`);
      tour.act('', `Shopify: ${struck(shopify.faults)}`);
      tour.expect('every kind of fault struck in Salesforce', true, allStruck(salesforce.faults));
      tour.expect('every kind of fault struck in Shopify', true, allStruck(shopify.faults));
    } finally {
      salesforce.faults.clear();
      shopify.faults.clear();
    }
    await tour.expectAgreement(90_000);
    return clock.monotonic() - started;
  },
};

/** True when all have struck; the throttle is armed once the others have. */
function struckOrThrottled(from: Faults, last: FaultRule): boolean {
  if (!allStruck(from)) return false;
  if (from.list().some(({ id }) => id === last.id)) return true;
  from.put(last);
  return false;
}

function allStruck(from: Faults): boolean {
  return from.list().every((rule) => rule.struck > 0);
}

function struck(from: Faults): string {
  return from
    .list()
    .map((rule) => `${rule.id} ×${rule.struck}`)
    .join(', ');
}

/** Edits from all three sides and orders, spread over time so that they meet the faults in different calls. Says what was done. */
async function editEverywhere(tour: Tour, enough: () => boolean): Promise<string> {
  const customers = await chooseCustomers(tour, 150, 80);
  const products = await chooseProducts(tour, 200, 80);
  const { clock } = tour.world;
  const until = clock.monotonic() + msMax;
  let round = 0;
  for (; (round < roundsMin || !enough()) && clock.monotonic() < until; round += 1) {
    await editOnce(tour, round, customers, products);
    await clock.sleep(roundMs, tour.signal);
    tour.signal.throwIfAborted();
  }
  return `${round} prices and ${round} new customers in SQL, ${round} contacts in Salesforce, ${round} customers and ${Math.ceil(round / 4)} orders in Shopify`;
}

async function editOnce(
  tour: Tour,
  at: number,
  customers: readonly ChosenCustomer[],
  products: readonly ChosenProduct[],
): Promise<void> {
  const { pool, salesforce, shopify } = tour.world;
  const half = Math.floor(customers.length / 2);
  const product = products[at % products.length];
  const [inCrm, inShop] = [customers[at % half], customers[half + (at % half)]];
  if (product === undefined || inCrm === undefined || inShop === undefined) throw new Error('too few records to edit');
  const mark = `${tour.round + 1}-${at + 1}`;
  await pool.query('update hub.product set price = price + 1 where id = $1', [product.id]);
  await pool.query('insert into hub.customer (email, first_name, last_name) values ($1, $2, $3)', [
    `storm.${mark}@example.com`,
    'Storm',
    `Rider ${mark}`,
  ]);
  const fields = { MailingCity: `Stormville ${mark}` };
  await salesforce.edit({ op: 'update', object: 'Contact', id: inCrm.salesforceId, fields });
  shopify.edit({ op: 'update', object: 'Customer', id: inShop.shopifyId, fields: { lastName: `Gale ${mark}` } });
  if (at % 4 === 0) shopify.placeOrder({ customer: inShop.email, lines: [{ sku: product.sku, quantity: 1 }] });
}
