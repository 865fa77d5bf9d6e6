// Owns the promises of the demo's seed: the numbers of the Superstore, and a company in which the two systems grew apart.
import { beforeAll, describe, expect, test } from 'vitest';
import { emailOf, plant, seedOf, type Seed } from '../../src/cli/demo/seed.js';
import { readSuperstore, superstoreOf, type Superstore } from '../../src/cli/demo/superstore.js';
import { startSalesforce } from '../../src/simulators/salesforce/server.js';
import { startShopify } from '../../src/simulators/shopify/server.js';

let store: Superstore;
let seed: Seed;
beforeAll(async () => {
  store = await readSuperstore();
  seed = seedOf(store);
});

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const emails = (rows: readonly Readonly<Record<string, unknown>>[], field: string): string[] =>
  rows.map((row) => text(row[field]).toLowerCase());

describe('the Superstore', () => {
  test('793 customers, 1,862 products, 5,009 orders, 9,994 order lines', () => {
    const lines = store.sales.reduce((sum, sale) => sum + sale.lines.length, 0);
    expect([store.people.length, store.articles.length, store.sales.length, lines]).toEqual([793, 1862, 5009, 9994]);
  });

  test('a price is what a piece costs without its discount', () => {
    const row = { 'Customer ID': 'A', 'Product ID': 'P', 'Order ID': 'O', Sales: '80', Quantity: '4', Discount: '0.2' };
    const read = superstoreOf([row]);
    expect(read.articles[0]?.price).toBe('25.00');
    expect(read.sales[0]?.lines).toEqual([{ sku: 'P', quantity: 4, price: '20.00' }]);
  });
});

describe('two systems that grew apart', () => {
  test('some people are in both systems, some in one only, and all of them are somewhere', () => {
    const crm = new Set(emails(seed.contacts, 'Email'));
    const shop = new Set(emails(seed.shopCustomers, 'email'));
    const both = [...crm].filter((email) => shop.has(email)).length;
    expect(both).toBeGreaterThan(400);
    expect(crm.size - both).toBeGreaterThan(50);
    expect(shop.size - both).toBeGreaterThan(100);
    expect(new Set([...crm, ...shop]).size).toBe(store.people.length);
  });

  test('the same address in other letters, the same number in other forms, and fields that are missing', () => {
    expect(seed.contacts.some((row) => row['Email'] !== text(row['Email']).toLowerCase())).toBe(true);
    const phones = seed.contacts.map((row) => row['Phone']);
    for (const form of [/^\(\d{3}\)/, /^\d{3}\./, /^\+1 /, /^1-/])
      expect(phones.some((phone) => form.test(text(phone)))).toBe(true);
    expect(phones).toContain(null);
    const shopPhones = seed.shopCustomers.map((row) => row['phone']).filter((phone) => phone !== null);
    expect(new Set(shopPhones).size).toBe(shopPhones.length);
  });

  test('products in both have other names here and there, and every ordered product is in the shop', () => {
    const names = new Map(seed.shopProducts.map((row) => [row['sku'], row['title']]));
    const other = seed.products.filter((row) => names.get(row['StockKeepingUnit']) !== row['Name']);
    expect(other.length).toBeGreaterThan(100);
    expect(other.length).toBeLessThan(seed.products.length / 4);
    expect(names.size).toBe(store.articles.length);
  });

  test('a person who stands in the CRM twice has no orders', () => {
    const addresses = emails(seed.contacts, 'Email');
    const twice = new Set(addresses.filter((email, at) => addresses.indexOf(email) !== at));
    expect(twice.size).toBe(seed.duplicates);
    expect(twice.size).toBeGreaterThan(2);
    expect(seed.shopOrders.filter((order) => twice.has(text(order['customer'])))).toEqual([]);
    expect(emailOf({ name: "Mary-Ann O'Hara" })).toBe('mary.ann.o.hara@example.com');
  });
});

describe('the simulators', () => {
  test(
    'take the whole seed, and go on with the same ids, stamps and counters after they were saved',
    { timeout: 60_000 },
    async () => {
      const first = await Promise.all([startSalesforce(), startShopify()]);
      const second = await Promise.all([startSalesforce(), startShopify()]);
      try {
        await plant(seed, ...first, new AbortController().signal);
        const saved = JSON.stringify([first[0].snapshot(), first[1].snapshot()]);
        const [org, shop] = JSON.parse(saved) as [
          ReturnType<(typeof first)[0]['snapshot']>,
          ReturnType<(typeof first)[1]['snapshot']>,
        ];
        second[0].restore(org);
        second[1].restore(shop);
        for (const object of ['Account', 'Contact', 'Product2', 'PricebookEntry', 'User']) {
          expect(second[0].records(object)).toEqual(first[0].records(object));
        }
        for (const object of ['Customer', 'Product', 'Order']) {
          expect(second[1].records(object)).toEqual(first[1].records(object));
        }
        const order = { customer: 'new@example.com', lines: [{ sku: store.articles[0]?.sku, quantity: 1 }] };
        const [placed, again] = [first[1].placeOrder(order), second[1].placeOrder(order)];
        expect(again).toEqual(placed);
        const contact = { op: 'create', object: 'Contact', fields: { LastName: 'New' } } as const;
        expect(await second[0].edit(contact)).toEqual(await first[0].edit(contact));
      } finally {
        await Promise.all([...first, ...second].map((each) => each.close()));
      }
    },
  );

  test('refuse what another org or shop has saved', async () => {
    const [salesforce, shopify] = await Promise.all([startSalesforce(), startShopify()]);
    try {
      expect(() => salesforce.restore({ ...salesforce.snapshot(), orgId: '00Dxx0000000001AAA' })).toThrow(/not 00D/);
      expect(() => shopify.restore({ ...shopify.snapshot(), domain: 'other.myshopify.com' })).toThrow(/other/);
    } finally {
      await Promise.all([salesforce.close(), shopify.close()]);
    }
  });
});
