// Owns what Shopify's ProductVariant offers. Read only: a Product's default variant is written through the Product.
import type { ObjectSpec } from './spec.js';

export const productVariant: ObjectSpec = {
  name: 'ProductVariant',
  gid: 'ProductVariant',
  collection: 'productVariants',
  order: 'id',
  byIdentifier: null,
  ownerType: 'PRODUCTVARIANT',
  scopes: { read: 'read_products', write: 'write_products' },
  stamps: ['updatedAt'],
  paths: [
    { path: 'id', type: 'id', at: 'id', nullable: false },
    { path: 'product', type: 'id', at: 'product.id', nullable: false, references: ['Product'] },
    { path: 'title', type: 'text', at: 'title', nullable: false, search: 'title' },
    { path: 'displayName', type: 'text', at: 'displayName', nullable: false },
    { path: 'sku', type: 'text', at: 'sku', search: 'sku' },
    { path: 'barcode', type: 'text', at: 'barcode', search: 'barcode' },
    { path: 'price', type: 'number', at: 'price', nullable: false, scale: 2 },
    { path: 'compareAtPrice', type: 'number', at: 'compareAtPrice', scale: 2 },
    { path: 'position', type: 'number', at: 'position', nullable: false, scale: 0 },
    { path: 'taxable', type: 'boolean', at: 'taxable', nullable: false },
    { path: 'inventoryQuantity', type: 'number', at: 'inventoryQuantity', scale: 0 },
    { path: 'createdAt', type: 'timestamp', at: 'createdAt', nullable: false },
    { path: 'updatedAt', type: 'timestamp', at: 'updatedAt', nullable: false },
  ],
  children: {},
  single: null,
  writer: null,
  deletable: false,
  topics: [],
};
