// Owns what the two systems hold before they ever heard of each other: the Superstore's records, spread as in a company that has run a CRM
// and a shop side by side for years. No randomness: the position of a record decides what became of it.
import { setImmediate } from 'node:timers/promises';
import type { SalesforceSimulator } from '../../simulators/salesforce/server.js';
import type { ShopifySimulator } from '../../simulators/shopify/server.js';
import type { Article, Person, Sale, Superstore } from './superstore.js';

type Row = Readonly<Record<string, unknown>>;

export interface Seed {
  readonly accounts: readonly Row[];
  /** Without AccountId; `account` is a position in `accounts` or null. */
  readonly contacts: readonly (Row & { readonly account: number | null })[];
  readonly products: readonly (Row & { readonly UnitPrice: string | null })[];
  readonly shopCustomers: readonly Row[];
  readonly shopProducts: readonly Row[];
  readonly shopOrders: readonly Row[];
  /** Contacts that stand in the CRM twice. */
  readonly duplicates: number;
}

/** Where a person is known. */
type Presence = 'both' | 'crm' | 'shop';

const presenceOf = (at: number): Presence => (at % 10 === 3 ? 'crm' : at % 10 >= 8 ? 'shop' : 'both');
const longAgo = (at: number): string => new Date(Date.UTC(2024, 0, 1) + at * 3_600_000).toISOString();

const areaCodes = ['212', '206', '303', '312', '404', '415', '512', '617', '713', '919'];

export function emailOf({ name }: Pick<Person, 'name'>): string {
  return `${name
    .toLowerCase()
    .replaceAll(/[^a-z]+/g, '.')
    .replaceAll(/^\.|\.$/g, '')}@example.com`;
}

/** Three ways of writing one number, and a form for each of the two systems. */
function phoneOf(at: number): { readonly crm: string | null; readonly shop: string | null } {
  const area = areaCodes[Math.floor(at / 100) % areaCodes.length] ?? '212';
  const line = `01${String(at % 100).padStart(2, '0')}`;
  const written = [`(${area}) 555-${line}`, `${area}.555.${line}`, `+1 ${area} 555 ${line}`, `1-${area}-555-${line}`];
  const has = { crm: at % 7 !== 2, shop: at % 5 !== 4 };
  return { crm: has.crm ? (written[at % 4] ?? null) : null, shop: has.shop ? `+1${area}555${line}` : null };
}

function namesOf({ name }: Person): { readonly first: string; readonly last: string } {
  const [first = name, ...rest] = name.split(/[ -]/);
  return { first, last: rest.join(' ') };
}

const tiers: Readonly<Record<string, string>> = {
  Consumer: 'Free',
  Corporate: 'Professional',
  'Home Office': 'Enterprise',
};

export function seedOf({ people, articles, sales }: Superstore): Seed {
  const states = [...new Set(people.filter(({ segment }) => segment === 'Corporate').map(({ state }) => state))].sort();
  const crm = people.flatMap((person, at) => (presenceOf(at) === 'shop' ? [] : [contactOf(person, at, states)]));
  const twins = people.flatMap((person, at) => (at % 160 === 3 ? [twinOf(person, at)] : []));
  const known = new Set(people.filter((_, at) => presenceOf(at) !== 'crm').map(({ id }) => id));
  const byId = new Map(people.map((person) => [person.id, person]));
  return {
    accounts: [
      // Where orders of the shop are booked.
      { Name: 'Online Store', Industry: 'Retail', LastModifiedDate: longAgo(0) },
      ...states.map((state) => ({
        Name: `${state} Purchasing Group`,
        BillingState: state,
        LastModifiedDate: longAgo(0),
      })),
    ],
    contacts: [...crm, ...twins],
    products: articles.flatMap((article, at) => (at % 5 === 4 ? [] : [crmProductOf(article, at)])),
    shopCustomers: people.flatMap((person, at) => (presenceOf(at) === 'crm' ? [] : [shopCustomerOf(person, at)])),
    shopProducts: articles.map(shopProductOf),
    shopOrders: [...sales]
      .sort((a, b) => (a.day < b.day ? -1 : a.day > b.day ? 1 : 0))
      .map((sale) => shopOrderOf(sale, known.has(sale.personId) ? byId.get(sale.personId) : undefined)),
    duplicates: twins.length,
  };
}

function contactOf(person: Person, at: number, states: readonly string[]): Seed['contacts'][number] {
  const { first, last } = namesOf(person);
  const email = emailOf(person);
  return {
    FirstName: first,
    // Someone typed these with the caps lock on.
    LastName: at % 90 === 41 ? last.toUpperCase() : last || '(unknown)',
    Email: at % 3 === 0 ? email : at % 3 === 1 ? email.replace(/^[a-z]/, (c) => c.toUpperCase()) : email.toUpperCase(),
    Phone: phoneOf(at).crm,
    MailingCity: at % 4 === 1 ? null : person.city,
    Tier__c: tiers[person.segment] ?? 'Free',
    LastModifiedDate: longAgo(at),
    account: person.segment === 'Corporate' ? states.indexOf(person.state) + 1 : null,
  };
}

/** The same person entered a second time by a colleague: nobody can tell which of the two is right. */
function twinOf(person: Person, at: number): Seed['contacts'][number] {
  const { first, last } = namesOf(person);
  const fields = { FirstName: first.slice(0, 1), LastName: last, Email: emailOf(person), Tier__c: 'Free' };
  return { ...fields, LastModifiedDate: longAgo(at + 1), account: null };
}

function crmProductOf({ sku, name, category, price }: Article, at: number): Seed['products'][number] {
  return {
    // The catalogue of the sales team writes some names its own way.
    Name: at % 9 === 2 ? `${name} [${category}]` : name,
    StockKeepingUnit: sku,
    ProductCode: sku,
    Family: category,
    IsActive: true,
    LastModifiedDate: longAgo(at),
    UnitPrice: at % 6 === 5 ? null : price,
  };
}

function shopCustomerOf(person: Person, at: number): Row {
  const { first, last } = namesOf(person);
  return {
    firstName: at % 11 === 6 ? null : first,
    lastName: last,
    email: emailOf(person),
    phone: phoneOf(at).shop,
    tags: [person.segment],
    ...(at % 3 === 0 ? { addresses: [{ city: person.city, countryCode: 'US', lastName: last }] } : {}),
    createdAt: longAgo(at),
  };
}

function shopProductOf({ sku, name, category, kind, price }: Article, at: number): Row {
  return { title: name, sku, price, productType: category, tags: [kind], status: 'ACTIVE', createdAt: longAgo(at) };
}

/** Without a person: bought as a guest. */
function shopOrderOf(sale: Sale, person: Person | undefined): Row {
  const placed = `${sale.day}T15:00:00Z`;
  return {
    name: sale.number,
    ...(person === undefined ? {} : { customer: emailOf(person) }),
    lines: sale.lines,
    processedAt: placed,
    createdAt: placed,
  };
}

type Load = (object: string, rows: readonly Row[]) => readonly string[];

const rowsAtOnce = 250;

/** Fills both systems. Takes about two seconds, and lets others have their turn: a signal is heard at once. Rejects when it aborts. */
export async function plant(
  seed: Seed,
  salesforce: SalesforceSimulator,
  shopify: ShopifySimulator,
  signal: AbortSignal,
): Promise<void> {
  const into =
    (load: Load) =>
    async (object: string, rows: readonly Row[]): Promise<readonly string[]> => {
      const ids: string[] = [];
      for (let at = 0; at < rows.length; at += rowsAtOnce) {
        signal.throwIfAborted();
        ids.push(...load(object, rows.slice(at, at + rowsAtOnce)));
        await setImmediate();
      }
      return ids;
    };
  const crm = into((object, rows) => salesforce.load(object, rows));
  const shop = into((object, rows) => shopify.load(object, rows));
  const accounts = await crm('Account', seed.accounts);
  await crm(
    'Contact',
    seed.contacts.map(({ account, ...fields }) => ({
      ...fields,
      AccountId: account === null ? null : (accounts[account] ?? null),
    })),
  );
  const products = await crm(
    'Product2',
    seed.products.map(({ UnitPrice: _, ...fields }) => fields),
  );
  await crm(
    'PricebookEntry',
    seed.products.flatMap(({ UnitPrice, LastModifiedDate }, at) => {
      const place = { Pricebook2Id: salesforce.org.standardPricebookId, Product2Id: products[at], IsActive: true };
      return UnitPrice === null ? [] : [{ ...place, UnitPrice, LastModifiedDate }];
    }),
  );
  await shop('Customer', seed.shopCustomers);
  await shop('Product', seed.shopProducts);
  await shop('Order', seed.shopOrders);
}
