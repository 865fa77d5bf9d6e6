// Owns the mutations: each reads its arguments, calls the write rules and answers with a payload. What the rules refuse
// becomes `userErrors`; nothing was changed then.
import { GraphQLError } from 'graphql';
import { deliverable, type Call } from './call.js';
import { createCustomer, deleteCustomer, updateCustomer } from './customers.js';
import { gid, idOf } from './gid.js';
import { guarded, type Mutation } from './guarded.js';
import { bulkVariants, metafieldsOf, requiredId, setOptions, setVariants, type Input } from './inputs.js';
import { byCustomId, byGid } from './reads.js';
import { metafieldMutations } from './metafield-writes.js';
import { namespaceOf, type MetafieldValue } from './metafields.js';
import * as normal from './normalise.js';
import { cancelOrder, createOrder, deleteOrder, markPaid, updateOrder } from './orders.js';
import { createProduct, deleteProduct, updateProduct } from './products.js';
import type { CustomerRow, ProductRow, SubscriptionRow } from './rows.js';
import { refuse } from './user-errors.js';

/** The custom id of an upsert becomes the metafield of the record that it makes. */
function customIdField(given: unknown): readonly MetafieldValue[] {
  const custom = given as Input | undefined;
  if (custom === undefined) return [];
  const namespace = namespaceOf(custom['namespace'] as string | undefined);
  return [{ namespace, key: String(custom['key']), value: String(custom['value']), type: null }];
}

function setCustomer(args: Input, call: Call): Input {
  const { shop, actor } = call;
  const { id: inner, ...input } = args['input'] as Input;
  const identifier = (args['identifier'] ?? {}) as Input;
  const path = ['input'];
  const write = { input, metafields: [], path };
  if (args['identifier'] && inner !== undefined) {
    refuse([...path, 'id'], 'The id field is not allowed if identifier is provided.', 'ID_NOT_ALLOWED');
  }
  const id = typeof inner === 'string' ? inner : identifier['id'];
  if (typeof id === 'string') return { customer: updateCustomer(shop, actor, idOf('Customer', id), write) };
  if (typeof identifier['email'] === 'string') {
    const email = matching(identifier['email'], input['email'], normal.email, 'email');
    return { customer: upsert(call, shop.customerByEmail.get(email), write) };
  }
  if (typeof identifier['phone'] === 'string') {
    const phone = matching(
      identifier['phone'],
      input['phone'],
      (text) => normal.phone(text, shop.facts.country) ?? null,
      'phone',
    );
    return { customer: upsert(call, shop.customerByPhone.get(phone), write) };
  }
  if (!identifier['customId']) return { customer: createCustomer(shop, actor, write) };
  const holder = byCustomId(call, 'Customer', identifier['customId'] as Input);
  const metafields = customIdField(identifier['customId']);
  return { customer: upsert(call, holder ?? undefined, { ...write, metafields }) };
}

/** The identifier and the field of the same name must say the same. */
function matching(key: string, value: unknown, as: (text: string) => string | null, field: string): string {
  const wanted = as(key);
  if (value === undefined) {
    refuse(['input', field], 'The input field corresponding to the identifier is required.', 'MISSING_FIELD_REQUIRED');
  }
  if (wanted === null || as(String(value)) !== wanted) {
    const message = 'The identifier value does not match the value of the corresponding field in the input.';
    refuse(['input', field], message, 'INPUT_MISMATCH');
  }
  return wanted;
}

function upsert(
  { shop, actor }: Call,
  id: number | undefined,
  write: Parameters<typeof createCustomer>[2],
): CustomerRow {
  return id === undefined ? createCustomer(shop, actor, write) : updateCustomer(shop, actor, id, write);
}

function setProduct(args: Input, call: Call): Input {
  const { shop, actor } = call;
  const { id: inner, metafields: given, productOptions, variants, ...input } = args['input'] as Input;
  const identifier = (args['identifier'] ?? {}) as Input;
  const path = ['input'];
  if (args['identifier'] && inner !== undefined) {
    refuse([...path, 'id'], 'The id field is not allowed if identifier is provided.', 'ID_NOT_ALLOWED');
  }
  const id = productToSet(call, inner ?? identifier['id'], identifier, input);
  const present = shop.products.get(id) ?? null;
  if (id !== null && present === null) refuse([...path, 'id'], 'Product does not exist', 'PRODUCT_DOES_NOT_EXIST');
  const metafields = metafieldsOf(given);
  const custom = customIdField(identifier['customId']);
  for (const value of custom) {
    const named = metafields.find((each) => each.namespace === value.namespace && each.key === value.key);
    if (given !== undefined && given !== null && named?.value !== value.value) {
      const message = 'The input argument `metafields` (if present) must contain the `customId` value.';
      refuse([...path, 'metafields'], message, 'METAFIELD_MISMATCH');
    }
  }
  const options = setOptions(shop, productOptions, present);
  const known = options ?? present?.options ?? defaultOptions;
  const list = variants === undefined || variants === null ? null : setVariants(shop, variants, known, present, path);
  if (options !== null && list === null)
    refuse([...path, 'variants'], 'Variants input is required', 'VARIANTS_INPUT_MISSING');
  const write = {
    input,
    metafields: metafields.length > 0 ? metafields : custom,
    path,
    options,
    variants: list === null ? null : ({ mode: 'replace', list } as const),
  };
  return { product: id === null ? createProduct(shop, actor, write) : updateProduct(shop, actor, id, write) };
}

const defaultOptions = [{ id: 0, name: 'Title', values: [{ id: 0, name: 'Default Title' }] }];

function productToSet(call: Call, id: unknown, identifier: Input, input: Input): number | null {
  if (typeof id === 'string') return idOf('Product', id);
  if (typeof identifier['handle'] === 'string') {
    const handle = matching(identifier['handle'], input['handle'], normal.handle, 'handle');
    return call.shop.productByHandle.get(handle) ?? null;
  }
  return identifier['customId'] ? byCustomId(call, 'Product', identifier['customId'] as Input) : null;
}

function productWrite(input: Input): Parameters<typeof createProduct>[2] {
  const { metafields, id: _, ...fields } = input;
  return { input: fields, metafields: metafieldsOf(metafields), path: [], variants: null, options: null };
}

function productInput(args: Input): Input {
  const input = (args['product'] ?? args['input']) as Input | undefined;
  if (input === undefined || input === null) throw new GraphQLError('Required argument `product` is missing');
  return input;
}

function productOf({ shop }: Call, args: Input): ProductRow {
  const product = shop.products.get(idOf('Product', String(args['productId'])));
  return product ?? refuse(['productId'], 'Product does not exist', 'PRODUCT_DOES_NOT_EXIST');
}

function writeVariants(args: Input, call: Call, mode: 'create' | 'update'): Input {
  const product = productOf(call, args);
  const list = bulkVariants(args['variants'], product, mode);
  const options = mode === 'create' ? withValues(call, product, list) : null;
  const standalone = mode === 'create' && args['strategy'] === 'REMOVE_STANDALONE_VARIANT';
  const keep = standalone ? [] : product.variantIds.map((id) => ({ id, fields: {}, metafields: [], path: [] }));
  const variants =
    mode === 'create' ? { mode: 'replace' as const, list: [...keep, ...list] } : { mode: 'merge' as const, list };
  const row = updateProduct(call.shop, call.actor, product.id, {
    input: {},
    metafields: [],
    path: [],
    variants,
    options,
  });
  const written = mode === 'create' ? row.variantIds.slice(keep.length) : list.map((each) => each.id);
  return { product: row, productVariants: written.flatMap((id) => call.shop.variants.get(id) ?? []) };
}

/** Option values that new variants bring along. */
function withValues({ shop }: Call, product: ProductRow, list: ReturnType<typeof bulkVariants>): ProductRow['options'] {
  return product.options.map((option) => {
    const used = list.flatMap((each) => each.fields.selected ?? []).filter((each) => each.name === option.name);
    const fresh = [...new Set(used.map((each) => each.value))].filter(
      (name) => !option.values.some((v) => v.name === name),
    );
    return { ...option, values: [...option.values, ...fresh.map((name) => ({ id: shop.minorId(), name }))] };
  });
}

function deleteVariants(args: Input, call: Call): Input {
  const product = productOf(call, args);
  const gone = (args['variantsIds'] as string[]).map((id) => idOf('ProductVariant', id));
  const left = product.variantIds.filter((id) => !gone.includes(id));
  if (left.length === 0) refuse(['variantsIds'], 'At least one variant must remain', 'CANNOT_DELETE_LAST_VARIANT');
  const list = left.map((id) => ({ id, fields: {}, metafields: [], path: [] }));
  const variants = { mode: 'replace', list } as const;
  return {
    product: updateProduct(call.shop, call.actor, product.id, {
      input: {},
      metafields: [],
      path: [],
      variants,
      options: null,
    }),
  };
}

function changeTags(
  args: Input,
  call: Call,
  change: (have: readonly string[], given: readonly string[]) => readonly string[],
): Input {
  const node = byGid(call, String(args['id']));
  const tags = change((node as { tags?: readonly string[] } | null)?.tags ?? [], args['tags'] as string[]);
  const write = { input: { tags }, metafields: [], path: [] };
  const { shop, actor } = call;
  switch (node?.kind) {
    case 'Customer':
      return { node: updateCustomer(shop, actor, (node as CustomerRow).id, write) };
    case 'Product':
      return { node: updateProduct(shop, actor, (node as ProductRow).id, { ...write, variants: null, options: null }) };
    case 'Order':
      return { node: updateOrder(shop, actor, (node as { id: number }).id, write) };
    default:
      return refuse(['id'], 'Resource does not exist', 'NOT_FOUND');
  }
}

function without(have: readonly string[], given: readonly string[]): readonly string[] {
  const gone = new Set(given.map((tag) => tag.trim().toLowerCase()));
  return have.filter((tag) => !gone.has(tag.toLowerCase()));
}

function orderWrite(input: Input, path: readonly string[]): Parameters<typeof createOrder>[2] {
  const { metafields, id: _, ...fields } = input;
  return { input: fields, metafields: metafieldsOf(metafields), path };
}

function subscribe(args: Input, call: Call, id: number | null): Input {
  const { shop, actor, version } = call;
  const given = args['webhookSubscription'] as Input;
  const present = shop.subscriptions.get(id);
  if (id !== null && present === undefined) refuse(['id'], 'Webhook subscription does not exist', null);
  const topic = String(present?.topic ?? args['topic']);
  const uri = normal.text(given['uri'] ?? given['callbackUrl']) ?? present?.uri ?? null;
  const path = ['webhookSubscription', 'callbackUrl'];
  if (uri === null) refuse(path, "Address can't be blank", null);
  if (!deliverable({ uri })) refuse(path, 'Address is not allowed: this simulator delivers to loopback only', null);
  for (const other of shop.subscriptions.live()) {
    const same = other.id !== id && other.topic === topic && other.uri === uri;
    if (same) refuse(path, 'Address for this topic has already been taken', null);
  }
  const now = shop.now();
  const row: SubscriptionRow = {
    kind: 'WebhookSubscription',
    id: id ?? shop.subscriptions.nextId(),
    createdAt: present?.createdAt ?? now,
    updatedAt: now,
    topic,
    uri,
    format: String(given['format'] ?? present?.format ?? 'JSON'),
    includeFields: (given['includeFields'] ?? present?.includeFields ?? []) as string[],
    apiVersion: version,
  };
  shop.subscriptions.put(row, now);
  const op = present === undefined ? 'create' : 'update';
  shop.commit(actor, {
    kind: row.kind,
    id: row.id,
    op,
    before: present ? { ...present } : null,
    after: { ...row },
    topics: [],
  });
  return { webhookSubscription: row };
}

function unsubscribe(args: Input, { shop, actor }: Call): Input {
  const id = idOf('WebhookSubscription', String(args['id']));
  const present = shop.subscriptions.get(id);
  if (present === undefined) refuse(['id'], 'Webhook subscription does not exist', null);
  shop.subscriptions.delete(id, shop.now());
  shop.commit(actor, { kind: present.kind, id, op: 'delete', before: { ...present }, after: null, topics: [] });
  return { deletedWebhookSubscriptionId: gid('WebhookSubscription', id) };
}

function customerWrite(input: Input): Parameters<typeof createCustomer>[2] {
  const { metafields, id: _, ...fields } = input;
  return { input: fields, metafields: metafieldsOf(metafields), path: [] };
}

const theShop = { kind: 'Shop' };

export const mutationResolvers: Readonly<Record<string, Mutation>> = {
  ...metafieldMutations,
  customerCreate: guarded({ customer: null }, (args, { shop, actor }) => {
    return { customer: createCustomer(shop, actor, customerWrite(args['input'] as Input)) };
  }),
  customerUpdate: guarded({ customer: null }, (args, { shop, actor }) => {
    const input = args['input'] as Input;
    return { customer: updateCustomer(shop, actor, requiredId('Customer', input, []), customerWrite(input)) };
  }),
  customerSet: guarded({ customer: null }, setCustomer),
  customerDelete: guarded({ deletedCustomerId: null, shop: theShop }, (args, { shop, actor }) => {
    const id = idOf('Customer', String((args['input'] as Input)['id']));
    deleteCustomer(shop, actor, id);
    return { deletedCustomerId: gid('Customer', id), shop: theShop };
  }),
  productCreate: guarded({ product: null, shop: theShop }, (args, { shop, actor }) => {
    return { product: createProduct(shop, actor, productWrite(productInput(args))), shop: theShop };
  }),
  productUpdate: guarded({ product: null }, (args, { shop, actor }) => {
    const input = productInput(args);
    return { product: updateProduct(shop, actor, requiredId('Product', input, []), productWrite(input)) };
  }),
  productSet: guarded({ product: null }, setProduct),
  productDelete: guarded({ deletedProductId: null, shop: theShop }, (args, { shop, actor }) => {
    const id = idOf('Product', String((args['input'] as Input)['id']));
    deleteProduct(shop, actor, id);
    return { deletedProductId: gid('Product', id), shop: theShop };
  }),
  productVariantsBulkCreate: guarded({ product: null, productVariants: null }, (args, call) =>
    writeVariants(args, call, 'create'),
  ),
  productVariantsBulkUpdate: guarded({ product: null, productVariants: null }, (args, call) =>
    writeVariants(args, call, 'update'),
  ),
  productVariantsBulkDelete: guarded({ product: null }, deleteVariants),
  orderCreate: guarded({ order: null }, (args, { shop, actor }) => {
    return { order: createOrder(shop, actor, orderWrite(args['order'] as Input, ['order'])) };
  }),
  orderUpdate: guarded({ order: null }, (args, { shop, actor }) => {
    const input = args['input'] as Input;
    return { order: updateOrder(shop, actor, idOf('Order', String(input['id'])), orderWrite(input, [])) };
  }),
  orderMarkAsPaid: guarded({ order: null }, (args, { shop, actor }) => {
    return { order: markPaid(shop, actor, idOf('Order', String((args['input'] as Input)['id']))) };
  }),
  orderCancel: guarded(
    { job: null, userErrors: [] },
    (args, { shop, actor }) => {
      cancelOrder(shop, actor, idOf('Order', String(args['orderId'])), String(args['reason']));
      return { job: { id: gid('Job', shop.minorId()), done: true } };
    },
    'orderCancelUserErrors',
  ),
  orderDelete: guarded({ deletedId: null }, (args, { shop, actor }) => {
    const id = idOf('Order', String(args['orderId']));
    deleteOrder(shop, actor, id);
    return { deletedId: gid('Order', id) };
  }),
  tagsAdd: guarded({ node: null }, (args, call) => changeTags(args, call, (have, given) => [...have, ...given])),
  tagsRemove: guarded({ node: null }, (args, call) => changeTags(args, call, without)),
  webhookSubscriptionCreate: guarded({ webhookSubscription: null }, (args, call) => subscribe(args, call, null)),
  webhookSubscriptionUpdate: guarded({ webhookSubscription: null }, (args, call) =>
    subscribe(args, call, idOf('WebhookSubscription', String(args['id']))),
  ),
  webhookSubscriptionDelete: guarded({ deletedWebhookSubscriptionId: null }, unsubscribe),
  bulkOperationRunQuery: guarded({ bulkOperation: null }, (args, call) => {
    return { bulkOperation: call.bulk.startQuery(call, String(args['query']), args['groupObjects'] === true) };
  }),
  bulkOperationRunMutation: guarded({ bulkOperation: null }, (args, call) => {
    return { bulkOperation: call.bulk.startMutation(call, String(args['mutation']), String(args['stagedUploadPath'])) };
  }),
  bulkOperationCancel: guarded({ bulkOperation: null }, (args, call) => {
    return { bulkOperation: call.bulk.cancel(call, idOf('BulkOperation', String(args['id']))) };
  }),
  stagedUploadsCreate: guarded({ stagedTargets: null }, (args, call) => {
    return {
      stagedTargets: (args['input'] as Input[]).map((input) => {
        const { url, path } = call.bulk.stage(String(input['filename']));
        return { url, resourceUrl: url, parameters: [{ name: 'key', value: path }] };
      }),
    };
  }),
};
