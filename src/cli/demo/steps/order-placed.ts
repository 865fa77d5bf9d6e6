// Step c: an order is placed in Shopify; a signed webhook tells of it; it arrives in Salesforce with its lines and the right references.
import { crmLineFields, crmOrderFields } from '../agreement.js';
import { linkedIds } from '../sides.js';
import type { Step, Tour } from '../tour.js';
import { chooseCustomer, chooseProducts, type ChosenCustomer, type ChosenProduct } from './chosen.js';

type Raw = Readonly<Record<string, unknown>>;

export const orderPlaced: Step = {
  name: 'order-placed',
  title: 'A customer places an order in Shopify',
  async run(tour) {
    const { world } = tour;
    const buyer = await chooseCustomer(tour, 40);
    const products = await chooseProducts(tour, 60, 2);
    const lines = products.map(({ sku }, at) => ({ sku, quantity: at + 2 }));
    const { name } = world.shopify.placeOrder({ customer: buyer.email, lines });
    tour.act(
      'order',
      `${name} by ${buyer.email}: ${lines.map(({ sku, quantity }) => `${quantity} × ${sku}`).join(', ')}`,
    );
    const took = await tour.until(() => {
      const order = crmOrder(tour, name);
      return order !== undefined && crmLines(tour, order).length === lines.length;
    });
    expectWebhook(tour);
    const hubId = await expectInHub(tour, name, buyer, lines.length);
    await expectInSalesforce(tour, { hubId, name, buyer, products });
    return took ?? Number.NaN;
  },
};

function expectWebhook(tour: Tour): void {
  const sent = tour.world.shopify.webhooks.deliveries().findLast(({ topic }) => topic === 'orders/create');
  const signature = sent?.headers['x-shopify-hmac-sha256'] ?? '';
  tour.act('webhook', `orders/create, signed ${signature.slice(0, 12)}…, answered ${String(sent?.tries[0])}`);
  tour.expect('answer to the signed webhook', 200, sent?.tries[0]);
}

async function expectInHub(tour: Tour, number: string, buyer: ChosenCustomer, lines: number): Promise<string | null> {
  tour.act(
    'sql',
    `select o.number, c.email, l.quantity, p.sku, l.unit_price from hub.sales_order o join hub.customer c on c.id = o.customer join hub.sales_order_line l on l.sales_order = o.id join hub.product p on p.id = l.product where o.number = '${number}'`,
  );
  const { rows } = await tour.world.pool.query(
    `select o.id, c.email, l.quantity, p.sku, l.unit_price from hub.sales_order o join hub.customer c on c.id = o.customer
       join hub.sales_order_line l on l.sales_order = o.id join hub.product p on p.id = l.product
      where o.number = $1 order by l.quantity`,
    [number],
  );
  for (const row of rows) {
    const text = (name: string): string => row[name] ?? 'null';
    tour.act('', `${number} | ${text('email')} | ${text('quantity')} | ${text('sku')} | ${text('unit_price')}`);
  }
  tour.expect('lines in the hub', lines, rows.length);
  tour.expect('customer of the order in the hub', buyer.email, rows[0]?.['email']);
  return rows[0]?.['id'] ?? null;
}

interface Placed {
  readonly hubId: string | null;
  readonly name: string;
  readonly buyer: ChosenCustomer;
  readonly products: readonly ChosenProduct[];
}

async function expectInSalesforce(tour: Tour, { hubId, name, buyer, products }: Placed): Promise<void> {
  const order = crmOrder(tour, name);
  const fields = order === undefined ? null : crmOrderFields(order);
  const found = order === undefined ? [] : crmLines(tour, order).map(crmLineFields);
  const linked = hubId === null ? null : await linkedIds(tour.world, 'sales_order', hubId);
  tour.act('Salesforce', `Order ${String(order?.['Id'])}, BillToContactId ${fields?.['customer'] ?? 'null'}`);
  for (const line of found) {
    tour.act(
      '',
      `OrderItem of product ${String(line['product'])}: ${String(line['quantity'])} at ${String(line['unit_price'])}`,
    );
  }
  tour.expect('Order in Salesforce that the hub is linked to', order?.['Id'], linked?.salesforce);
  tour.expect('BillToContactId', buyer.salesforceId, fields?.['customer']);
  const wanted = products.map(({ salesforceId }) => salesforceId).sort();
  tour.expect('products of the OrderItems', wanted, found.map((line) => line['product']).sort());
}

function crmOrder({ world }: Tour, number: string): Raw | undefined {
  return world.salesforce.records('Order').findLast((row) => row['OrderReferenceNumber'] === number);
}

function crmLines({ world }: Tour, order: Raw): readonly Raw[] {
  return world.salesforce.records('OrderItem').filter((row) => row['OrderId'] === order['Id']);
}
