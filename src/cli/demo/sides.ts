// Owns looking at one record from three sides: the hub as an application sees it, and each system as its own users see it. The field names are the
// hub's. Reads the simulators' stores, not their APIs, so looking costs no API call and cannot be fooled by what the engine believes.
import type { World } from './world.js';

export type Fields = Readonly<Record<string, string | null>>;

export interface Sides {
  readonly hub: Fields;
  /** null: the system has no such record. */
  readonly salesforce: Fields | null;
  readonly shopify: Fields | null;
}

type Raw = Readonly<Record<string, unknown>>;

export const textOf = (value: unknown): string | null =>
  value === null || value === undefined || value === '' ? null : String(value);

/** Each system writes as it likes: `+1 (212) 555-0101` and `212.555.0101` are the same number, `Ann@X.com` and `ann@x.com` the same address. */
export function canonical(field: string, value: string | null | undefined): string | null {
  if (value === null || value === undefined) return null;
  if (field === 'phone') return value.replaceAll(/\D/g, '').slice(-10);
  return field === 'email' ? value.toLowerCase() : value;
}

export const moneyText = (value: unknown): string | null => (textOf(value) === null ? null : Number(value).toFixed(2));

const tiers: Readonly<Record<string, string>> = { Free: 'free', Professional: 'pro', Enterprise: 'enterprise' };

export function contactFields(row: Raw): Fields {
  const last = textOf(row['LastName']);
  return {
    email: textOf(row['Email']),
    first_name: textOf(row['FirstName']),
    last_name: last === '(unknown)' ? null : last,
    phone: textOf(row['Phone']),
    tier: tiers[String(row['Tier__c'])] ?? null,
    city: textOf(row['MailingCity']),
  };
}

/** Shopify keeps no tier, and its city is not written by us. */
export function shopCustomerFields(row: Raw): Fields {
  return {
    email: textOf(row['email']),
    first_name: textOf(row['firstName']),
    last_name: textOf(row['lastName']),
    phone: textOf(row['phone']),
  };
}

export function crmProductFields(row: Raw, price: unknown): Fields {
  return { sku: textOf(row['StockKeepingUnit']), name: textOf(row['Name']), price: moneyText(price) };
}

export function shopProductFields(row: Raw): Fields {
  const [variant] = (row['variants'] ?? []) as readonly Raw[];
  return { sku: textOf(variant?.['sku']), name: textOf(row['title']), price: moneyText(variant?.['price']) };
}

export function hubCustomerFields(row: Raw): Fields {
  const plain = (name: string): string | null => textOf(row[name]);
  const names = { first_name: plain('first_name'), last_name: plain('last_name') };
  return {
    email: plain('email'),
    ...names,
    phone: plain('phone'),
    tier: plain('tier'),
    city: plain('city'),
  };
}

export function hubProductFields(row: Raw): Fields {
  return { sku: textOf(row['sku']), name: textOf(row['name']), price: moneyText(row['price']) };
}

export interface LinkedIds {
  readonly salesforce: string | null;
  readonly shopify: string | null;
}

export async function linkedIds(world: World, entity: string, hubId: string): Promise<LinkedIds> {
  const { rows } = await world.pool.query(
    `select spoke, external_id from truespoke.link where entity = $1 and hub_id = $2 and state = 'live'`,
    [entity, hubId],
  );
  const idAt = (spoke: string): string | null => rows.find((row) => row['spoke'] === spoke)?.['external_id'] ?? null;
  return { salesforce: idAt('salesforce'), shopify: idAt('shopify') };
}

export async function customerSides(world: World, hubId: string): Promise<Sides> {
  const { rows } = await world.pool.query(
    'select email, first_name, last_name, phone, tier, city from hub.customer where id = $1',
    [hubId],
  );
  const ids = await linkedIds(world, 'customer', hubId);
  const contact = ids.salesforce === null ? undefined : world.salesforce.record('Contact', ids.salesforce);
  const customer = ids.shopify === null ? undefined : world.shopify.record('Customer', ids.shopify);
  return {
    hub: hubCustomerFields(rows[0] ?? {}),
    salesforce: contact === undefined ? null : contactFields(contact),
    shopify: customer === undefined ? null : shopCustomerFields(customer),
  };
}

/** The record of the standard price book that carries a product's price. */
export function priceEntryOf(world: World, productId: string): Raw | undefined {
  return world.salesforce
    .records('PricebookEntry')
    .find((row) => row['Product2Id'] === productId && row['IsDeleted'] !== true);
}

export async function productSides(world: World, hubId: string): Promise<Sides> {
  const { rows } = await world.pool.query('select sku, name, price from hub.product where id = $1', [hubId]);
  const ids = await linkedIds(world, 'product', hubId);
  const crm = ids.salesforce === null ? undefined : world.salesforce.record('Product2', ids.salesforce);
  const shop = ids.shopify === null ? undefined : world.shopify.record('Product', ids.shopify);
  return {
    hub: hubProductFields(rows[0] ?? {}),
    salesforce: crm === undefined ? null : crmProductFields(crm, priceEntryOf(world, String(crm['Id']))?.['UnitPrice']),
    shopify: shop === undefined ? null : shopProductFields(shop),
  };
}
