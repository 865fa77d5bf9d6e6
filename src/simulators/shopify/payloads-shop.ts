// Owns the bodies of webhooks about the shop itself: app/uninstalled, shop/update, and the three compliance topics that every
// app must answer. Compliance topics are not subscribed through the API; the app's configuration names their address.
import type { Payload } from './payloads.js';
import type { Shop } from './shop.js';

export const complianceTopics = ['customers/data_request', 'customers/redact', 'shop/redact'] as const;
export type ComplianceTopic = (typeof complianceTopics)[number];

export function shopPayload({ facts }: Shop): Payload {
  const { id, name, email, domain, currency, createdAt } = facts;
  const created = new Date(createdAt).toISOString();
  return {
    ...address,
    ...switches,
    ...money,
    id,
    name,
    email,
    domain,
    myshopify_domain: domain,
    customer_email: email,
    currency,
    enabled_presentment_currencies: [currency],
    created_at: created,
    updated_at: created,
    primary_locale: 'en',
    primary_location_id: 70_000_000_001,
    shop_owner: 'Demo Owner',
    source: null,
    timezone: '(GMT-05:00) America/New_York',
    iana_timezone: 'America/New_York',
    plan_display_name: 'Shopify Plus',
    plan_name: 'shopify_plus',
    weight_unit: 'kg',
  };
}

const address: Payload = {
  address1: '1 Demo Street',
  address2: null,
  city: 'New York',
  province: 'New York',
  province_code: 'NY',
  country: 'US',
  country_code: 'US',
  country_name: 'United States',
  zip: '10001',
  phone: '+12125550100',
  latitude: null,
  longitude: null,
};

const money: Payload = {
  money_format: '${{amount}}',
  money_with_currency_format: '${{amount}} USD',
  money_in_emails_format: '${{amount}}',
  money_with_currency_in_emails_format: '${{amount}} USD',
};

const switches: Payload = {
  taxes_included: false,
  auto_configure_tax_inclusivity: null,
  tax_shipping: null,
  county_taxes: true,
  has_discounts: false,
  has_gift_cards: false,
  google_apps_domain: null,
  google_apps_login_enabled: null,
  eligible_for_payments: true,
  requires_extra_payments_agreement: false,
  password_enabled: false,
  has_storefront: true,
  finances: true,
  checkout_api_supported: true,
  multi_location_enabled: true,
  setup_required: false,
  pre_launch_enabled: false,
  marketing_sms_consent_enabled_at_checkout: false,
  transactional_sms_disabled: false,
};

/** `customerId` is needed for the two topics about a person. */
export function compliancePayload(shop: Shop, topic: ComplianceTopic, customerId: number | null): Payload {
  const about = { shop_id: shop.facts.id, shop_domain: shop.facts.domain };
  if (topic === 'shop/redact') return about;
  const customer = shop.customers.get(customerId);
  if (customer === undefined) throw new RangeError(`${topic} wants the id of a customer`);
  const orders = [...(shop.ordersOfCustomer.get(customer.id) ?? [])];
  const person = { id: customer.id, email: customer.email ?? '', phone: customer.phone ?? '' };
  if (topic === 'customers/redact') return { ...about, customer: person, orders_to_redact: orders };
  return { ...about, customer: person, orders_requested: orders, data_request: { id: shop.minorId() } };
}
