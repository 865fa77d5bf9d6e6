// Salesforce and Shopify kept true through the hub: real connectors, real HTTP, starter mappings.
// Proves: Invariant 2
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSaas, type Saas } from '../support/saas.js';

let saas: Saas;
beforeEach(async () => {
  saas = await openSaas();
});
afterEach(() => saas.end());

describe('Salesforce and Shopify', () => {
  test('existing customers and products are joined; an order with its lines arrives in Salesforce', async () => {
    const { salesforce, shopify } = saas;
    salesforce.load('Contact', [
      { FirstName: 'Ann', LastName: 'Lee', Email: 'Ann@Example.com', Phone: '(212) 555-0101' },
      { FirstName: 'Bob', LastName: 'Ray', Email: 'bob@example.com' },
    ]);
    shopify.load('Customer', [
      { firstName: 'Ann', lastName: 'Lee', email: 'ann@example.com' },
      { firstName: 'Cy', lastName: 'Doe', email: 'cy@example.com' },
    ]);
    shopify.load('Product', [{ title: 'Chair', sku: 'CH-1', price: '10.00' }]);
    await saas.start();
    await saas.until(async () => {
      const [row] = await saas.sql(
        `select (select count(*) from truespoke.link where state = 'live' and entity = 'customer')::text as links,
                (select count(*) from truespoke.delivery)::text as deliveries`,
      );
      if (row?.['links'] !== '6' || row['deliveries'] !== '0') throw new Error(JSON.stringify(row));
      return true;
    });
    expect(await saas.sql('select email, first_name from hub.customer order by email')).toEqual([
      { email: 'ann@example.com', first_name: 'Ann' },
      { email: 'bob@example.com', first_name: 'Bob' },
      { email: 'cy@example.com', first_name: 'Cy' },
    ]);
    shopify.placeOrder({ customer: 'cy@example.com', lines: [{ sku: 'CH-1', quantity: 2 }] });
    await saas.until(() => salesforce.records('OrderItem').length === 1, 30_000);
    const [order] = salesforce.records('Order');
    expect(order?.['BillToContactId']).toBe(
      salesforce.records('Contact').find((row) => row['Email'] === 'cy@example.com')?.['Id'],
    );
  });
});
