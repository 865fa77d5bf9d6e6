// Owns what happens in the shop without the app: seeding, a person editing in the admin, a buyer placing an order. Fields have
// the names of the API's inputs, with short forms for common wishes: `sku`, `price` on a product; `sku`, `price` on a line.
import { ControlError, type Edit, type EditResult } from '../control.js';
import { createCustomer, customerImage, deleteCustomer, updateCustomer } from './customers.js';
import { gid, readGid } from './gid.js';
import { metafieldsOf, variantFields, type Input } from './inputs.js';
import * as normal from './normalise.js';
import { createOrder, deleteOrder, orderImage, updateOrder } from './orders.js';
import { createProduct, deleteProduct, productImage, updateProduct, type VariantWrite } from './products.js';
import type { OptionRow, ProductRow } from './rows.js';
import type { Actor, Shop } from './shop.js';
import { Refused } from './user-errors.js';

export type ShopObject = 'Customer' | 'Product' | 'Order';

function objectOf(name: string): ShopObject {
  if (name === 'Customer' || name === 'Product' || name === 'Order') return name;
  throw new ControlError(`no object ${name}; there are Customer, Product, Order`);
}

/** Seeds records without ledger and webhooks. `createdAt` and `updatedAt` (ISO) make them look old. Gives back their gids. */
export function load(shop: Shop, object: string, rows: readonly Input[]): readonly string[] {
  const kind = objectOf(object);
  const actor: Actor = { name: 'import', route: 'load', requestId: null, quiet: true };
  return rows.map((row, at) => {
    const { createdAt, updatedAt = createdAt, ...fields } = row;
    try {
      shop.pinned = typeof createdAt === 'string' ? Date.parse(createdAt) : null;
      const id = explained(`${object} row ${String(at)}`, () => create(shop, actor, kind, fields));
      if (typeof updatedAt === 'string') stampUpdated(shop, kind, id, Date.parse(updatedAt));
      return gid(kind, id);
    } finally {
      shop.pinned = null;
    }
  });
}

function stampUpdated(shop: Shop, kind: ShopObject, id: number, updatedAt: number): void {
  const customer = kind === 'Customer' ? shop.customers.get(id) : undefined;
  const product = kind === 'Product' ? shop.products.get(id) : undefined;
  const order = kind === 'Order' ? shop.orders.get(id) : undefined;
  if (customer !== undefined) shop.customers.put({ ...customer, updatedAt }, updatedAt);
  if (product !== undefined) shop.products.put({ ...product, updatedAt }, updatedAt);
  if (order !== undefined) shop.orders.put({ ...order, updatedAt }, updatedAt);
}

/** A person's edit, with ledger and webhooks. */
export function edit(shop: Shop, wish: Edit): EditResult {
  const kind = objectOf(wish.object);
  const actor: Actor = { name: wish.actor ?? 'person', route: 'admin', requestId: null, quiet: false };
  const fields = wish.fields ?? {};
  if (wish.op === 'create')
    return {
      id: gid(
        kind,
        explained(kind, () => create(shop, actor, kind, fields)),
      ),
    };
  if (wish.op === 'undelete') throw new ControlError('a shop cannot undelete');
  const id = readGid(wish.id ?? '')?.id ?? Number(wish.id);
  if (!Number.isSafeInteger(id)) throw new ControlError(`${wish.op} wants the id of a ${kind}`);
  explained(`${kind} ${String(wish.id)}`, () => {
    if (wish.op === 'delete') remove(shop, actor, kind, id);
    else update(shop, actor, kind, id, fields);
  });
  return { id: gid(kind, id) };
}

function explained<T>(what: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    throw new ControlError(`${what}: ${error.message}`);
  }
}

function create(shop: Shop, actor: Actor, kind: ShopObject, fields: Input): number {
  const { metafields, ...input } = fields;
  const write = { input, metafields: metafieldsOf(metafields), path: [] };
  switch (kind) {
    case 'Customer':
      return createCustomer(shop, actor, write).id;
    case 'Product':
      return createProduct(shop, actor, productWrite(shop, null, fields)).id;
    case 'Order':
      return createOrder(shop, actor, { ...write, input: orderInput(shop, input) }).id;
  }
}

function update(shop: Shop, actor: Actor, kind: ShopObject, id: number, fields: Input): void {
  const { metafields, ...input } = fields;
  const write = { input, metafields: metafieldsOf(metafields), path: [] };
  switch (kind) {
    case 'Customer':
      updateCustomer(shop, actor, id, write);
      return;
    case 'Product':
      updateProduct(shop, actor, id, productWrite(shop, shop.products.get(id) ?? null, fields));
      return;
    case 'Order':
      updateOrder(shop, actor, id, write);
  }
}

function remove(shop: Shop, actor: Actor, kind: ShopObject, id: number): void {
  switch (kind) {
    case 'Customer':
      deleteCustomer(shop, actor, id);
      return;
    case 'Product':
      deleteProduct(shop, actor, id);
      return;
    case 'Order':
      deleteOrder(shop, actor, id);
  }
}

const variantKeys = ['sku', 'price', 'barcode', 'compareAtPrice', 'taxable', 'inventoryPolicy', 'inventoryItem'];

/** `price` and the like mean the first variant; `variants` with `options` makes several. */
function productWrite(shop: Shop, present: ProductRow | null, fields: Input): Parameters<typeof createProduct>[2] {
  const { metafields, variants, ...rest } = flattened(fields);
  const short = Object.fromEntries(Object.entries(rest).filter(([key]) => variantKeys.includes(key)));
  const input = Object.fromEntries(Object.entries(rest).filter(([key]) => !variantKeys.includes(key)));
  const several = Array.isArray(variants) ? severalVariants(shop, variants as Input[]) : null;
  const one: VariantWrite = {
    id: present?.variantIds[0] ?? null,
    fields: variantFields(short),
    metafields: [],
    path: [],
  };
  const list = several?.list ?? (Object.keys(short).length > 0 ? [one] : []);
  return {
    input,
    metafields: metafieldsOf(metafields),
    path: [],
    variants: list.length === 0 ? null : { mode: several === null ? 'merge' : 'replace', list },
    options: several?.options ?? null,
  };
}

/** `variant.price` and `variant: { price }` mean the same as `price`. */
function flattened(fields: Input): Input {
  const { variant, ...rest } = fields;
  const dotted = Object.entries(rest).map(([key, value]) => [key.replace(/^variant\./, ''), value] as const);
  return { ...Object.fromEntries(dotted), ...((variant ?? {}) as Input) };
}

function severalVariants(
  shop: Shop,
  variants: readonly Input[],
): { list: readonly VariantWrite[]; options: readonly OptionRow[] } {
  const titles = variants.map((each, at) => normal.text(each['title']) ?? `Variant ${String(at + 1)}`);
  const values = titles.map((name) => ({ id: shop.minorId(), name }));
  const list = variants.map((each, at) => {
    const selected = [{ name: 'Style', value: titles[at] ?? '' }];
    return {
      id: null,
      fields: { ...variantFields(each), selected },
      metafields: metafieldsOf(each['metafields']),
      path: [],
    };
  });
  return { list, options: [{ id: shop.minorId(), name: 'Style', values }] };
}

function orderInput(shop: Shop, fields: Input): Input {
  const { customer, lineItems, lines = lineItems, ...rest } = fields;
  return {
    financialStatus: 'PAID',
    sourceName: 'web',
    ...rest,
    ...buyer(customer),
    lineItems: orderLines(shop, lines),
  };
}

function buyer(customer: unknown): Input {
  if (typeof customer !== 'string') return customer === undefined ? {} : { customer };
  return customer.includes('@') ? { customer: { toUpsert: { email: customer } } } : { customerId: customer };
}

function orderLines(shop: Shop, lines: unknown): readonly Input[] {
  const bySku = new Map<string, string>();
  return ((lines ?? []) as Input[]).map(({ price, ...line }) => {
    const sku = normal.text(line['sku']);
    const variantId = line['variantId'] ?? (sku === null ? undefined : (bySku.get(sku) ?? variantBySku(shop, sku)));
    if (sku !== null && typeof variantId === 'string') bySku.set(sku, variantId);
    const currencyCode = shop.facts.currency;
    const priced = price === undefined ? {} : { priceSet: { shopMoney: { amount: String(price), currencyCode } } };
    return { ...line, ...priced, ...(variantId === undefined ? {} : { variantId }) };
  });
}

function variantBySku(shop: Shop, sku: string): string | undefined {
  const id = shop.variantBySku(sku);
  return id === null ? undefined : gid('ProductVariant', id);
}

/** One live record by gid. */
export function recordOf(shop: Shop, object: string, id: string): Input | undefined {
  const number = readGid(id)?.id ?? Number(id);
  switch (objectOf(object)) {
    case 'Customer': {
      const row = shop.customers.get(number);
      return row === undefined ? undefined : customerImage(shop, row);
    }
    case 'Product': {
      const row = shop.products.get(number);
      return row === undefined ? undefined : productImage(shop, row);
    }
    case 'Order': {
      const row = shop.orders.get(number);
      return row === undefined ? undefined : orderImage(shop, row);
    }
  }
}

/** Every live record, as the ledger shows it, with its stamps in ms precision. */
export function records(shop: Shop, object: string): readonly Input[] {
  const stamps = (row: { createdAt: number; updatedAt: number }): Input => ({
    createdAt: new Date(row.createdAt).toISOString(),
    updatedAt: new Date(row.updatedAt).toISOString(),
  });
  switch (objectOf(object)) {
    case 'Customer':
      return [...shop.customers.live()].map((row) => ({ ...customerImage(shop, row), ...stamps(row) }));
    case 'Product':
      return [...shop.products.live()].map((row) => ({ ...productImage(shop, row), ...stamps(row) }));
    case 'Order':
      return [...shop.orders.live()].map((row) => ({ ...orderImage(shop, row), ...stamps(row) }));
  }
}
