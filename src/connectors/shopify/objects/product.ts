// Owns what Shopify's Product offers, together with its one default variant (`variant.sku`, `variant.price` …).
// The create is an upsert by hub id. An update never sends a list of variants: that would delete those not in the list.
import { arrange, hasChildren, refusedPaths, rejected } from './spec.js';
import type { Mutation, ObjectSpec, PathSpec, Writer } from './spec.js';

const input = (path: string): Pick<PathSpec, 'create' | 'update'> => ({
  create: `input.${path}`,
  update: `product.${path}`,
});
const inVariant = (path: string): string => `variants(first:1).edges.node.${path}`;
const variant = (path: string, update = path): Pick<PathSpec, 'at' | 'create' | 'update'> => ({
  at: inVariant(path),
  create: `variant.${path}`,
  update: `variant.${update}`,
});

const paths: readonly PathSpec[] = [
  { path: 'id', type: 'id', at: 'id', nullable: false },
  { path: 'title', type: 'text', at: 'title', nullable: false, ...input('title'), maxLength: 255, search: 'title' },
  {
    path: 'handle',
    type: 'text',
    at: 'handle',
    nullable: false,
    ...input('handle'),
    maxLength: 255,
    search: 'handle',
    identifier: 'handle',
  },
  { path: 'descriptionHtml', type: 'text', at: 'descriptionHtml', nullable: false, ...input('descriptionHtml') },
  { path: 'vendor', type: 'text', at: 'vendor', nullable: false, ...input('vendor'), maxLength: 255, search: 'vendor' },
  {
    path: 'productType',
    type: 'text',
    at: 'productType',
    nullable: false,
    ...input('productType'),
    maxLength: 255,
    search: 'product_type',
  },
  {
    path: 'status',
    type: 'text',
    at: 'status',
    nullable: false,
    ...input('status'),
    values: ['ACTIVE', 'ARCHIVED', 'DRAFT', 'UNLISTED'],
  },
  { path: 'tags', type: 'list', at: 'tags', nullable: false, ...input('tags') },
  { path: 'hasOnlyDefaultVariant', type: 'boolean', at: 'hasOnlyDefaultVariant', nullable: false },
  { path: 'totalInventory', type: 'number', at: 'totalInventory', nullable: false, scale: 0 },
  { path: 'variant.id', type: 'id', at: inVariant('id'), references: ['ProductVariant'] },
  { path: 'variant.sku', type: 'text', ...variant('sku', 'inventoryItem.sku'), maxLength: 255, search: 'sku' },
  { path: 'variant.price', type: 'number', ...variant('price'), scale: 2, decimal: true },
  { path: 'variant.compareAtPrice', type: 'number', ...variant('compareAtPrice'), scale: 2, decimal: true },
  { path: 'variant.barcode', type: 'text', ...variant('barcode'), maxLength: 255, search: 'barcode' },
  { path: 'variant.taxable', type: 'boolean', ...variant('taxable') },
  { path: 'variant.inventoryQuantity', type: 'number', at: inVariant('inventoryQuantity'), scale: 0 },
  { path: 'createdAt', type: 'timestamp', at: 'createdAt', nullable: false },
  { path: 'updatedAt', type: 'timestamp', at: 'updatedAt', nullable: false },
];

const defaultOption = { optionName: 'Title', name: 'Default Title' };

const touchesVariant = (fields: Readonly<Record<string, unknown>>): boolean =>
  Object.keys(fields).some((path) => path.startsWith('variant.'));

const writer: Writer = {
  variantsNeeded: (write) => (write.op === 'update' && touchesVariant(write.fields) ? [write.externalId] : []),
  lookupBeforeCreate: false,
  create(write, context) {
    if (hasChildren(write.children))
      return rejected('unsupported_change', 'A Product is written with its default variant only.');
    const { args, refused } = arrange(paths, write.fields, 'create');
    if (refused.length > 0) return refusedPaths('Product', 'create', refused);
    const customId = { ...context.hubKey, value: write.hubId };
    const value = {
      ...(args['input'] as object | undefined),
      metafields: [{ ...customId, type: 'id' }],
      productOptions: [{ name: 'Title', values: [{ name: 'Default Title' }] }],
      variants: [{ ...(args['variant'] as object | undefined), optionValues: [defaultOption] }],
    };
    const mutationArgs = [
      { name: 'identifier', type: 'ProductSetIdentifiers', value: { customId } },
      { name: 'input', type: 'ProductSetInput!', value },
    ];
    const mutation = { field: 'productSet', args: mutationArgs, payload: 'product', returns: 'record' } as const;
    return { ok: true, mutations: [{ ...mutation, coded: true, children: 0 }] };
  },
  update(write, context) {
    const { args, refused } = arrange(paths, write.fields, 'update');
    if (refused.length > 0) return refusedPaths('Product', 'update', refused);
    const mutations: Mutation[] = [];
    if (args['product'] !== undefined || args['variant'] === undefined) {
      const value = { ...(args['product'] as object | undefined), id: write.externalId };
      mutations.push({
        field: 'productUpdate',
        args: [{ name: 'product', type: 'ProductUpdateInput', value }],
        payload: 'product',
        returns: 'record',
        coded: false,
        children: 0,
      });
    }
    if (args['variant'] !== undefined) {
      const id = context.variantOf.get(write.externalId);
      if (id === undefined)
        return rejected('variant_missing', `Shopify shows no variant of ${write.externalId}; it may be deleted.`);
      mutations.push({
        field: 'productVariantsBulkUpdate',
        args: [
          { name: 'productId', type: 'ID!', value: write.externalId },
          { name: 'variants', type: '[ProductVariantsBulkInput!]!', value: [{ ...(args['variant'] as object), id }] },
        ],
        payload: 'product',
        returns: 'record',
        coded: true,
        children: 0,
      });
    }
    return { ok: true, mutations };
  },
  remove(write) {
    const args = [{ name: 'input', type: 'ProductDeleteInput!', value: { id: write.externalId } }];
    const mutation = { field: 'productDelete', args, payload: 'deletedProductId', returns: 'deletedId' } as const;
    return { ok: true, mutations: [{ ...mutation, coded: false, children: 0 }] };
  },
};

export const product: ObjectSpec = {
  name: 'Product',
  gid: 'Product',
  collection: 'products',
  order: 'stamp',
  byIdentifier: { field: 'productByIdentifier', input: 'ProductIdentifierInput!' },
  ownerType: 'PRODUCT',
  scopes: { read: 'read_products', write: 'write_products' },
  stamps: ['updatedAt', inVariant('updatedAt')],
  paths,
  children: {},
  single: { field: 'variants', gid: 'ProductVariant' },
  writer,
  deletable: true,
  topics: [
    { topic: 'products/create', deleted: false },
    { topic: 'products/update', deleted: false },
    { topic: 'products/delete', deleted: true },
  ],
};
