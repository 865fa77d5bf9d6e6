// Owns how the query root answers: look-ups by id and by identifier see the live shop, listings go through the search index.
import { GraphQLError, type GraphQLFieldResolver } from 'graphql';
import type { Call } from './call.js';
import { connection, type Connection, type PageArguments } from './connection.js';
import { idOf, readGid } from './gid.js';
import { namespaceOf } from './metafields.js';
import * as normal from './normalise.js';
import type { DefinitionRow, Entity, OwnerKind, Stamped } from './rows.js';
import {
  customerFields,
  customerSort,
  orderFields,
  orderSort,
  productFields,
  productSort,
  variantFields,
  variantSort,
  type SortValue,
} from './search-fields.js';
import { search, type SearchFields } from './search.js';
import type { Table } from './table.js';

type Arguments = Readonly<Record<string, unknown>>;
export type Resolver = GraphQLFieldResolver<unknown, Call, Arguments>;

interface Listing<Row extends Stamped> {
  readonly table: Table<Row>;
  readonly fields: SearchFields<Row>;
  readonly sort: (key: string) => SortValue<Row> | null;
}

/** A connection over a table, with search and sort. */
function list<Row extends Stamped>(
  { table, fields, sort }: Listing<Row>,
  args: Arguments,
  call: Call,
  path: readonly (string | number)[],
  outermost: boolean,
): Connection<Row> {
  const rows = found(table, fields, args, call, path);
  const sortOf = sort(String(args['sortKey'] ?? 'ID'));
  const whole = call.slice !== null;
  const page = connection({ rows, idOf: (row) => row.id, sortOf }, args as PageArguments, whole);
  if (call.slice === null || !outermost) return page;
  call.slice.total = page.nodes.length;
  const nodes = page.nodes.slice(call.slice.from, call.slice.from + call.slice.size);
  return { ...page, nodes, edges: () => nodes.map((node) => ({ node, cursor: '' })) };
}

function found<Row extends Stamped>(
  table: Table<Row>,
  fields: SearchFields<Row>,
  args: Arguments,
  call: Call,
  path: readonly (string | number)[],
): Iterable<Row> {
  const query = normal.text(args['query']);
  const { quirks, shop } = call;
  if (query === null && args['sortKey'] !== 'UPDATED_AT') return table.live();
  const indexed = table.indexed(shop.now(), quirks.searchLagMs);
  const parsed = query === null ? null : search(query, fields, quirks);
  if (query !== null && parsed !== null && parsed.warnings.length > 0) {
    call.notices.push({ path, query, warnings: parsed.warnings });
  }
  const rows: Row[] = [];
  for (const row of indexed) {
    if (parsed !== null && !parsed.matches(row)) continue;
    const live = quirks.staleBodies ? row : table.get(row.id);
    if (live !== undefined) rows.push(live);
  }
  return rows;
}

function count<Row extends Stamped>({ table, fields }: Listing<Row>, args: Arguments, call: Call): unknown {
  let total = 0;
  for (const _ of found(table, fields, args, call, [])) total += 1;
  const limit = typeof args['limit'] === 'number' ? args['limit'] : Infinity;
  return { count: Math.min(total, limit), precision: total > limit ? 'AT_LEAST' : 'EXACT' };
}

/** Any object by its gid; null for one that does not exist. Throws for text that is no gid. */
export function byGid(call: Call, id: string): Entity | { kind: string } | null {
  const read = readGid(id);
  if (read === null) {
    throw new GraphQLError(`Invalid global id '${id}'`, { extensions: { code: 'argumentLiteralsIncompatible' } });
  }
  const { shop } = call;
  switch (read.kind) {
    case 'Customer':
      return shop.customers.get(read.id) ?? null;
    case 'Product':
      return shop.products.get(read.id) ?? null;
    case 'ProductVariant':
      return shop.variants.get(read.id) ?? null;
    case 'Order':
      return shop.orders.get(read.id) ?? null;
    case 'Metafield':
      return shop.metafields.get(read.id) ?? null;
    case 'MetafieldDefinition':
      return shop.definitions.get(read.id) ?? null;
    case 'WebhookSubscription':
      return shop.subscriptions.get(read.id) ?? null;
    case 'BulkOperation':
      return shop.bulk.get(read.id) ?? null;
    case 'Shop':
      return read.id === shop.facts.id ? { kind: 'Shop' } : null;
    default:
      return null;
  }
}

/** The record a custom id points to. The metafield needs a definition with unique values. */
export function byCustomId(call: Call, kind: OwnerKind, given: Arguments): number | null {
  const namespace = namespaceOf(given['namespace'] as string | undefined);
  const key = String(given['key']);
  const definition = call.shop.definitionOf(kind, namespace, key);
  if (definition?.unique !== true) {
    const message = `Metafield definition of type 'id' is required when using custom ids.`;
    throw new GraphQLError(message, { extensions: { code: 'NOT_FOUND' } });
  }
  return call.shop.ownerByValue(kind, namespace, key, String(given['value']));
}

function customerByIdentifier(call: Call, identifier: Arguments): unknown {
  const { shop } = call;
  const { id, emailAddress, phoneNumber, customId } = identifier;
  if (typeof id === 'string') return shop.customers.get(idOf('Customer', id)) ?? null;
  if (typeof emailAddress === 'string') {
    return shop.customers.get(shop.customerByEmail.get(normal.email(emailAddress) ?? '') ?? null) ?? null;
  }
  if (typeof phoneNumber === 'string') {
    const phone = normal.phone(phoneNumber, shop.facts.country) ?? '';
    return shop.customers.get(shop.customerByPhone.get(phone) ?? null) ?? null;
  }
  return shop.customers.get(byCustomId(call, 'Customer', customId as Arguments)) ?? null;
}

function productByIdentifier(call: Call, identifier: Arguments): unknown {
  const { shop } = call;
  const { id, handle, customId } = identifier;
  if (typeof id === 'string') return shop.products.get(idOf('Product', id)) ?? null;
  if (typeof handle === 'string') return shop.products.get(shop.productByHandle.get(handle) ?? null) ?? null;
  return shop.products.get(byCustomId(call, 'Product', customId as Arguments)) ?? null;
}

export const ownerKinds: Readonly<Record<string, OwnerKind>> = {
  CUSTOMER: 'Customer',
  PRODUCT: 'Product',
  PRODUCTVARIANT: 'ProductVariant',
  ORDER: 'Order',
  SHOP: 'Shop',
};

function definitions(call: Call, args: Arguments): unknown {
  const kind = ownerKinds[String(args['ownerType'])];
  const rows: DefinitionRow[] = [];
  for (const row of call.shop.definitions.live()) {
    if (row.ownerKind !== kind) continue;
    if (typeof args['namespace'] === 'string' && namespaceOf(args['namespace']) !== row.namespace) continue;
    if (typeof args['key'] === 'string' && args['key'] !== row.key) continue;
    rows.push(row);
  }
  return connection({ rows, idOf: (row) => row.id, sortOf: null }, args as PageArguments);
}

function definition(call: Call, args: Arguments): unknown {
  if (typeof args['id'] === 'string') return call.shop.definitions.get(idOf('MetafieldDefinition', args['id'])) ?? null;
  const given = args['identifier'] as Arguments | undefined;
  const kind = ownerKinds[String(given?.['ownerType'])];
  if (given === undefined || kind === undefined) return null;
  const namespace = namespaceOf(given['namespace'] as string | undefined);
  return call.shop.definitionOf(kind, namespace, String(given['key'])) ?? null;
}

function subscriptions(call: Call, args: Arguments): unknown {
  const { topics, format } = args;
  const uri = args['uri'] ?? args['callbackUrl'];
  const rows = [...call.shop.subscriptions.live()].filter(
    (row) =>
      (!Array.isArray(topics) || topics.length === 0 || topics.includes(row.topic)) &&
      (typeof format !== 'string' || format === row.format) &&
      (typeof uri !== 'string' || uri === row.uri),
  );
  return connection({ rows, idOf: (row) => row.id, sortOf: null }, args as PageArguments);
}

function latestBulk(call: Call, type: string): unknown {
  let latest = null;
  for (const row of call.shop.bulk.live()) if (row.type === type) latest = row;
  return latest;
}

export function customersOf(call: Call): Listing<NonNullable<ReturnType<Call['shop']['customers']['get']>>> {
  return { table: call.shop.customers, fields: customerFields, sort: customerSort };
}

const productsOf = (call: Call) => {
  return { table: call.shop.products, fields: productFields(call.shop), sort: productSort };
};
const variantsOf = (call: Call) => ({ table: call.shop.variants, fields: variantFields, sort: variantSort });
const ordersOf = (call: Call) => ({ table: call.shop.orders, fields: orderFields, sort: orderSort });

export const queryResolvers: Readonly<Record<string, Resolver>> = {
  shop: () => ({ kind: 'Shop' }),
  node: (_, args, call) => byGid(call, String(args['id'])),
  nodes: (_, args, call) => (args['ids'] as string[]).map((id) => byGid(call, id)),
  customer: (_, args, { shop }) => shop.customers.get(idOf('Customer', String(args['id']))) ?? null,
  product: (_, args, { shop }) => shop.products.get(idOf('Product', String(args['id']))) ?? null,
  productVariant: (_, args, { shop }) => shop.variants.get(idOf('ProductVariant', String(args['id']))) ?? null,
  order: (_, args, { shop }) => shop.orders.get(idOf('Order', String(args['id']))) ?? null,
  customerByIdentifier: (_, args, call) => customerByIdentifier(call, args['identifier'] as Arguments),
  productByIdentifier: (_, args, call) => productByIdentifier(call, args['identifier'] as Arguments),
  productVariantByIdentifier(_, args, call) {
    const { id, customId } = args['identifier'] as Arguments;
    if (typeof id === 'string') return call.shop.variants.get(idOf('ProductVariant', id)) ?? null;
    return call.shop.variants.get(byCustomId(call, 'ProductVariant', customId as Arguments)) ?? null;
  },
  orderByIdentifier(_, args, call) {
    const { id, customId } = args['identifier'] as Arguments;
    if (typeof id === 'string') return call.shop.orders.get(idOf('Order', id)) ?? null;
    return call.shop.orders.get(byCustomId(call, 'Order', customId as Arguments)) ?? null;
  },
  customers: (_, args, call, info) => list(customersOf(call), args, call, pathOf(info), true),
  products: (_, args, call, info) => list(productsOf(call), args, call, pathOf(info), true),
  productVariants: (_, args, call, info) => list(variantsOf(call), args, call, pathOf(info), true),
  orders: (_, args, call, info) => list(ordersOf(call), args, call, pathOf(info), true),
  customersCount: (_, args, call) => count(customersOf(call), args, call),
  productsCount: (_, args, call) => count(productsOf(call), args, call),
  ordersCount: (_, args, call) => count(ordersOf(call), args, call),
  metafieldDefinitions: (_, args, call) => definitions(call, args),
  metafieldDefinition: (_, args, call) => definition(call, args),
  webhookSubscriptions: (_, args, call) => subscriptions(call, args),
  webhookSubscription: (_, args, { shop }) => {
    return shop.subscriptions.get(idOf('WebhookSubscription', String(args['id']))) ?? null;
  },
  bulkOperation: (_, args, { shop }) => shop.bulk.get(idOf('BulkOperation', String(args['id']))) ?? null,
  currentBulkOperation: (_, args, call) => latestBulk(call, String(args['type'] ?? 'QUERY')),
  bulkOperations: (_, args, { shop }) =>
    connection({ rows: shop.bulk.live(), idOf: (row) => row.id, sortOf: null }, args as PageArguments),
  currentAppInstallation: () => ({ kind: 'AppInstallation' }),
  publicApiVersions: (_, __, { versions }) =>
    versions.map((handle) => ({ handle, displayName: handle, supported: true })),
};

function pathOf(info: { readonly path: { readonly key: string | number } }): readonly (string | number)[] {
  return [info.path.key];
}

/** The orders of one customer, as a nested connection. */
export function ordersOfCustomer(call: Call, customerId: number, args: Arguments): unknown {
  const ids = [...(call.shop.ordersOfCustomer.get(customerId) ?? [])];
  const rows = ids.flatMap((id) => call.shop.orders.get(id) ?? []);
  const query = normal.text(args['query']);
  const parsed = query === null ? null : search(query, orderFields, call.quirks);
  return connection(
    {
      rows: rows.filter((row) => parsed?.matches(row) ?? true),
      idOf: (row) => row.id,
      sortOf: orderSort(String(args['sortKey'])),
    },
    args as PageArguments,
    call.slice !== null,
  );
}
