// Owns what Shopify's Order offers, with its embedded line items. Orders are made whole; afterwards Shopify lets few
// fields change and no line, and an order is cancelled by a person, never deleted by us.
import { arrange, hasChildren, refusedPaths, rejected } from './spec.js';
import type { ObjectSpec, PathSpec, PlanContext, Planned, Writer } from './spec.js';
import type { ChildWrite } from '../../connector.js';

const created = (path: string): Pick<PathSpec, 'create'> => ({ create: `order.${path}` });
const changed = (path: string): Pick<PathSpec, 'create' | 'update'> => ({
  create: `order.${path}`,
  update: `input.${path}`,
});

const statuses = [
  'AUTHORIZED',
  'EXPIRED',
  'PAID',
  'PARTIALLY_PAID',
  'PARTIALLY_REFUNDED',
  'PENDING',
  'REFUNDED',
  'VOIDED',
];

const paths: readonly PathSpec[] = [
  { path: 'id', type: 'id', at: 'id', nullable: false },
  { path: 'name', type: 'text', at: 'name', nullable: false, ...created('name'), search: 'name' },
  { path: 'email', type: 'text', at: 'email', ...changed('email'), maxLength: 255, search: 'email', compare: 'lower' },
  { path: 'phone', type: 'text', at: 'phone', ...changed('phone'), compare: 'digits' },
  { path: 'note', type: 'text', at: 'note', ...changed('note') },
  { path: 'poNumber', type: 'text', at: 'poNumber', ...changed('poNumber'), search: 'po_number' },
  { path: 'tags', type: 'list', at: 'tags', nullable: false, ...changed('tags') },
  { path: 'customer', type: 'id', at: 'customer.id', ...created('customer.toAssociate.id'), references: ['Customer'] },
  { path: 'processedAt', type: 'timestamp', at: 'processedAt', nullable: false, ...created('processedAt') },
  { path: 'currencyCode', type: 'text', at: 'currencyCode', nullable: false, ...created('currency'), maxLength: 3 },
  {
    path: 'displayFinancialStatus',
    type: 'text',
    at: 'displayFinancialStatus',
    ...created('financialStatus'),
    values: statuses,
  },
  { path: 'displayFulfillmentStatus', type: 'text', at: 'displayFulfillmentStatus', nullable: false },
  { path: 'totalPrice', type: 'number', at: 'totalPriceSet.shopMoney.amount', nullable: false, scale: 2 },
  { path: 'subtotalPrice', type: 'number', at: 'subtotalPriceSet.shopMoney.amount', scale: 2 },
  {
    path: 'sourceIdentifier',
    type: 'text',
    at: 'sourceIdentifier',
    ...created('sourceIdentifier'),
    search: 'source_identifier',
  },
  { path: 'test', type: 'boolean', at: 'test', nullable: false, ...created('test') },
  { path: 'cancelledAt', type: 'timestamp', at: 'cancelledAt' },
  { path: 'closedAt', type: 'timestamp', at: 'closedAt' },
  { path: 'createdAt', type: 'timestamp', at: 'createdAt', nullable: false },
  { path: 'updatedAt', type: 'timestamp', at: 'updatedAt', nullable: false },
];

const linePaths: readonly PathSpec[] = [
  { path: 'id', type: 'id', at: 'id', nullable: false },
  { path: 'sku', type: 'text', at: 'sku', create: 'line.sku' },
  { path: 'title', type: 'text', at: 'title', nullable: false, create: 'line.title' },
  { path: 'quantity', type: 'number', at: 'quantity', nullable: false, create: 'line.quantity', scale: 0 },
  { path: 'currentQuantity', type: 'number', at: 'currentQuantity', nullable: false, scale: 0 },
  {
    path: 'originalUnitPrice',
    type: 'number',
    at: 'originalUnitPriceSet.shopMoney.amount',
    nullable: false,
    create: 'line.unitPrice',
    scale: 2,
    decimal: true,
  },
  { path: 'product', type: 'id', at: 'product.id', create: 'line.productId', references: ['Product'] },
  { path: 'variant', type: 'id', at: 'variant.id', create: 'line.variantId', references: ['ProductVariant'] },
  { path: 'vendor', type: 'text', at: 'vendor', create: 'line.vendor' },
  { path: 'taxable', type: 'boolean', at: 'taxable', nullable: false, create: 'line.taxable' },
  {
    path: 'requiresShipping',
    type: 'boolean',
    at: 'requiresShipping',
    nullable: false,
    create: 'line.requiresShipping',
  },
];

interface Line {
  readonly unitPrice?: unknown;
  readonly productId?: unknown;
  readonly variantId?: unknown;
}

/** A line names its variant, because only that ties it to stock and catalogue; a product stands for its first variant. */
function line(child: ChildWrite, currency: string, context: PlanContext): { line: object; refused: readonly string[] } {
  const { args, refused } = arrange(linePaths, child.fields, 'create');
  const { unitPrice, productId, variantId, ...rest } = (args['line'] ?? {}) as Line & Record<string, unknown>;
  const variant = variantId ?? (typeof productId === 'string' ? context.variantOf.get(productId) : undefined);
  const amount = typeof unitPrice === 'string' ? { amount: unitPrice, currencyCode: currency } : null;
  return {
    line: {
      ...rest,
      ...(variant === undefined || variant === null
        ? typeof productId === 'string'
          ? { productId }
          : {}
        : { variantId: variant }),
      ...(amount === null ? {} : { priceSet: { shopMoney: amount } }),
      properties: [{ name: childKey(context), value: child.hubId }],
    },
    refused,
  };
}

/** Name of the line item property that keeps a child's hub id. A leading underscore hides it from buyers. */
export const childKey = (context: Pick<PlanContext, 'hubKey'>): string =>
  `_${context.hubKey.namespace}.${context.hubKey.key}`;

const writer: Writer = {
  variantsNeeded(write) {
    if (write.op !== 'create') return [];
    const lines = write.children['lineItems'] ?? [];
    const products = lines
      .map((child) => child.fields as Readonly<Record<string, unknown>>)
      .filter((fields) => typeof fields['variant'] !== 'string')
      .map((fields) => fields['product']);
    return products.filter((id) => typeof id === 'string');
  },
  lookupBeforeCreate: true,
  create(write, context) {
    const { args, refused } = arrange(paths, write.fields, 'create');
    if (refused.length > 0) return refusedPaths('Order', 'create', refused);
    const fields = (args['order'] ?? {}) as Record<string, unknown>;
    const currency = typeof fields['currency'] === 'string' ? fields['currency'] : context.currency;
    const lines = (write.children['lineItems'] ?? []).map((child) => line(child, currency, context));
    const refusedInLines = [...new Set(lines.flatMap((each) => each.refused))];
    if (refusedInLines.length > 0) return refusedPaths('Order line', 'create', refusedInLines);
    if (lines.length === 0)
      return rejected('no_lines', 'Shopify refuses an Order without line items; it waits for its first line.');
    const toAssociate = (fields['customer'] as { toAssociate?: { id?: unknown } } | undefined)?.toAssociate;
    if (toAssociate?.id === null) delete fields['customer'];
    const order = {
      ...fields,
      currency,
      lineItems: lines.map((each) => each.line),
      metafields: [{ ...context.hubKey, type: 'id', value: write.hubId }],
    };
    return plan('orderCreate', 'order', 'OrderCreateOrderInput!', order, true, lines.length);
  },
  update(write) {
    if (hasChildren(write.children)) {
      return rejected(
        'unsupported_change',
        'Shopify does not let the lines of an existing Order change here; edit the order in Shopify.',
      );
    }
    const { args, refused } = arrange(paths, write.fields, 'update');
    if (refused.length > 0) return refusedPaths('Order', 'update', refused);
    return plan(
      'orderUpdate',
      'input',
      'OrderInput!',
      { ...(args['input'] as object | undefined), id: write.externalId },
      false,
      0,
    );
  },
  remove: () =>
    rejected(
      'unsupported_delete',
      'An Order is cancelled in Shopify (with refund and restocking), not deleted by an integration. Cancel it there, or map `delete: ignore`.',
    ),
};

function plan(field: string, arg: string, type: string, value: unknown, coded: boolean, children: number): Planned {
  return {
    ok: true,
    mutations: [{ field, args: [{ name: arg, type, value }], payload: 'order', returns: 'record', coded, children }],
  };
}

export const order: ObjectSpec = {
  name: 'Order',
  gid: 'Order',
  collection: 'orders',
  order: 'stamp',
  byIdentifier: { field: 'orderByIdentifier', input: 'OrderIdentifierInput!' },
  ownerType: 'ORDER',
  scopes: { read: 'read_orders', write: 'write_orders' },
  stamps: ['updatedAt'],
  paths,
  children: { lineItems: { field: 'lineItems', gid: 'LineItem', first: 10, paths: linePaths } },
  single: null,
  writer,
  deletable: false,
  topics: [
    { topic: 'orders/create', deleted: false },
    { topic: 'orders/updated', deleted: false },
    { topic: 'orders/cancelled', deleted: false },
    { topic: 'orders/delete', deleted: true },
  ],
};
