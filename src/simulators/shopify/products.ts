// Owns the rules for products and their variants: titles, handles, options, prices, the default variant. Variants are rows
// of their own; a change to one moves its product's stamp too. Checks come before any change.
import type { LedgerImage } from '../ledger.js';
import { gid } from './gid.js';
import { checkMetafield, dropMetafieldsOf, metafieldImage, putMetafield, type MetafieldValue } from './metafields.js';
import * as normal from './normalise.js';
import type { OptionRow, ProductRow, VariantRow } from './rows.js';
import type { Actor, Shop } from './shop.js';
import { refuse, refuseAll, tooLong, userError, type UserError } from './user-errors.js';

export type ProductInput = Readonly<Record<string, unknown>>;

/** A variant as it will be; `id` null makes a new one. */
export interface VariantWrite {
  readonly id: number | null;
  readonly fields: VariantFields;
  readonly metafields: readonly MetafieldValue[];
  readonly path: readonly string[];
}

export type VariantFields = Partial<
  Omit<VariantRow, 'kind' | 'id' | 'createdAt' | 'updatedAt' | 'productId' | 'inventoryItemId'>
>;

export interface ProductWrite {
  readonly input: ProductInput;
  readonly metafields: readonly MetafieldValue[];
  readonly path: readonly string[];
  /** `replace`: the list is the whole set (productSet); `merge`: others stay; null: variants are left alone. */
  readonly variants: { readonly mode: 'replace' | 'merge'; readonly list: readonly VariantWrite[] } | null;
  readonly options: readonly OptionRow[] | null;
}

const defaultOption = { name: 'Title', value: 'Default Title' };

export function createProduct(shop: Shop, actor: Actor, write: ProductWrite): ProductRow {
  const now = shop.now();
  const blank: ProductRow = {
    kind: 'Product',
    id: 0,
    createdAt: now,
    updatedAt: now,
    title: '',
    handle: '',
    descriptionHtml: '',
    vendor: shop.facts.name,
    productType: '',
    status: 'ACTIVE',
    tags: [],
    templateSuffix: null,
    seoTitle: null,
    seoDescription: null,
    publishedAt: now,
    options: [
      { id: shop.minorId(), name: defaultOption.name, values: [{ id: shop.minorId(), name: defaultOption.value }] },
    ],
    variantIds: [],
  };
  const checked = check(shop, null, blank, write);
  const id = shop.products.nextId();
  const listed = write.variants?.list ?? [];
  const variants = (listed.length > 0 ? listed : [bareVariant]).map((each) => putVariant(shop, id, null, each));
  const row = { ...checked, id, variantIds: variants.map((variant) => variant.id) };
  keep(shop, row, null);
  for (const value of write.metafields) putMetafield(shop, 'Product', id, value);
  const after = productImage(shop, row);
  shop.commit(actor, { kind: 'Product', id, op: 'create', before: null, after, topics: ['PRODUCTS_CREATE'] });
  return row;
}

const bareVariant: VariantWrite = { id: null, fields: {}, metafields: [], path: [] };

export function updateProduct(shop: Shop, actor: Actor, id: number, write: ProductWrite): ProductRow {
  const present = shop.products.get(id);
  if (present === undefined) refuse([...write.path, 'id'], 'Product does not exist', 'PRODUCT_DOES_NOT_EXIST');
  const checked = check(shop, id, present, write);
  const before = productImage(shop, present);
  for (const value of write.metafields) putMetafield(shop, 'Product', id, value);
  const variantIds = write.variants === null ? present.variantIds : writeVariants(shop, present, write.variants);
  const draft = { ...checked, variantIds };
  const after = productImage(shop, draft);
  if (JSON.stringify(before) === JSON.stringify(after)) return present;
  const row = { ...draft, updatedAt: shop.now() };
  keep(shop, row, present);
  shop.commit(actor, { kind: 'Product', id, op: 'update', before, after, topics: ['PRODUCTS_UPDATE'] });
  return row;
}

export function deleteProduct(shop: Shop, actor: Actor, id: number): void {
  const present = shop.products.get(id);
  if (present === undefined) refuse(['id'], 'Product does not exist', 'PRODUCT_DOES_NOT_EXIST');
  const before = productImage(shop, present);
  for (const variantId of present.variantIds) dropVariant(shop, variantId);
  shop.products.delete(id, shop.now());
  shop.productByHandle.delete(present.handle);
  dropMetafieldsOf(shop, 'Product', id);
  shop.commit(actor, { kind: 'Product', id, op: 'delete', before, after: null, topics: ['PRODUCTS_DELETE'] });
}

export function productImage(shop: Shop, row: ProductRow): LedgerImage {
  const {
    title,
    handle,
    descriptionHtml,
    vendor,
    productType,
    status,
    tags,
    templateSuffix,
    seoTitle,
    seoDescription,
  } = row;
  const variants = row.variantIds.flatMap((id) => {
    const variant = shop.variants.get(id);
    return variant === undefined ? [] : [variantImage(shop, variant)];
  });
  return {
    id: gid('Product', row.id),
    ...{ title, handle, descriptionHtml, vendor, productType, status, tags, templateSuffix, seoTitle, seoDescription },
    options: row.options.map((option) => ({ name: option.name, values: option.values.map((value) => value.name) })),
    variants,
    metafields: metafieldImage(shop, 'Product', row.id),
  };
}

function variantImage(shop: Shop, row: VariantRow): LedgerImage {
  const { sku, barcode, taxable, tracked, requiresShipping, inventoryPolicy, selected } = row;
  return {
    id: gid('ProductVariant', row.id),
    ...{ sku, barcode, taxable, tracked, requiresShipping, inventoryPolicy, selected },
    price: normal.moneyText(row.priceCents),
    compareAtPrice: row.compareAtCents === null ? null : normal.moneyText(row.compareAtCents),
    cost: row.costCents === null ? null : normal.moneyText(row.costCents),
    metafields: metafieldImage(shop, 'ProductVariant', row.id),
  };
}

function keep(shop: Shop, row: ProductRow, before: ProductRow | null): void {
  if (before !== null) shop.productByHandle.delete(before.handle);
  shop.productByHandle.set(row.handle, row.id);
  shop.products.put(row, row.updatedAt);
}

function check(shop: Shop, id: number | null, present: ProductRow, write: ProductWrite): ProductRow {
  const { input, path } = write;
  const seo = input['seo'] as Readonly<Record<string, unknown>> | null | undefined;
  const has = (key: string): boolean => key in input;
  const title = has('title') ? (normal.text(input['title']) ?? '') : present.title;
  const row: ProductRow = {
    ...present,
    title,
    handle: handleFor(shop, id, present, write, title),
    descriptionHtml: has('descriptionHtml') ? normal.html(input['descriptionHtml']) : present.descriptionHtml,
    vendor: has('vendor') ? (normal.text(input['vendor']) ?? shop.facts.name) : present.vendor,
    productType: has('productType') ? (normal.text(input['productType']) ?? '') : present.productType,
    status: has('status') ? String(input['status'] ?? 'ACTIVE') : present.status,
    tags: has('tags') ? normal.tags(input['tags'] as unknown[] | null) : present.tags,
    templateSuffix: has('templateSuffix') ? normal.text(input['templateSuffix']) : present.templateSuffix,
    seoTitle: seo === undefined ? present.seoTitle : normal.text(seo?.['title']),
    seoDescription: seo === undefined ? present.seoDescription : normal.text(seo?.['description']),
    options: write.options ?? present.options,
  };
  refuseAll([
    ...(title === '' ? [userError([...path, 'title'], "Title can't be blank", 'INVALID_PRODUCT')] : []),
    ...tooLong([...path, 'title'], 'Title', title),
    ...tooLong([...path, 'vendor'], 'Vendor', row.vendor),
    ...tooLong([...path, 'productType'], 'Product type', row.productType),
    ...checkHandle(shop, id, write, row.handle),
    ...write.metafields.flatMap((value, at) => {
      return checkMetafield(shop, 'Product', id, value, [...path, 'metafields', String(at)]) ?? [];
    }),
    ...(write.variants?.list ?? []).flatMap((variant) => checkVariant(shop, id, variant)),
  ]);
  return row;
}

/** A handle made from the title gets a number when it is taken; a handle that was asked for is refused. */
function handleFor(shop: Shop, id: number | null, present: ProductRow, write: ProductWrite, title: string): string {
  const wanted = normal.text(write.input['handle']);
  if (wanted !== null) return normal.handle(wanted);
  if (id !== null) return present.handle;
  const base = normal.handle(title) || 'product';
  let free = base;
  for (let n = 1; shop.productByHandle.has(free); n += 1) free = `${base}-${String(n)}`;
  return free;
}

function checkHandle(shop: Shop, id: number | null, write: ProductWrite, handle: string): readonly UserError[] {
  const holder = shop.productByHandle.get(handle);
  if (holder === undefined || holder === id) return [];
  const message = `Handle '${handle}' already in use. Please provide a new handle.`;
  return [userError([...write.path, 'handle'], message, 'HANDLE_NOT_UNIQUE')];
}

function checkVariant(shop: Shop, productId: number | null, write: VariantWrite): readonly UserError[] {
  const { fields, path, id } = write;
  const errors: UserError[] = [];
  if (id !== null && (productId === null || shop.variants.get(id)?.productId !== productId)) {
    errors.push(userError([...path, 'id'], 'Product variant does not exist', 'PRODUCT_VARIANT_DOES_NOT_EXIST'));
  }
  if ((fields.priceCents ?? 0) < 0) {
    const message = 'Price must be greater than or equal to 0';
    errors.push(userError([...path, 'price'], message, 'GREATER_THAN_OR_EQUAL_TO'));
  }
  errors.push(...tooLong([...path, 'inventoryItem', 'sku'], 'SKU', fields.sku ?? null));
  errors.push(...tooLong([...path, 'barcode'], 'Barcode', fields.barcode ?? null));
  for (const [at, value] of write.metafields.entries()) {
    const wrong = checkMetafield(shop, 'ProductVariant', id, value, [...path, 'metafields', String(at)]);
    if (wrong !== null) errors.push(wrong);
  }
  return errors;
}

function writeVariants(
  shop: Shop,
  product: ProductRow,
  { mode, list }: NonNullable<ProductWrite['variants']>,
): readonly number[] {
  const written = list.map((each) => putVariant(shop, product.id, each.id, each).id);
  if (mode === 'merge') return [...product.variantIds, ...written.filter((id) => !product.variantIds.includes(id))];
  for (const id of product.variantIds) if (!written.includes(id)) dropVariant(shop, id);
  return written;
}

function putVariant(shop: Shop, productId: number, id: number | null, write: VariantWrite): VariantRow {
  const now = shop.now();
  const present = shop.variants.get(id);
  const kept: VariantRow = present ?? {
    kind: 'ProductVariant',
    id: shop.variants.nextId(),
    createdAt: now,
    updatedAt: now,
    productId,
    inventoryItemId: shop.minorId(),
    sku: null,
    barcode: null,
    priceCents: 0,
    compareAtCents: null,
    costCents: null,
    taxable: true,
    tracked: false,
    requiresShipping: true,
    inventoryPolicy: 'DENY',
    selected: [defaultOption],
  };
  const draft = { ...kept, ...write.fields };
  let changed = present === undefined || JSON.stringify(draft) !== JSON.stringify(present);
  for (const value of write.metafields) changed = putMetafield(shop, 'ProductVariant', kept.id, value) || changed;
  if (!changed) return kept;
  const row = { ...draft, updatedAt: now };
  shop.variants.put(row, now);
  return row;
}

function dropVariant(shop: Shop, id: number): void {
  shop.variants.delete(id, shop.now());
  dropMetafieldsOf(shop, 'ProductVariant', id);
}
