// Owns which fields of each object a search may name, and where a listing takes its sort value from.
import { totalCents } from './orders.js';
import type { CustomerRow, OrderRow, ProductRow, VariantRow } from './rows.js';
import type { SearchFields } from './search.js';
import type { Shop } from './shop.js';

export type SortValue<Row> = (row: Row) => string | number;

const second = (ms: number): number => Math.floor(ms / 1000);

export const customerFields: SearchFields<CustomerRow> = {
  named: {
    id: { kind: 'id', of: (row) => row.id },
    email: { kind: 'word', of: (row) => row.email },
    phone: { kind: 'word', of: (row) => row.phone },
    first_name: { kind: 'text', of: (row) => row.firstName },
    last_name: { kind: 'text', of: (row) => row.lastName },
    tag: { kind: 'word', of: (row) => row.tags },
    created_at: { kind: 'stamp', of: (row) => row.createdAt },
    updated_at: { kind: 'stamp', of: (row) => row.updatedAt },
  },
  loose: ['email', 'phone', 'first_name', 'last_name'],
};

export function productFields(shop: Shop): SearchFields<ProductRow> {
  const ofVariants = (row: ProductRow, value: (variant: VariantRow) => string | null): readonly (string | null)[] => {
    return row.variantIds.map((id) => {
      const variant = shop.variants.get(id);
      return variant === undefined ? null : value(variant);
    });
  };
  return {
    named: {
      id: { kind: 'id', of: (row) => row.id },
      title: { kind: 'text', of: (row) => row.title },
      handle: { kind: 'word', of: (row) => row.handle },
      vendor: { kind: 'text', of: (row) => row.vendor },
      product_type: { kind: 'text', of: (row) => row.productType },
      status: { kind: 'word', of: (row) => row.status },
      tag: { kind: 'word', of: (row) => row.tags },
      sku: { kind: 'word', of: (row) => ofVariants(row, (variant) => variant.sku) },
      barcode: { kind: 'word', of: (row) => ofVariants(row, (variant) => variant.barcode) },
      created_at: { kind: 'stamp', of: (row) => row.createdAt },
      updated_at: { kind: 'stamp', of: (row) => row.updatedAt },
      published_at: { kind: 'stamp', of: (row) => row.publishedAt },
    },
    loose: ['title', 'handle', 'vendor', 'product_type', 'sku', 'barcode'],
  };
}

export const variantFields: SearchFields<VariantRow> = {
  named: {
    id: { kind: 'id', of: (row) => row.id },
    product_id: { kind: 'id', of: (row) => row.productId },
    sku: { kind: 'word', of: (row) => row.sku },
    barcode: { kind: 'word', of: (row) => row.barcode },
    updated_at: { kind: 'stamp', of: (row) => row.updatedAt },
  },
  loose: ['sku', 'barcode'],
};

export const orderFields: SearchFields<OrderRow> = {
  named: {
    id: { kind: 'id', of: (row) => row.id },
    name: { kind: 'word', of: (row) => [row.name, row.name.replace(/^#/, '')] },
    email: { kind: 'word', of: (row) => row.email },
    customer_id: { kind: 'id', of: (row) => row.customerId },
    tag: { kind: 'word', of: (row) => row.tags },
    sku: { kind: 'word', of: (row) => row.lines.map((line) => line.sku) },
    financial_status: { kind: 'word', of: (row) => row.financialStatus },
    fulfillment_status: { kind: 'word', of: (row) => row.fulfillmentStatus },
    status: {
      kind: 'word',
      of: (row) => (row.cancelledAt !== null ? 'cancelled' : row.closedAt !== null ? 'closed' : 'open'),
    },
    source_identifier: { kind: 'word', of: (row) => row.sourceIdentifier },
    source_name: { kind: 'word', of: (row) => row.sourceName },
    po_number: { kind: 'word', of: (row) => row.poNumber },
    test: { kind: 'word', of: (row) => String(row.test) },
    created_at: { kind: 'stamp', of: (row) => row.createdAt },
    updated_at: { kind: 'stamp', of: (row) => row.updatedAt },
    processed_at: { kind: 'stamp', of: (row) => row.processedAt },
  },
  loose: ['name', 'email', 'po_number'],
};

export function customerSort(key: string): SortValue<CustomerRow> | null {
  switch (key) {
    case 'CREATED_AT':
      return (row) => second(row.createdAt);
    case 'UPDATED_AT':
      return (row) => second(row.updatedAt);
    case 'NAME':
      return (row) => `${row.lastName ?? ''}, ${row.firstName ?? ''}`.toLowerCase();
    case 'LOCATION':
      return (row) => row.addresses[0]?.countryCode ?? '';
    default:
      return null;
  }
}

export function productSort(key: string): SortValue<ProductRow> | null {
  switch (key) {
    case 'CREATED_AT':
      return (row) => second(row.createdAt);
    case 'UPDATED_AT':
      return (row) => second(row.updatedAt);
    case 'PUBLISHED_AT':
      return (row) => second(row.publishedAt ?? 0);
    case 'TITLE':
      return (row) => row.title.toLowerCase();
    case 'VENDOR':
      return (row) => row.vendor.toLowerCase();
    case 'PRODUCT_TYPE':
      return (row) => row.productType.toLowerCase();
    default:
      return null;
  }
}

export function variantSort(key: string): SortValue<VariantRow> | null {
  return key === 'SKU' ? (row) => row.sku ?? '' : null;
}

export function orderSort(key: string): SortValue<OrderRow> | null {
  switch (key) {
    case 'CREATED_AT':
      return (row) => second(row.createdAt);
    case 'UPDATED_AT':
      return (row) => second(row.updatedAt);
    case 'PROCESSED_AT':
      return (row) => second(row.processedAt);
    case 'ORDER_NUMBER':
      return (row) => row.number;
    case 'PO_NUMBER':
      return (row) => row.poNumber ?? '';
    case 'TOTAL_PRICE':
    case 'CURRENT_TOTAL_PRICE':
      return (row) => totalCents(row);
    default:
      return null;
  }
}
