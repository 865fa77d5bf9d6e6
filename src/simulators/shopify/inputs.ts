// Owns the way from GraphQL input objects to what the write rules take: metafields, variants, options. Refuses what cannot
// be read. Pure but for looking up the present variants and options.
import { GraphQLError } from 'graphql';
import { idOf } from './gid.js';
import { namespaceOf, type MetafieldValue } from './metafields.js';
import * as normal from './normalise.js';
import type { VariantFields, VariantWrite } from './products.js';
import type { OptionRow, ProductRow } from './rows.js';
import type { Shop } from './shop.js';
import { refuse } from './user-errors.js';

export type Input = Readonly<Record<string, unknown>>;

export function metafieldsOf(given: unknown): readonly MetafieldValue[] {
  return ((given ?? []) as Input[]).map((input) => ({
    namespace: namespaceOf(input['namespace'] as string | null | undefined),
    key: String(input['key'] ?? ''),
    value: String(input['value'] ?? ''),
    type: normal.text(input['type']),
    ...('compareDigest' in input ? { compareDigest: input['compareDigest'] as string | null } : {}),
  }));
}

/** The `id` of an update input; without one the API answers with an error of its own. */
export function requiredId(kind: Parameters<typeof idOf>[0], input: Input, path: readonly string[]): number {
  if (typeof input['id'] !== 'string') refuse([...path, 'id'], `${kind} id must be present`, 'BLANK');
  return idOf(kind, input['id']);
}

export function money(value: unknown): number | null {
  const cents = normal.cents(value);
  if (cents === undefined) throw new GraphQLError(`invalid money '${String(value)}'`);
  return cents;
}

/** Only what the input names; an absent key stays as it is. */
export function variantFields(input: Input): VariantFields {
  const item = input['inventoryItem'] as Input | null | undefined;
  const sku = item && 'sku' in item ? item['sku'] : input['sku'];
  const named = 'sku' in input || (item !== null && item !== undefined && 'sku' in item);
  return {
    ...(named ? { sku: normal.text(sku) } : {}),
    ...('barcode' in input ? { barcode: normal.text(input['barcode']) } : {}),
    ...('price' in input ? { priceCents: money(input['price']) ?? 0 } : {}),
    ...('compareAtPrice' in input ? { compareAtCents: money(input['compareAtPrice']) } : {}),
    ...('taxable' in input ? { taxable: input['taxable'] !== false } : {}),
    ...('inventoryPolicy' in input ? { inventoryPolicy: String(input['inventoryPolicy'] ?? 'DENY') } : {}),
    ...(item && 'cost' in item ? { costCents: money(item['cost']) } : {}),
    ...(item && 'tracked' in item ? { tracked: item['tracked'] === true } : {}),
    ...(item && 'requiresShipping' in item ? { requiresShipping: item['requiresShipping'] !== false } : {}),
  };
}

/** `{optionName, name}` pairs; option ids are looked up in the product. */
function selectedOf(given: unknown, options: readonly OptionRow[], path: readonly string[]): VariantFields {
  if (!Array.isArray(given) || given.length === 0) return {};
  const selected = (given as Input[]).map((each, at) => {
    const byId = options.find((option) => each['optionId'] === `gid://shopify/ProductOption/${String(option.id)}`);
    const name = normal.text(each['optionName']) ?? byId?.name;
    const known = options.find((option) => option.name === name);
    if (name === undefined || known === undefined) {
      const message = `Option does not exist`;
      refuse([...path, 'optionValues', String(at)], message, 'OPTION_DOES_NOT_EXIST');
    }
    return { name, value: normal.text(each['name']) ?? '' };
  });
  return { selected };
}

/** Variants of productVariantsBulkCreate and …Update. */
export function bulkVariants(given: unknown, product: ProductRow, mode: 'create' | 'update'): readonly VariantWrite[] {
  return ((given ?? []) as Input[]).map((input, at) => {
    const path = ['variants', String(at)];
    if (mode === 'update' && typeof input['id'] !== 'string') {
      refuse([...path, 'id'], 'Product variant is missing ID attribute', 'PRODUCT_VARIANT_ID_MISSING');
    }
    return {
      id: mode === 'update' ? idOf('ProductVariant', String(input['id'])) : null,
      fields: { ...variantFields(input), ...selectedOf(input['optionValues'], product.options, path) },
      metafields: metafieldsOf(input['metafields']),
      path,
    };
  });
}

/** The whole list of variants that productSet wants. A variant without id is the present one with the same options. */
export function setVariants(
  shop: Shop,
  given: unknown,
  options: readonly OptionRow[],
  present: ProductRow | null,
  path: readonly string[],
): readonly VariantWrite[] {
  const taken = new Set<string>();
  return ((given ?? []) as Input[]).map((input, at) => {
    const own = [...path, 'variants', String(at)];
    const choice = selectedOf(input['optionValues'], options, own);
    const key = JSON.stringify(choice.selected ?? []);
    if (taken.has(key))
      refuse(own, 'The variant already exists. Please change at least one option value.', 'INVALID_VARIANT');
    taken.add(key);
    const id = typeof input['id'] === 'string' ? idOf('ProductVariant', input['id']) : sameOptions(shop, present, key);
    return {
      id,
      fields: { ...variantFields(input), ...choice },
      metafields: metafieldsOf(input['metafields']),
      path: own,
    };
  });
}

function sameOptions(shop: Shop, present: ProductRow | null, key: string): number | null {
  return present?.variantIds.find((id) => JSON.stringify(shop.variants.get(id)?.selected) === key) ?? null;
}

/** Options as productSet gives them; names and values keep the ids that they have. */
export function setOptions(shop: Shop, given: unknown, present: ProductRow | null): readonly OptionRow[] | null {
  if (!Array.isArray(given)) return null;
  return (given as Input[]).map((input) => {
    const name = normal.text(input['name']) ?? 'Title';
    const known = present?.options.find((option) => option.name === name);
    const values = ((input['values'] ?? []) as Input[]).map((each) => {
      const value = normal.text(each['name']) ?? '';
      return { id: known?.values.find((one) => one.name === value)?.id ?? shop.minorId(), name: value };
    });
    return { id: known?.id ?? shop.minorId(), name, values };
  });
}
