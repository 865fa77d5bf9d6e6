// Owns the rules for orders: lines priced from their variants unless a price is given, totals, the customer they belong to,
// cancelling. Lines live inside the order and never change after it is made, as through this part of the real API.
import type { LedgerImage } from '../ledger.js';
import { addressOf, createCustomer, updateCustomer } from './customers.js';
import { gid, idOf, idOrNull } from './gid.js';
import { checkMetafield, dropMetafieldsOf, metafieldImage, putMetafield, type MetafieldValue } from './metafields.js';
import * as normal from './normalise.js';
import type { AttributeRow, CustomerRow, LineRow, OrderRow } from './rows.js';
import type { Actor, Shop } from './shop.js';
import { Refused, refuse, refuseAll, tooLong, userError } from './user-errors.js';

type Input = Readonly<Record<string, unknown>>;

export interface OrderWrite {
  readonly input: Input;
  readonly metafields: readonly MetafieldValue[];
  readonly path: readonly string[];
}

export function createOrder(shop: Shop, actor: Actor, write: OrderWrite): OrderRow {
  const { input, path } = write;
  const now = shop.now();
  const id = shop.orders.nextId();
  const lines = linesOf(shop, id, input['lineItems'], path);
  const phone = normal.phone(input['phone'], shop.facts.country);
  const taxes = (input['taxLines'] ?? []) as Input[];
  const shipping = ((input['shippingLines'] ?? []) as Input[])[0];
  const number = shop.lastOrderNumber + 1;
  const draft: OrderRow = {
    kind: 'Order',
    id,
    createdAt: now,
    updatedAt: now,
    number,
    name: normal.text(input['name']) ?? `#${String(number)}`,
    email: normal.email(input['email']),
    phone: phone ?? null,
    note: normal.text(input['note']),
    poNumber: normal.text(input['poNumber']),
    tags: normal.tags(input['tags'] as unknown[] | null),
    customerId: null,
    currency: String(input['currency'] ?? shop.facts.currency),
    financialStatus: String(input['financialStatus'] ?? 'PENDING'),
    fulfillmentStatus: fulfillment(input['fulfillmentStatus']),
    processedAt: instant(input['processedAt']) ?? now,
    cancelledAt: null,
    cancelReason: null,
    closedAt: instant(input['closedAt']),
    test: input['test'] === true,
    taxesIncluded: input['taxesIncluded'] === true,
    taxCents: taxes.reduce((sum, line) => sum + (amountOf(line['priceSet']) ?? 0), 0),
    shippingCents: shipping === undefined ? 0 : (amountOf(shipping['priceSet']) ?? 0),
    shippingTitle: shipping === undefined ? null : normal.text(shipping['title']),
    sourceName: normal.text(input['sourceName']),
    sourceIdentifier: normal.text(input['sourceIdentifier']),
    customAttributes: attributes(input['customAttributes']),
    billingAddress: input['billingAddress'] ? addressOf(shop, input['billingAddress'] as Input) : null,
    shippingAddress: input['shippingAddress'] ? addressOf(shop, input['shippingAddress'] as Input) : null,
    lines,
  };
  if (phone === undefined) refuse([...path, 'phone'], 'Phone is invalid', 'INVALID');
  checkOrder(shop, null, draft, write);
  if (draft.processedAt > now + 86_400_000) {
    refuse([...path, 'processedAt'], 'Processed at must not be in the future', 'PROCESSED_AT_INVALID');
  }
  const customer = customerOf(shop, actor, draft, write);
  const row = { ...draft, customerId: customer?.id ?? null, email: draft.email ?? customer?.email ?? null };
  shop.lastOrderNumber = number;
  shop.orders.put(row, now);
  for (const value of write.metafields) putMetafield(shop, 'Order', id, value);
  const topics = ['ORDERS_CREATE', ...(row.financialStatus === 'PAID' ? ['ORDERS_PAID'] : [])];
  shop.commit(actor, { kind: 'Order', id, op: 'create', before: null, after: orderImage(shop, row), topics });
  if (customer !== undefined) addToCustomer(shop, actor, customer, row);
  return row;
}

export function updateOrder(shop: Shop, actor: Actor, id: number, write: OrderWrite): OrderRow {
  const present = shop.orders.get(id);
  const { input, path } = write;
  if (present === undefined) refuse(['id'], 'Order does not exist', 'NOT_FOUND');
  const has = (key: string): boolean => key in input;
  const phone = has('phone') ? normal.phone(input['phone'], shop.facts.country) : present.phone;
  if (phone === undefined) refuse([...path, 'phone'], 'Phone is invalid', 'INVALID');
  const draft: OrderRow = {
    ...present,
    email: has('email') ? normal.email(input['email']) : present.email,
    phone,
    note: has('note') ? normal.text(input['note']) : present.note,
    poNumber: has('poNumber') ? normal.text(input['poNumber']) : present.poNumber,
    tags: has('tags') ? normal.tags(input['tags'] as unknown[] | null) : present.tags,
    customAttributes: has('customAttributes') ? attributes(input['customAttributes']) : present.customAttributes,
    shippingAddress: input['shippingAddress']
      ? addressOf(shop, input['shippingAddress'] as Input)
      : present.shippingAddress,
    ...statusChange(input, present),
  };
  checkOrder(shop, id, draft, write);
  return replace(shop, actor, present, draft, write.metafields, ['ORDERS_UPDATED']);
}

/** Only people and payment providers move these; the mutation's input type has no such fields. */
function statusChange(input: Input, present: OrderRow): Partial<OrderRow> {
  const { financialStatus = present.financialStatus, fulfillmentStatus = present.fulfillmentStatus } = input;
  return { financialStatus: String(financialStatus), fulfillmentStatus: String(fulfillmentStatus) };
}

export function markPaid(shop: Shop, actor: Actor, id: number): OrderRow {
  const present = shop.orders.get(id);
  if (present === undefined) refuse(['id'], 'Order does not exist', 'NOT_FOUND');
  if (present.financialStatus === 'PAID') refuse(['id'], 'Order cannot be marked as paid.', 'INVALID');
  const draft = { ...present, financialStatus: 'PAID' };
  return replace(shop, actor, present, draft, [], ['ORDERS_UPDATED', 'ORDERS_PAID']);
}

export function cancelOrder(shop: Shop, actor: Actor, id: number, reason: string): OrderRow {
  const present = shop.orders.get(id);
  if (present === undefined) refuse(['orderId'], 'Order does not exist', 'NOT_FOUND');
  if (present.cancelledAt !== null) refuse(['orderId'], 'Order has already been cancelled', 'INVALID');
  const now = shop.now();
  const financialStatus = present.financialStatus === 'PAID' ? 'REFUNDED' : 'VOIDED';
  const draft = { ...present, cancelledAt: now, cancelReason: reason, closedAt: now, financialStatus };
  return replace(shop, actor, present, draft, [], ['ORDERS_UPDATED', 'ORDERS_CANCELLED']);
}

export function deleteOrder(shop: Shop, actor: Actor, id: number): void {
  const present = shop.orders.get(id);
  if (present === undefined) refuse(['orderId'], 'Order does not exist', 'NOT_FOUND');
  const before = orderImage(shop, present);
  shop.orders.delete(id, shop.now());
  if (present.customerId !== null) shop.ordersOfCustomer.get(present.customerId)?.delete(id);
  dropMetafieldsOf(shop, 'Order', id);
  shop.commit(actor, { kind: 'Order', id, op: 'delete', before, after: null, topics: ['ORDERS_DELETE'] });
}

export function subtotalCents(row: OrderRow): number {
  return row.lines.reduce((sum, line) => sum + line.unitCents * line.quantity, 0);
}

export function totalCents(row: OrderRow): number {
  return subtotalCents(row) + row.shippingCents + (row.taxesIncluded ? 0 : row.taxCents);
}

export function orderImage(shop: Shop, row: OrderRow): LedgerImage {
  const { name, email, phone, note, poNumber, tags, currency, financialStatus, fulfillmentStatus } = row;
  return {
    id: gid('Order', row.id),
    ...{ name, email, phone, note, poNumber, tags, currency, financialStatus, fulfillmentStatus },
    customer: row.customerId === null ? null : gid('Customer', row.customerId),
    processedAt: normal.stamp(row.processedAt),
    cancelledAt: row.cancelledAt === null ? null : normal.stamp(row.cancelledAt),
    total: normal.moneyText(totalCents(row)),
    sourceIdentifier: row.sourceIdentifier,
    customAttributes: row.customAttributes,
    lineItems: row.lines.map((line) => ({
      id: gid('LineItem', line.id),
      ...{ sku: line.sku, title: line.title, quantity: line.quantity, price: normal.moneyText(line.unitCents) },
      variant: line.variantId === null ? null : gid('ProductVariant', line.variantId),
    })),
    metafields: metafieldImage(shop, 'Order', row.id),
  };
}

function replace(
  shop: Shop,
  actor: Actor,
  present: OrderRow,
  draft: OrderRow,
  metafields: readonly MetafieldValue[],
  topics: readonly string[],
): OrderRow {
  const before = orderImage(shop, present);
  let changed = JSON.stringify(draft) !== JSON.stringify(present);
  for (const value of metafields) changed = putMetafield(shop, 'Order', present.id, value) || changed;
  if (!changed) return present;
  const row = { ...draft, updatedAt: shop.now() };
  shop.orders.put(row, row.updatedAt);
  shop.commit(actor, { kind: 'Order', id: row.id, op: 'update', before, after: orderImage(shop, row), topics });
  return row;
}

function checkOrder(shop: Shop, id: number | null, row: OrderRow, write: OrderWrite): void {
  const { path } = write;
  refuseAll([
    ...(row.email !== null && !normal.validEmail(row.email)
      ? [userError([...path, 'email'], 'Email is invalid', 'INVALID')]
      : []),
    ...tooLong([...path, 'note'], 'Note', row.note, 5000),
    ...tooLong([...path, 'poNumber'], 'Po number', row.poNumber),
    ...write.metafields.flatMap((value, at) => {
      return checkMetafield(shop, 'Order', id, value, [...path, 'metafields', String(at)]) ?? [];
    }),
  ]);
}

function linesOf(shop: Shop, orderId: number, given: unknown, path: readonly string[]): readonly LineRow[] {
  const list = (given ?? []) as Input[];
  if (list.length === 0) refuse([...path, 'lineItems'], 'Line items must have at least one line item', 'INVALID');
  return list.map((input, at) => lineOf(shop, orderId, input, [...path, 'lineItems', String(at)]));
}

function lineOf(shop: Shop, orderId: number, input: Input, path: readonly string[]): LineRow {
  const wanted = normal.text(input['variantId']);
  const variant = shop.variants.get(wanted === null ? null : idOrNull('ProductVariant', wanted));
  if (wanted !== null && variant === undefined) {
    refuse([...path, 'variantId'], 'Product variant does not exist', 'INVALID');
  }
  const asked = normal.text(input['productId']);
  const product = shop.products.get(variant?.productId ?? (asked === null ? null : idOrNull('Product', asked)));
  const title = normal.text(input['title']) ?? product?.title ?? null;
  if (title === null) refuse([...path, 'title'], "Title can't be blank", 'INVALID');
  const quantity = Number(input['quantity']);
  if (!(quantity > 0)) refuse([...path, 'quantity'], 'Quantity must be greater than 0', 'INVALID');
  const price = input['priceSet'] ? amountOf(input['priceSet']) : (variant?.priceCents ?? null);
  if (price === null) refuse([...path, 'priceSet'], "Price can't be blank", 'INVALID');
  const option = variant?.selected.map(({ value }) => value).join(' / ') ?? null;
  return {
    kind: 'LineItem',
    id: shop.minorId(),
    orderId,
    title,
    variantTitle: normal.text(input['variantTitle']) ?? (option === 'Default Title' ? null : option),
    vendor: normal.text(input['vendor']) ?? product?.vendor ?? null,
    sku: normal.text(input['sku']) ?? variant?.sku ?? null,
    quantity,
    unitCents: price,
    productId: product?.id ?? null,
    variantId: variant?.id ?? null,
    requiresShipping: input['requiresShipping'] === true || (variant?.requiresShipping ?? false),
    taxable: input['taxable'] !== false,
    giftCard: input['giftCard'] === true,
    customAttributes: ((input['properties'] ?? []) as Input[]).map((each) => {
      return { key: String(each['name']), value: String(each['value']) };
    }),
  };
}

function amountOf(bag: unknown): number | null {
  const money = (bag as Input | undefined)?.['shopMoney'] as Input | undefined;
  return normal.cents(money?.['amount']) ?? null;
}

function attributes(given: unknown): readonly AttributeRow[] {
  return ((given ?? []) as Input[]).map(({ key, value }) => ({ key: String(key), value: String(value) }));
}

function instant(given: unknown): number | null {
  if (given === null || given === undefined) return null;
  const ms = given instanceof Date ? given.getTime() : Date.parse(String(given));
  return Number.isNaN(ms) ? null : Math.floor(ms / 1000) * 1000;
}

function fulfillment(given: unknown): string {
  if (given === 'PARTIAL') return 'PARTIALLY_FULFILLED';
  return given === null || given === undefined ? 'UNFULFILLED' : String(given);
}

/** By what the input names, else by the order's email, else nobody. */
function customerOf(shop: Shop, actor: Actor, draft: OrderRow, { input, path }: OrderWrite): CustomerRow | undefined {
  const named = normal.text(input['customerId']);
  const given = input['customer'] as Input | null | undefined;
  if (named !== null && given) {
    refuse([...path, 'customer'], 'Only one of customerId or customer can be provided', 'REDUNDANT_CUSTOMER_FIELDS');
  }
  if (named !== null) return known(shop, idOf('Customer', named), [...path, 'customerId']);
  const associate = given?.['toAssociate'] as Input | null | undefined;
  const upsert = given?.['toUpsert'] as Input | null | undefined;
  if (associate) {
    const id = normal.text(associate['id']);
    if (id !== null) return known(shop, idOf('Customer', id), [...path, 'customer', 'toAssociate', 'id']);
    return shop.customers.get(shop.customerByEmail.get(normal.email(associate['email']) ?? '') ?? null);
  }
  if (upsert) return upsertCustomer(shop, actor, upsert, [...path, 'customer', 'toUpsert']);
  return shop.customers.get(shop.customerByEmail.get(draft.email ?? '') ?? null);
}

function known(shop: Shop, id: number, path: readonly string[]): CustomerRow {
  return shop.customers.get(id) ?? refuse(path, 'Customer does not exist', 'INVALID');
}

function upsertCustomer(shop: Shop, actor: Actor, fields: Input, path: readonly string[]): CustomerRow {
  const { id, ...input } = fields;
  const write = { input, metafields: [], path };
  const email = normal.email(input['email']);
  const holder = normal.text(id) === null ? shop.customerByEmail.get(email ?? '') : idOf('Customer', String(id));
  try {
    return holder === undefined ? createCustomer(shop, actor, write) : updateCustomer(shop, actor, holder, write);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    throw new Refused(error.errors.map((each) => ({ ...each, code: 'INVALID' })));
  }
}

/** The totals of a customer are not kept, but their stamp moves and subscribers hear of it. */
function addToCustomer(shop: Shop, actor: Actor, customer: CustomerRow, order: OrderRow): void {
  const orders = shop.ordersOfCustomer.get(customer.id) ?? new Set<number>();
  orders.add(order.id);
  shop.ordersOfCustomer.set(customer.id, orders);
  const present = shop.customers.get(customer.id) ?? customer;
  shop.customers.put({ ...present, updatedAt: shop.now() }, shop.now());
  shop.ripple(actor, { topics: ['CUSTOMERS_UPDATE'], kind: 'Customer', id: customer.id });
}
