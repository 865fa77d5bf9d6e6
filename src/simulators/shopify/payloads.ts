// Owns the bodies of webhooks: REST-shaped JSON, numbers for ids, snake_case, money as text. Held against the JSON Schemas of
// `shopify-webhook-schemas` by a test.
import { gid } from './gid.js';
import * as normal from './normalise.js';
import { subtotalCents, totalCents } from './orders.js';
import type { AddressRow, BulkRow, CustomerRow, LineRow, OrderRow, ProductRow, VariantRow } from './rows.js';
import type { Shop } from './shop.js';

export type Payload = Readonly<Record<string, unknown>>;

/** Webhook stamps carry the shop's offset, unlike GraphQL's. */
function stamp(ms: number): string {
  return new Date(ms)
    .toISOString()
    .replace(/\.\d{3}Z$/, '-00:00')
    .replace('-00:00', '+00:00');
}

function addressPayload(row: AddressRow): Payload {
  return {
    first_name: row.firstName ?? '',
    address1: row.address1 ?? '',
    phone: row.phone ?? '',
    city: row.city ?? '',
    zip: row.zip ?? '',
    province: row.provinceCode ?? '',
    country: row.countryCode ?? '',
    last_name: row.lastName ?? '',
    address2: row.address2,
    company: row.company,
    latitude: null,
    longitude: null,
    name: [row.firstName, row.lastName].filter((part) => part !== null).join(' '),
    country_code: row.countryCode ?? '',
    province_code: row.provinceCode ?? '',
  };
}

function customerAddress(customer: CustomerRow, row: AddressRow, first: boolean): Payload {
  const { latitude: _, longitude: __, ...rest } = addressPayload(row);
  return { id: row.id, customer_id: customer.id, ...rest, country_name: row.countryCode ?? '', default: first };
}

export function customerPayload(shop: Shop, row: CustomerRow): Payload {
  const [home] = row.addresses;
  return {
    id: row.id,
    created_at: stamp(row.createdAt),
    updated_at: stamp(row.updatedAt),
    first_name: row.firstName,
    last_name: row.lastName,
    state: 'disabled',
    note: row.note,
    verified_email: row.email !== null,
    multipass_identifier: null,
    tax_exempt: row.taxExempt,
    email: row.email,
    phone: row.phone,
    currency: shop.facts.currency,
    addresses: row.addresses.map((each, at) => customerAddress(row, each, at === 0)),
    tax_exemptions: [],
    admin_graphql_api_id: gid('Customer', row.id),
    ...(home === undefined ? {} : { default_address: customerAddress(row, home, true) }),
  };
}

function variantPayload(row: VariantRow, position: number): Payload {
  return {
    admin_graphql_api_id: gid('ProductVariant', row.id),
    barcode: row.barcode,
    compare_at_price: row.compareAtCents === null ? null : normal.moneyText(row.compareAtCents),
    created_at: stamp(row.createdAt),
    id: row.id,
    inventory_policy: row.inventoryPolicy.toLowerCase(),
    position,
    price: normal.moneyText(row.priceCents),
    product_id: row.productId,
    sku: row.sku,
    taxable: row.taxable,
    title: row.selected.map((each) => each.value).join(' / '),
    updated_at: stamp(row.updatedAt),
    option1: row.selected[0]?.value ?? null,
    option2: row.selected[1]?.value ?? null,
    option3: row.selected[2]?.value ?? null,
    image_id: null,
    inventory_item_id: row.inventoryItemId,
    inventory_quantity: 0,
    old_inventory_quantity: 0,
  };
}

export function productPayload(shop: Shop, row: ProductRow): Payload {
  const variants = row.variantIds.flatMap((id) => shop.variants.get(id) ?? []);
  return {
    admin_graphql_api_id: gid('Product', row.id),
    body_html: row.descriptionHtml,
    created_at: stamp(row.createdAt),
    handle: row.handle,
    id: row.id,
    product_type: row.productType,
    published_at: row.publishedAt === null ? null : stamp(row.publishedAt),
    template_suffix: row.templateSuffix,
    title: row.title,
    updated_at: stamp(row.updatedAt),
    vendor: row.vendor,
    status: row.status.toLowerCase(),
    published_scope: 'web',
    tags: row.tags.join(', '),
    variants: variants.map((variant, at) => variantPayload(variant, at + 1)),
    options: row.options.map((option, at) => ({
      name: option.name,
      id: option.id,
      product_id: row.id,
      position: at + 1,
      values: option.values.map((value) => value.name),
    })),
    images: [],
    image: null,
    media: [],
    variant_gids: variants.map((variant) => ({
      admin_graphql_api_id: gid('ProductVariant', variant.id),
      updated_at: new Date(variant.updatedAt).toISOString(),
    })),
    has_variants_that_requires_components: false,
    category: null,
  };
}

type Bag = (cents: number) => Payload;

function linePayload(row: LineRow, bag: Bag): Payload {
  return {
    id: row.id,
    admin_graphql_api_id: gid('LineItem', row.id),
    attributed_staffs: [],
    current_quantity: row.quantity,
    fulfillable_quantity: row.quantity,
    fulfillment_service: 'manual',
    fulfillment_status: null,
    gift_card: row.giftCard,
    grams: 0,
    name: row.variantTitle === null ? row.title : `${row.title} - ${row.variantTitle}`,
    price: normal.moneyText(row.unitCents),
    price_set: bag(row.unitCents),
    product_exists: row.productId !== null,
    product_id: row.productId,
    properties: row.customAttributes.map(({ key, value }) => ({ name: key, value })),
    quantity: row.quantity,
    requires_shipping: row.requiresShipping,
    sales_line_item_group_id: null,
    sku: row.sku,
    taxable: row.taxable,
    title: row.title,
    total_discount: '0.00',
    total_discount_set: bag(0),
    variant_id: row.variantId,
    variant_inventory_management: null,
    variant_title: row.variantTitle,
    vendor: row.vendor,
    tax_lines: [],
    duties: [],
    discount_allocations: [],
  };
}

function totals(row: OrderRow, bag: Bag): Payload {
  const text = normal.moneyText;
  const total = totalCents(row);
  const subtotal = subtotalCents(row);
  const open = row.cancelledAt === null;
  return {
    current_shipping_price_set: bag(open ? row.shippingCents : 0),
    current_subtotal_price: text(open ? subtotal : 0),
    current_subtotal_price_set: bag(open ? subtotal : 0),
    current_total_additional_fees_set: null,
    current_total_discounts: '0.00',
    current_total_discounts_set: bag(0),
    current_total_duties_set: null,
    current_total_price: text(open ? total : 0),
    current_total_price_set: bag(open ? total : 0),
    current_total_tax: text(open ? row.taxCents : 0),
    current_total_tax_set: bag(open ? row.taxCents : 0),
    original_total_additional_fees_set: null,
    original_total_duties_set: null,
    subtotal_price: text(subtotal),
    subtotal_price_set: bag(subtotal),
    total_cash_rounding_payment_adjustment_set: bag(0),
    total_cash_rounding_refund_adjustment_set: bag(0),
    total_discounts: '0.00',
    total_discounts_set: bag(0),
    total_line_items_price: text(subtotal),
    total_line_items_price_set: bag(subtotal),
    total_outstanding: text(row.financialStatus === 'PENDING' ? total : 0),
    total_price: text(total),
    total_price_set: bag(total),
    total_shipping_price_set: bag(row.shippingCents),
    total_tax: text(row.taxCents),
    total_tax_set: bag(row.taxCents),
    total_tip_received: '0.00',
    total_weight: 0,
  };
}

const restFulfillment: Readonly<Record<string, string | null>> = {
  FULFILLED: 'fulfilled',
  PARTIALLY_FULFILLED: 'partial',
};

/** 2026-01 still has two fields that later versions dropped. */
export function orderPayload(shop: Shop, row: OrderRow, version: string): Payload {
  const bag: Bag = (cents) => {
    const money = { amount: normal.moneyText(cents), currency_code: row.currency };
    return { shop_money: money, presentment_money: money };
  };
  const customer = shop.customers.get(row.customerId);
  return {
    ...fixedOrderFacts,
    ...totals(row, bag),
    ...(version <= '2026-01' ? { checkout_id: null, company: null } : {}),
    id: row.id,
    admin_graphql_api_id: gid('Order', row.id),
    cancel_reason: row.cancelReason?.toLowerCase() ?? null,
    cancelled_at: row.cancelledAt === null ? null : stamp(row.cancelledAt),
    closed_at: row.closedAt === null ? null : stamp(row.closedAt),
    confirmed: true,
    contact_email: row.email,
    created_at: stamp(row.createdAt),
    currency: row.currency,
    email: row.email,
    financial_status: row.financialStatus.toLowerCase(),
    fulfillment_status: restFulfillment[row.fulfillmentStatus] ?? null,
    name: row.name,
    note: row.note,
    note_attributes: row.customAttributes.map(({ key, value }) => ({ name: key, value })),
    number: row.number - 1000,
    order_number: row.number,
    order_status_url: `https://${shop.facts.domain}/${String(shop.facts.id)}/orders/${String(row.id)}/authenticate`,
    phone: row.phone,
    po_number: row.poNumber,
    presentment_currency: row.currency,
    processed_at: stamp(row.processedAt),
    source_identifier: row.sourceIdentifier,
    source_name: row.sourceName ?? 'web',
    tags: row.tags.join(', '),
    taxes_included: row.taxesIncluded,
    test: row.test,
    token: row.id.toString(16).padStart(32, '0'),
    updated_at: stamp(row.updatedAt),
    line_items: row.lines.map((line) => linePayload(line, bag)),
    ...(row.billingAddress === null ? {} : { billing_address: addressPayload(row.billingAddress) }),
    ...(row.shippingAddress === null ? {} : { shipping_address: addressPayload(row.shippingAddress) }),
    ...(customer === undefined ? {} : { customer: customerPayload(shop, customer) }),
  };
}

/** What this shop never varies. */
const fixedOrderFacts: Payload = {
  app_id: null,
  browser_ip: null,
  buyer_accepts_marketing: false,
  cart_token: null,
  checkout_token: null,
  client_details: null,
  confirmation_number: null,
  customer_locale: 'en',
  device_id: null,
  discount_applications: [],
  discount_codes: [],
  duties_included: false,
  estimated_taxes: false,
  fulfillments: [],
  landing_site: null,
  landing_site_ref: null,
  line_item_groups: [],
  location_id: null,
  merchant_business_entity_id: 'MTU0ODM4MDAwOQ',
  merchant_of_record_app_id: null,
  payment_gateway_names: [],
  payment_terms: null,
  reference: null,
  referring_site: null,
  refunds: [],
  returns: [],
  shipping_lines: [],
  source_url: null,
  tax_exempt: false,
  tax_lines: [],
  user_id: null,
};

export function bulkPayload(row: BulkRow): Payload {
  return {
    admin_graphql_api_id: gid('BulkOperation', row.id),
    completed_at: row.completedAt === null ? null : stamp(row.completedAt),
    created_at: stamp(row.createdAt),
    error_code: row.errorCode?.toLowerCase() ?? null,
    status: row.status.toLowerCase(),
    type: row.type.toLowerCase(),
  };
}
