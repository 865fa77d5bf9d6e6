// Owns the question whether everything agrees: every linked record, field by field, in the hub and in both systems, and that nothing is under
// way. Compares what the systems hold, never what the engine noted about them.
import {
  canonical,
  contactFields,
  crmProductFields,
  hubCustomerFields,
  hubProductFields,
  moneyText,
  shopCustomerFields,
  shopProductFields,
  textOf,
  type Fields,
} from './sides.js';
import type { World } from './world.js';

export interface Agreement {
  /** Pairs of records compared. */
  readonly compared: number;
  /** `customer ann@example.com: phone is 1 in the hub, 2 in shopify` */
  readonly differences: readonly string[];
}

type Raw = Readonly<Record<string, unknown>>;

/** External ids by `spoke entity hubId`. */
type Links = ReadonlyMap<string, string>;

class Comparison {
  compared = 0;
  readonly differences: string[] = [];

  constructor(readonly links: Links) {}

  externalId(spoke: string, entity: string, hubId: unknown): string | undefined {
    return this.links.get(`${spoke} ${entity} ${String(hubId)}`);
  }

  /** `there` undefined: linked, but the system has no such record. Only fields that it keeps are compared. */
  compare(what: string, spoke: string, here: Fields, there: Fields | undefined): void {
    this.compared += 1;
    if (there === undefined) this.differences.push(`${what}: gone from ${spoke}`);
    for (const [field, value] of Object.entries(there ?? {})) {
      const own = here[field] ?? null;
      if (canonical(field, own) !== canonical(field, value))
        this.differences.push(`${what}: ${field} is ${String(own)} in the hub, ${String(value)} in ${spoke}`);
    }
  }
}

export async function compareAll(world: World): Promise<Agreement> {
  const { rows } = await world.pool.query(
    `select spoke, entity, hub_id, external_id from truespoke.link where state = 'live'`,
  );
  const comparison = new Comparison(
    new Map(rows.map((row) => [`${row['spoke']} ${row['entity']} ${row['hub_id']}`, row['external_id'] ?? ''])),
  );
  await compareCustomers(world, comparison);
  await compareProducts(world, comparison);
  await compareOrders(world, comparison);
  await compareLines(world, comparison);
  return comparison;
}

async function compareCustomers({ pool, salesforce, shopify }: World, comparison: Comparison): Promise<void> {
  const { rows } = await pool.query(
    'select id, email, first_name, last_name, phone, tier, city from hub.customer where deleted_at is null',
  );
  for (const row of rows) {
    const here = hubCustomerFields(row);
    const what = `customer ${String(row['email'])}`;
    const contactId = comparison.externalId('salesforce', 'customer', row['id']);
    const customerId = comparison.externalId('shopify', 'customer', row['id']);
    if (contactId !== undefined) {
      const contact = live(salesforce.record('Contact', contactId));
      comparison.compare(what, 'salesforce', here, contact && contactFields(contact));
    }
    if (customerId !== undefined) {
      const customer = shopify.record('Customer', customerId);
      comparison.compare(what, 'shopify', here, customer && shopCustomerFields(customer));
    }
  }
}

async function compareProducts({ pool, salesforce, shopify }: World, comparison: Comparison): Promise<void> {
  const prices = new Map(salesforce.records('PricebookEntry').map((row) => [row['Product2Id'], row['UnitPrice']]));
  const { rows } = await pool.query('select id, sku, name, price from hub.product where deleted_at is null');
  for (const row of rows) {
    const here = hubProductFields(row);
    const what = `product ${String(row['sku'])}`;
    const crmId = comparison.externalId('salesforce', 'product', row['id']);
    const shopId = comparison.externalId('shopify', 'product', row['id']);
    if (crmId !== undefined) {
      const crm = live(salesforce.record('Product2', crmId));
      comparison.compare(what, 'salesforce', here, crm && crmProductFields(crm, prices.get(crmId)));
    }
    if (shopId !== undefined) {
      const shop = shopify.record('Product', shopId);
      comparison.compare(what, 'shopify', here, shop && shopProductFields(shop));
    }
  }
}

/** References are compared as what they point at: the contact in Salesforce that the hub's customer is linked to. */
async function compareOrders({ pool, salesforce, shopify }: World, comparison: Comparison): Promise<void> {
  const { rows } = await pool.query(
    'select id, number, customer, placed_on, total from hub.sales_order where deleted_at is null',
  );
  for (const row of rows) {
    const what = `order ${String(row['number'])}`;
    const buyer = (spoke: string): string | null =>
      row['customer'] === null ? null : (comparison.externalId(spoke, 'customer', row['customer']) ?? 'not linked');
    const crmId = comparison.externalId('salesforce', 'sales_order', row['id']);
    const shopId = comparison.externalId('shopify', 'sales_order', row['id']);
    if (crmId !== undefined) {
      const order = live(salesforce.record('Order', crmId));
      const here = {
        number: textOf(row['number']),
        customer: buyer('salesforce'),
        placed_on: textOf(row['placed_on']),
      };
      comparison.compare(what, 'salesforce', here, order && crmOrderFields(order));
    }
    if (shopId !== undefined) {
      const order = shopify.record('Order', shopId);
      const here = { number: textOf(row['number']), customer: buyer('shopify'), total: moneyText(row['total']) };
      comparison.compare(what, 'shopify', here, order && shopOrderFields(order));
    }
  }
}

async function compareLines({ pool, salesforce }: World, comparison: Comparison): Promise<void> {
  const { rows } = await pool.query('select id, sales_order, product, quantity, unit_price from hub.sales_order_line');
  for (const row of rows) {
    const id = comparison.externalId('salesforce', 'sales_order_line', row['id']);
    if (id === undefined) continue;
    const line = live(salesforce.record('OrderItem', id));
    const here = {
      sales_order: comparison.externalId('salesforce', 'sales_order', row['sales_order']) ?? null,
      product: comparison.externalId('salesforce', 'product', row['product']) ?? null,
      quantity: textOf(row['quantity']),
      unit_price: moneyText(row['unit_price']),
    };
    comparison.compare(`order line ${String(row['id'])}`, 'salesforce', here, line && crmLineFields(line));
  }
}

export function crmOrderFields(row: Raw): Fields {
  return {
    number: textOf(row['OrderReferenceNumber']),
    customer: textOf(row['BillToContactId']),
    placed_on: textOf(row['EffectiveDate']),
  };
}

function shopOrderFields(row: Raw): Fields {
  return { number: textOf(row['name']), customer: textOf(row['customer']), total: moneyText(row['total']) };
}

export function crmLineFields(row: Raw): Fields {
  return {
    sales_order: textOf(row['OrderId']),
    product: textOf(row['Product2Id']),
    quantity: textOf(row['Quantity']),
    unit_price: moneyText(row['UnitPrice']),
  };
}

function live(row: Raw | undefined): Raw | undefined {
  return row?.['IsDeleted'] === true ? undefined : row;
}

/** Deliveries and hints that are still under way; both are rows in the hub. */
export async function underWay({ pool }: Pick<World, 'pool'>): Promise<number> {
  const { rows } = await pool.query(
    `select (select count(*) from truespoke.delivery) + (select count(*) from truespoke.inbox where done_at is null) as count`,
  );
  return Number(rows[0]?.['count'] ?? 0);
}
