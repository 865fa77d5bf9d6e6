// The remaining mutations of the simulated Admin API, each once over HTTP with its refusals.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startShopify, type ShopifySimulator } from '../../src/simulators/shopify/server.js';
import { call, defineHubId, hubDefinition, mutate, type Json } from './shopify-support.js';

let sim: ShopifySimulator;

beforeEach(async () => {
  sim = await startShopify({ throttle: { max: 1e6, restorePerSecond: 1e6 } });
});

afterEach(() => sim.close());

test('customerCreate and customerUpdate keep metafields and addresses, and name fields from the root of the input', async () => {
  const create =
    'mutation($input: CustomerInput!) { customerCreate(input: $input) { customer { id } userErrors { field message } } }';
  const input = {
    email: 'a@example.com',
    addresses: [
      { address1: '1 Main St', city: 'New York', countryCode: 'US', provinceCode: 'NY', phone: 'ask for Ann' },
    ],
    metafields: [{ namespace: 'custom', key: 'tier', type: 'single_line_text_field', value: 'pro' }],
  };
  const made = await mutate(sim, create, { input });
  expect((await mutate(sim, create, { input })).userErrors).toEqual([
    { field: ['email'], message: 'Email has already been taken' },
  ]);
  const update = `mutation($input: CustomerInput!) { customerUpdate(input: $input) {
    customer { lastName defaultAddress { city phone countryCodeV2 } metafields(first: 5) { nodes { namespace key value jsonValue } } }
    userErrors { field message } } }`;
  const id = made['customer']?.['id'];
  expect((await mutate(sim, update, { input: { id, lastName: 'Lee' } }))['customer']).toEqual({
    lastName: 'Lee',
    defaultAddress: { city: 'New York', phone: 'ask for Ann', countryCodeV2: 'US' },
    metafields: { nodes: [{ namespace: 'custom', key: 'tier', value: 'pro', jsonValue: 'pro' }] },
  });
  expect((await mutate(sim, update, { input: { lastName: 'Nobody' } })).userErrors).toMatchObject([{ field: ['id'] }]);
  const gone = { id: 'gid://shopify/Customer/1', lastName: 'Nobody' };
  expect((await mutate(sim, update, { input: gone })).userErrors).toEqual([
    { field: ['id'], message: 'Customer does not exist' },
  ]);
});

test('productCreate and productUpdate leave the variant alone', async () => {
  const create =
    'mutation($product: ProductCreateInput!) { productCreate(product: $product) { product { id hasOnlyDefaultVariant } userErrors { field message } } }';
  const made = await mutate(sim, create, {
    product: { title: 'Chair', tags: ['b', 'a'], seo: { title: 'Buy' }, status: 'DRAFT' },
  });
  expect(made['product']?.['hasOnlyDefaultVariant']).toBe(true);
  const update = `mutation($product: ProductUpdateInput!) { productUpdate(product: $product) {
    product { title status tags seo { title } variantsCount { count } } userErrors { field message } } }`;
  const { product } = await mutate(sim, update, { product: { id: made['product']?.['id'], title: 'Oak Chair' } });
  expect(product).toEqual({
    title: 'Oak Chair',
    status: 'DRAFT',
    tags: ['a', 'b'],
    seo: { title: 'Buy' },
    variantsCount: { count: 1 },
  });
  const gone = await mutate(sim, update, { product: { id: 'gid://shopify/Product/1', title: 'X' } });
  expect(gone.userErrors).toEqual([{ field: ['id'], message: 'Product does not exist' }]);
});

test('variants are made, renamed in price, and deleted, but never the last one', async () => {
  const options = { productOptions: [{ name: 'Size', values: [{ name: 'S' }] }] };
  const variants = [{ optionValues: [{ optionName: 'Size', name: 'S' }], price: '1' }];
  const set =
    'mutation($input: ProductSetInput!) { productSet(input: $input) { product { id } userErrors { field message code } } }';
  const made = await mutate(sim, set, { input: { title: 'Shirt', ...options, variants } });
  const id = made['product']?.['id'];
  const create = `mutation($id: ID!, $variants: [ProductVariantsBulkInput!]!) { productVariantsBulkCreate(productId: $id, variants: $variants) {
    product { options { name values } } productVariants { id title price sku } userErrors { field message code } } }`;
  const size = (name: string, more: object) => ({ optionValues: [{ optionName: 'Size', name }], ...more });
  const added = await mutate(sim, create, {
    id,
    variants: [size('M', { price: '2', inventoryItem: { sku: 'SH-M' } })],
  });
  expect(added['productVariants']).toMatchObject([{ title: 'M', price: '2.00', sku: 'SH-M' }]);
  expect(added['product']?.['options']).toEqual([{ name: 'Size', values: ['S', 'M'] }]);
  const wrong = await mutate(sim, create, {
    id,
    variants: [{ optionValues: [{ optionName: 'Colour', name: 'red' }] }],
  });
  expect(wrong.userErrors).toMatchObject([{ field: ['variants', '0', 'optionValues', '0'] }]);
  const remove = `mutation($id: ID!, $ids: [ID!]!) { productVariantsBulkDelete(productId: $id, variantsIds: $ids) {
    product { variants(first: 5) { nodes { id title } } } userErrors { field message code } } }`;
  const left = await mutate(sim, remove, { id, ids: [added['productVariants']?.[0]?.['id']] });
  const remaining = left['product']?.['variants']?.['nodes'];
  expect(remaining).toMatchObject([{ title: 'S' }]);
  expect((await mutate(sim, remove, { id, ids: [remaining?.[0]?.['id']] })).userErrors).toHaveLength(1);
  const again = await mutate(sim, set, { input: { title: 'Shirt', ...options, variants: [...variants, ...variants] } });
  expect(again.userErrors).toMatchObject([{ field: ['input', 'variants', '1'] }]);
});

test('an update of a variant that is not of this product is refused as a whole', async () => {
  const [chair, table] = sim.load('Product', [
    { title: 'Chair', price: 1 },
    { title: 'Table', price: 2 },
  ]);
  const { data } = await call(sim, '{ productVariants(first: 5) { nodes { id product { id } } } }');
  const found: readonly Json[] = data['productVariants']?.['nodes'] ?? [];
  const idOf = (product: unknown) => found.find((each) => each['product']?.['id'] === product)?.['id'];
  const update = `mutation($id: ID!, $variants: [ProductVariantsBulkInput!]!) { productVariantsBulkUpdate(productId: $id, variants: $variants) {
    productVariants { id } userErrors { field message code } } }`;
  const variants = [
    { id: idOf(chair), price: '9' },
    { id: idOf(table), price: '9' },
  ];
  const refused = await mutate(sim, update, { id: chair, variants });
  expect(refused.userErrors).toMatchObject([
    { field: ['variants', '1', 'id'], code: 'PRODUCT_VARIANT_DOES_NOT_EXIST' },
  ]);
  expect((await mutate(sim, update, { id: chair, variants: [{ price: '1' }] })).userErrors).toMatchObject([
    { code: 'PRODUCT_VARIANT_ID_MISSING' },
  ]);
  expect(sim.ledger.entries()).toEqual([]);
});

test('an order is paid once, and deleted', async () => {
  const { id } = sim.edit({
    op: 'create',
    object: 'Order',
    fields: { financialStatus: 'PENDING', lines: [{ title: 'Thing', price: '5', quantity: 1 }] },
  });
  const pay =
    'mutation($id: ID!) { orderMarkAsPaid(input: { id: $id }) { order { fullyPaid displayFinancialStatus } userErrors { message } } }';
  expect((await mutate(sim, pay, { id }))['order']).toEqual({ fullyPaid: true, displayFinancialStatus: 'PAID' });
  expect((await mutate(sim, pay, { id })).userErrors).toHaveLength(1);
  const remove = 'mutation($id: ID!) { orderDelete(orderId: $id) { deletedId userErrors { field message code } } }';
  expect((await mutate(sim, remove, { id }))['deletedId']).toBe(id);
  expect((await mutate(sim, remove, { id })).userErrors).toMatchObject([{ field: ['orderId'], code: 'NOT_FOUND' }]);
});

test('metafields and definitions are taken away; a value freed by that can be used again', async () => {
  await mutate(sim, defineHubId, hubDefinition('CUSTOMER'));
  const [ownerId, other] = sim.load('Customer', [
    { email: 'a@example.com', metafields: [{ namespace: 'truespoke', key: 'hub_id', value: 'one' }] },
    { email: 'b@example.com' },
  ]);
  const remove = `mutation($metafields: [MetafieldIdentifierInput!]!) { metafieldsDelete(metafields: $metafields) {
    deletedMetafields { key ownerId } userErrors { message } } }`;
  const named = (owner: unknown) => ({ ownerId: owner, namespace: 'truespoke', key: 'hub_id' });
  const removed = await mutate(sim, remove, { metafields: [named(ownerId), named(other)] });
  expect(removed['deletedMetafields']).toEqual([{ key: 'hub_id', ownerId }, null]);
  const set = `mutation($metafields: [MetafieldsSetInput!]!) { metafieldsSet(metafields: $metafields) { userErrors { code } } }`;
  expect((await mutate(sim, set, { metafields: [{ ...named(other), value: 'one' }] })).userErrors).toEqual([]);
  const undefine = `mutation { metafieldDefinitionDelete(deleteAllAssociatedMetafields: true,
    identifier: { ownerType: CUSTOMER, namespace: "truespoke", key: "hub_id" }) { deletedDefinition { key } userErrors { code } } }`;
  expect((await mutate(sim, undefine))['deletedDefinition']).toEqual({ key: 'hub_id' });
  expect(sim.records('Customer')).toMatchObject([{ metafields: {} }, { metafields: {} }]);
  expect((await mutate(sim, undefine)).userErrors).toEqual([{ code: 'NOT_FOUND' }]);
});

test('values that are not unique cannot become custom ids', async () => {
  const metafields = [{ namespace: 'truespoke', key: 'hub_id', type: 'single_line_text_field', value: 'same' }];
  sim.load('Customer', [
    { email: 'a@example.com', metafields },
    { email: 'b@example.com', metafields },
  ]);
  const { definition } = hubDefinition('CUSTOMER');
  const unique = { ...definition, type: 'single_line_text_field', capabilities: { uniqueValues: { enabled: true } } };
  expect((await mutate(sim, defineHubId, { definition: unique })).userErrors).toMatchObject([
    { code: 'INVALID_CAPABILITY' },
  ]);
});
