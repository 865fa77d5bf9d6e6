// Owns how the fields of each object are read from its row. One map a type; a field without an entry is read by name.
import type { GraphQLFieldResolver } from 'graphql';
import type { Call } from './call.js';
import { connection, type PageArguments } from './connection.js';
import { gid } from './gid.js';
import { digest, namespaceOf } from './metafields.js';
import * as normal from './normalise.js';
import { subtotalCents, totalCents } from './orders.js';
import { ordersOfCustomer, ownerKinds } from './reads.js';
import type {
  AddressRow,
  BulkRow,
  CustomerRow,
  DefinitionRow,
  LineRow,
  MetafieldRow,
  OptionRow,
  OrderRow,
  OwnerKind,
  ProductRow,
  SubscriptionRow,
  VariantRow,
} from './rows.js';

type Arguments = Readonly<Record<string, unknown>>;
type Fields<Row> = Readonly<Record<string, GraphQLFieldResolver<Row, Call, Arguments>>>;

const stampOrNull = (ms: number | null): string | null => (ms === null ? null : normal.stamp(ms));
const moneyOrNull = (cents: number | null): string | null => (cents === null ? null : normal.moneyText(cents));

const money = (cents: number, currencyCode: string): unknown => ({ amount: normal.decimalText(cents), currencyCode });
const bag = (cents: number, currency: string): unknown => {
  return { shopMoney: money(cents, currency), presentmentMoney: money(cents, currency) };
};

function metafields<Row extends { readonly id: number }>(kind: OwnerKind): Fields<Row> {
  return {
    metafield: (row, args, { shop }) =>
      shop.metafieldOf(
        kind,
        row.id,
        namespaceOf(args['namespace'] as string | null | undefined),
        String(args['key']),
      ) ?? null,
    metafields(row, args, call) {
      const namespace = typeof args['namespace'] === 'string' ? namespaceOf(args['namespace']) : null;
      const keys = Array.isArray(args['keys']) ? (args['keys'] as string[]) : null;
      const rows = [...call.shop.metafieldsOf(kind, row.id)].filter(
        (each) =>
          (namespace === null || each.namespace === namespace) &&
          (keys === null || keys.includes(`${each.namespace}.${each.key}`) || keys.includes(each.key)),
      );
      rows.sort((a, b) => a.id - b.id);
      return connection({ rows, idOf: (each) => each.id, sortOf: null }, args as PageArguments, call.slice !== null);
    },
  };
}

function stamped(kind: Parameters<typeof gid>[0]): Fields<{ id: number; createdAt: number; updatedAt: number }> {
  return {
    id: (row) => gid(kind, row.id),
    legacyResourceId: (row) => String(row.id),
    createdAt: (row) => normal.stamp(row.createdAt),
    updatedAt: (row) => normal.stamp(row.updatedAt),
  };
}

const displayName = (row: CustomerRow): string => {
  const name = [row.firstName, row.lastName].filter((part) => part !== null).join(' ');
  return name === '' ? (row.email ?? row.phone ?? '') : name;
};

const ordersOf = (call: Call, id: number): readonly OrderRow[] =>
  [...(call.shop.ordersOfCustomer.get(id) ?? [])].flatMap((orderId) => call.shop.orders.get(orderId) ?? []);

const customer: Fields<CustomerRow> = {
  ...stamped('Customer'),
  ...metafields('Customer'),
  displayName,
  state: () => 'DISABLED',
  verifiedEmail: (row) => row.email !== null,
  defaultEmailAddress: (row) => (row.email === null ? null : { emailAddress: row.email, validFormat: true }),
  defaultPhoneNumber: (row) => (row.phone === null ? null : { phoneNumber: row.phone }),
  defaultAddress: (row) => row.addresses[0] ?? null,
  addresses: (row, args) => row.addresses.slice(0, (args['first'] as number | null) ?? undefined),
  numberOfOrders: (row, _, call) => String(ordersOf(call, row.id).length),
  amountSpent: (row, _, call) =>
    money(
      ordersOf(call, row.id).reduce((sum, order) => sum + totalCents(order), 0),
      call.shop.facts.currency,
    ),
  lastOrder: (row, _, call) => ordersOf(call, row.id).at(-1) ?? null,
  canDelete: (row, _, call) => ordersOf(call, row.id).length === 0,
  orders: (row, args, call) => ordersOfCustomer(call, row.id, args),
};

const address: Fields<AddressRow> = {
  id: (row) => gid('MailingAddress', row.id),
  name: (row) => [row.firstName, row.lastName].filter((part) => part !== null).join(' ') || null,
  country: (row) => row.countryCode,
  countryCodeV2: (row) => row.countryCode,
  province: (row) => row.provinceCode,
};

const variantsOf = (row: ProductRow, call: Call): readonly VariantRow[] =>
  row.variantIds.flatMap((id) => call.shop.variants.get(id) ?? []);

const product: Fields<ProductRow> = {
  ...stamped('Product'),
  ...metafields('Product'),
  description: (row) => normal.plain(row.descriptionHtml),
  hasOnlyDefaultVariant: (row, _, call) =>
    variantsOf(row, call).every((each) => each.selected[0]?.value === 'Default Title'),
  isGiftCard: () => false,
  options: (row, args) =>
    row.options
      .slice(0, (args['first'] as number | null) ?? undefined)
      .map((each, at) => ({ ...each, position: at + 1 })),
  publishedAt: (row) => stampOrNull(row.publishedAt),
  seo: (row) => ({ title: row.seoTitle, description: row.seoDescription }),
  totalInventory: () => 0,
  tracksInventory: (row, _, call) => variantsOf(row, call).some((each) => each.tracked),
  variantsCount: (row) => ({ count: row.variantIds.length, precision: 'EXACT' }),
  variants: (row, args, call) =>
    connection(
      { rows: variantsOf(row, call), idOf: (each) => each.id, sortOf: null },
      args as PageArguments,
      call.slice !== null,
    ),
};

const option: Fields<OptionRow> = {
  id: (row) => gid('ProductOption', row.id),
  values: (row) => row.values.map((value) => value.name),
  optionValues: (row) =>
    row.values.map(({ id, name }) => ({ id: gid('ProductOptionValue', id), name, hasVariants: true })),
};

const titleOf = (row: VariantRow): string => row.selected.map((each) => each.value).join(' / ');

const variant: Fields<VariantRow> = {
  ...stamped('ProductVariant'),
  ...metafields('ProductVariant'),
  title: titleOf,
  displayName: (row, _, { shop }) => `${shop.products.get(row.productId)?.title ?? ''} - ${titleOf(row)}`,
  price: (row) => normal.moneyText(row.priceCents),
  compareAtPrice: (row) => moneyOrNull(row.compareAtCents),
  availableForSale: (row, _, { shop }) => shop.products.get(row.productId)?.status === 'ACTIVE',
  inventoryQuantity: () => 0,
  inventoryItem: (row) => row,
  position: (row, _, { shop }) => (shop.products.get(row.productId)?.variantIds.indexOf(row.id) ?? 0) + 1,
  product: (row, _, { shop }) => shop.products.get(row.productId),
  selectedOptions: (row, _, { shop }) => {
    const options = shop.products.get(row.productId)?.options ?? [];
    return row.selected.map(({ name, value }) => {
      const found = options.find((each) => each.name === name)?.values.find((each) => each.name === value);
      const optionValue = { id: gid('ProductOptionValue', found?.id ?? 0), name: value, hasVariants: true };
      return { name, value, optionValue };
    });
  },
};

const inventoryItem: Fields<VariantRow> = {
  ...stamped('InventoryItem'),
  id: (row) => gid('InventoryItem', row.inventoryItemId),
  legacyResourceId: (row) => String(row.inventoryItemId),
  unitCost: (row, _, { shop }) => (row.costCents === null ? null : money(row.costCents, shop.facts.currency)),
  variant: (row) => row,
};

const quantityOf = (row: OrderRow): number => row.lines.reduce((sum, line) => sum + line.quantity, 0);
const outstanding = (row: OrderRow): number => {
  return ['PAID', 'REFUNDED', 'VOIDED'].includes(row.financialStatus) ? 0 : totalCents(row);
};

const order: Fields<OrderRow> = {
  ...stamped('Order'),
  ...metafields('Order'),
  cancelledAt: (row) => stampOrNull(row.cancelledAt),
  closed: (row) => row.closedAt !== null,
  closedAt: (row) => stampOrNull(row.closedAt),
  confirmed: () => true,
  currencyCode: (row) => row.currency,
  presentmentCurrencyCode: (row) => row.currency,
  customer: (row, _, { shop }) => shop.customers.get(row.customerId) ?? null,
  displayFinancialStatus: (row) => row.financialStatus,
  displayFulfillmentStatus: (row) => row.fulfillmentStatus,
  fullyPaid: (row) => row.financialStatus === 'PAID',
  unpaid: (row) => row.financialStatus !== 'PAID',
  processedAt: (row) => normal.stamp(row.processedAt),
  subtotalLineItemsQuantity: quantityOf,
  currentSubtotalLineItemsQuantity: (row) => (row.cancelledAt === null ? quantityOf(row) : 0),
  subtotalPriceSet: (row) => bag(subtotalCents(row), row.currency),
  currentSubtotalPriceSet: (row) => bag(row.cancelledAt === null ? subtotalCents(row) : 0, row.currency),
  totalPriceSet: (row) => bag(totalCents(row), row.currency),
  currentTotalPriceSet: (row) => bag(row.cancelledAt === null ? totalCents(row) : 0, row.currency),
  originalTotalPriceSet: (row) => bag(totalCents(row), row.currency),
  totalTaxSet: (row) => bag(row.taxCents, row.currency),
  totalDiscountsSet: (row) => bag(0, row.currency),
  totalShippingPriceSet: (row) => bag(row.shippingCents, row.currency),
  totalOutstandingSet: (row) => bag(outstanding(row), row.currency),
  totalReceivedSet: (row) => bag(row.financialStatus === 'PAID' ? totalCents(row) : 0, row.currency),
  lineItems: (row, args, call) =>
    connection({ rows: row.lines, idOf: (line) => line.id, sortOf: null }, args as PageArguments, call.slice !== null),
};

const currencyOf = (row: LineRow, { shop }: Call): string =>
  shop.orders.get(row.orderId)?.currency ?? shop.facts.currency;

const lineItem: Fields<LineRow> = {
  id: (row) => gid('LineItem', row.id),
  name: (row) => (row.variantTitle === null ? row.title : `${row.title} - ${row.variantTitle}`),
  currentQuantity: (row, _, { shop }) => (shop.orders.get(row.orderId)?.cancelledAt ? 0 : row.quantity),
  isGiftCard: (row) => row.giftCard,
  product: (row, _, { shop }) => shop.products.get(row.productId) ?? null,
  variant: (row, _, { shop }) => shop.variants.get(row.variantId) ?? null,
  originalUnitPriceSet: (row, _, call) => bag(row.unitCents, currencyOf(row, call)),
  discountedUnitPriceSet: (row, _, call) => bag(row.unitCents, currencyOf(row, call)),
  originalTotalSet: (row, _, call) => bag(row.unitCents * row.quantity, currencyOf(row, call)),
  discountedTotalSet: (row, _, call) => bag(row.unitCents * row.quantity, currencyOf(row, call)),
  totalDiscountSet: (row, _, call) => bag(0, currencyOf(row, call)),
};

const ownerTypes = new Map(Object.entries(ownerKinds).map(([name, kind]) => [kind, name]));

const metafield: Fields<MetafieldRow> = {
  ...stamped('Metafield'),
  compareDigest: digest,
  definition: (row, _, { shop }) => shop.definitionOf(row.ownerKind, row.namespace, row.key) ?? null,
  jsonValue: (row) => jsonValue(row),
  ownerType: (row) => ownerTypes.get(row.ownerKind),
  owner(row, _, { shop }) {
    if (row.ownerKind === 'Customer') return shop.customers.get(row.ownerId);
    if (row.ownerKind === 'Product') return shop.products.get(row.ownerId);
    if (row.ownerKind === 'ProductVariant') return shop.variants.get(row.ownerId);
    return row.ownerKind === 'Order' ? shop.orders.get(row.ownerId) : { kind: 'Shop' };
  },
};

function jsonValue({ type, value }: MetafieldRow): unknown {
  if (type === 'json' || type.startsWith('list.')) return JSON.parse(value);
  if (type === 'number_integer') return Number(value);
  return type === 'boolean' ? value === 'true' : value;
}

const definition: Fields<DefinitionRow> = {
  id: (row) => gid('MetafieldDefinition', row.id),
  ownerType: (row) => ownerTypes.get(row.ownerKind),
  type: (row) => ({ name: row.type, category: row.type === 'id' ? 'ID' : 'TEXT' }),
  capabilities: (row) => ({ uniqueValues: { eligible: true, enabled: row.unique } }),
  metafieldsCount(row, _, { shop }) {
    let count = 0;
    for (const each of shop.metafields.live()) {
      if (each.ownerKind === row.ownerKind && each.namespace === row.namespace && each.key === row.key) count += 1;
    }
    return count;
  },
};

const subscription: Fields<SubscriptionRow> = {
  ...stamped('WebhookSubscription'),
  callbackUrl: (row) => row.uri,
  endpoint: (row) => ({ callbackUrl: row.uri }),
  apiVersion: (row) => ({ handle: row.apiVersion, displayName: row.apiVersion, supported: true }),
};

const bulkOperation: Fields<BulkRow> = {
  id: (row) => gid('BulkOperation', row.id),
  createdAt: (row) => normal.stamp(row.createdAt),
  completedAt: (row) => stampOrNull(row.completedAt),
  objectCount: (row) => String(row.objectCount),
  rootObjectCount: (row) => String(row.rootObjectCount),
  fileSize: (row) => (row.file === null ? null : String(row.file.length)),
  url: (row, _, { bulk }) => (row.status === 'COMPLETED' ? bulk.urlOf(row) : null),
  partialDataUrl: (row, _, { bulk }) => (row.status === 'COMPLETED' ? null : bulk.urlOf(row)),
};

const shop: Fields<unknown> = {
  ...(metafields('Shop') as Fields<unknown>),
  id: (_, __, call) => gid('Shop', call.shop.facts.id),
  name: (_, __, call) => call.shop.facts.name,
  email: (_, __, call) => call.shop.facts.email,
  myshopifyDomain: (_, __, call) => call.shop.facts.domain,
  currencyCode: (_, __, call) => call.shop.facts.currency,
  ianaTimezone: () => 'America/New_York',
  createdAt: (_, __, call) => normal.stamp(call.shop.facts.createdAt),
  updatedAt: (_, __, call) => normal.stamp(call.shop.facts.createdAt),
  metafield: (_, args, call) =>
    call.shop.metafieldOf('Shop', call.shop.facts.id, namespaceOf(args['namespace'] as string), String(args['key'])) ??
    null,
};

const installation: Fields<unknown> = {
  id: () => gid('AppInstallation', 500_000_000_001),
  accessScopes: (_, __, call) => call.scopes.map((handle) => ({ handle, description: handle.replaceAll('_', ' ') })),
  app: () => ({ id: gid('App', 400_000_000_001), title: 'Truespoke', handle: 'truespoke', apiKey: 'simulated' }),
};

export const objectResolvers: Readonly<Record<string, Fields<never>>> = {
  Customer: customer,
  MailingAddress: address,
  Product: product,
  ProductOption: option,
  ProductVariant: variant,
  InventoryItem: inventoryItem,
  Order: order,
  LineItem: lineItem,
  Metafield: metafield,
  MetafieldDefinition: definition,
  WebhookSubscription: subscription,
  BulkOperation: bulkOperation,
  Shop: shop,
  AppInstallation: installation,
};
