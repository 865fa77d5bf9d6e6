// The door that Shopify calls: what it lets in, and how little it believes.
// Proves: Invariant 8
import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { verify } from '../../src/connectors/shopify/webhooks.js';
import { shop } from './shopify-support.js';

const secrets = ['present secret', 'earlier secret'];
const body = Buffer.from('{"id":7,"admin_graphql_api_id":"gid://shopify/Order/7","note":"\\u00e9 é"}');
const sign = (bytes: Uint8Array, secret = 'present secret'): string =>
  createHmac('sha256', secret).update(bytes).digest('base64');

const headers = (changes: Record<string, string> = {}): Record<string, string> => ({
  'x-shopify-hmac-sha256': sign(body),
  'x-shopify-shop-domain': shop,
  'x-shopify-topic': 'orders/updated',
  'x-shopify-event-id': 'event-1',
  'x-shopify-webhook-id': 'webhook-1',
  ...changes,
});

const check = (changes: Record<string, string> = {}, bytes: Uint8Array = body) =>
  verify({ headers: headers(changes), body: bytes }, secrets, shop);

test('a genuine webhook is a hint, told apart by its event id', () => {
  expect(check()).toEqual({
    ok: true,
    eventId: 'event-1 orders/updated gid://shopify/Order/7',
    topic: 'orders/updated',
    compliance: false,
    hints: [{ object: 'Order', externalId: 'gid://shopify/Order/7', deleted: false }],
  });
});

test('F85 a duplicate has the same event id, also where only the older header or none is sent', () => {
  const without = headers();
  delete without['x-shopify-event-id'];
  expect(verify({ headers: without, body }, secrets, shop)).toMatchObject({
    eventId: 'webhook-1 orders/updated gid://shopify/Order/7',
  });
  delete without['x-shopify-webhook-id'];
  const first = verify({ headers: without, body }, secrets, shop);
  expect(first).toEqual(verify({ headers: { ...without }, body: Buffer.from(body) }, secrets, shop));
});

test('one event that announces two topics is no duplicate', () => {
  const ids = ['orders/create', 'orders/updated'].map((topic) => check({ 'x-shopify-topic': topic }));
  expect(new Set(ids.map((verdict) => (verdict.ok ? verdict.eventId : ''))).size).toBe(2);
});

test('the secret before a rotation is still taken', () => {
  expect(check({ 'x-shopify-hmac-sha256': sign(body, 'earlier secret') }).ok).toBe(true);
});

describe('F88 forged signatures', () => {
  test.each([
    ['of another secret', sign(body, 'guess')],
    ['of another body', sign(Buffer.from('{}'))],
    ['missing', ''],
    ['in hex', createHmac('sha256', 'present secret').update(body).digest('hex')],
    ['with something after it', `${sign(body)}AAAA`],
    ['without its padding', sign(body).slice(0, -1)],
  ])('%s', (_name, signature) => {
    expect(check({ 'x-shopify-hmac-sha256': signature }).ok).toBe(false);
  });

  test('a body that was re-serialised no longer matches', () => {
    expect(check({}, Buffer.from(JSON.stringify(JSON.parse(body.toString())))).ok).toBe(false);
  });
});

test('F131 any length of signature is compared without an exception', () => {
  for (let length = 0; length < 200; length += 7) {
    expect(check({ 'x-shopify-hmac-sha256': 'A'.repeat(length) }).ok).toBe(false);
  }
});

test('F89 a valid body replayed to another shop is refused; to another topic it is at most a hint', () => {
  expect(check({ 'x-shopify-shop-domain': 'victim.myshopify.com' }).ok).toBe(false);
  // The signature does not cover the topic: the claim of a deletion stays a claim, to be confirmed by a fetch.
  expect(check({ 'x-shopify-topic': 'orders/delete' })).toMatchObject({ ok: true, hints: [{ deleted: true }] });
  // An id of another kind than the topic's is no hint at all.
  expect(check({ 'x-shopify-topic': 'customers/delete' })).toMatchObject({ ok: true, hints: [] });
  expect(check({ 'x-shopify-topic': 'shop/redact' })).toMatchObject({ ok: true, hints: [], compliance: true });
});

test('a deletion carries only a number', () => {
  const bytes = Buffer.from('{"id":42}');
  const result = check({ 'x-shopify-topic': 'products/delete', 'x-shopify-hmac-sha256': sign(bytes) }, bytes);
  expect(result).toMatchObject({
    hints: [{ object: 'Product', externalId: 'gid://shopify/Product/42', deleted: true }],
  });
});

test('a merge hints at both records', () => {
  const bytes = Buffer.from(
    '{"admin_graphql_api_customer_kept_id":"gid://shopify/Customer/1","admin_graphql_api_customer_deleted_id":"gid://shopify/Customer/2"}',
  );
  const result = check({ 'x-shopify-topic': 'customers/merge', 'x-shopify-hmac-sha256': sign(bytes) }, bytes);
  expect(result).toMatchObject({
    hints: [
      { externalId: 'gid://shopify/Customer/1', deleted: false },
      { externalId: 'gid://shopify/Customer/2', deleted: true },
    ],
  });
});

test('a signed body that is no JSON object is refused', () => {
  const bytes = Buffer.from('[1]');
  expect(check({ 'x-shopify-hmac-sha256': sign(bytes) }, bytes).ok).toBe(false);
});

test.each(['customers/redact', 'shop/redact', 'customers/data_request'])('compliance topic %s is flagged', (topic) => {
  expect(check({ 'x-shopify-topic': topic })).toMatchObject({ ok: true, compliance: true, hints: [] });
});
