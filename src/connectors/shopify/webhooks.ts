// Owns webhooks: the signature over the raw bytes, the shop they must come from, the subscriptions that bring them.
// The signature covers only the body, so the same body replays under another shop or topic: the shop is bound to this
// spoke, a payload is never more than a hint, and a hint is fetched by id. Never says which secret matched.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { externalId, objectName } from '../../model/ids.js';
import type { ObjectName } from '../../model/ids.js';
import type { Hint, WebhookDoor, WebhookRequest, WebhookVerdict } from '../connector.js';
import type { Api } from './api.js';
import { subscribeDocument, subscriptionsDocument } from './documents.js';
import { asNumber, asObject, asText, parseJson } from './json.js';
import { catalogue } from './objects/catalogue.js';
import { gidOf } from './objects/spec.js';
import type { JsonObject, ObjectSpec } from './objects/spec.js';
import { nextCursor, specOf } from './read.js';
import { nodesOf } from './record.js';
import { toUserErrors } from './user-errors.js';
import { Retriable } from '../../base/errors.js';

/** Legal requests. Set up in the app's settings, not by subscription. */
const complianceTopics = new Set(['customers/data_request', 'customers/redact', 'shop/redact']);

export function webhookDoor(api: Api, secrets: readonly string[]): WebhookDoor {
  return {
    verify: (request) => verify(request, secrets, api.config.shop),
    ensure: (address, objects) => ensure(api, address, objects),
  };
}

/** Pure. */
export function verify(request: WebhookRequest, secrets: readonly string[], shop: string): WebhookVerdict {
  const { headers, body } = request;
  if (!signed(body, headers['x-shopify-hmac-sha256'] ?? '', secrets))
    return { ok: false, reason: 'the signature does not match' };
  if (headers['x-shopify-shop-domain']?.toLowerCase() !== shop)
    return { ok: false, reason: 'it comes from another shop' };
  const topic = headers['x-shopify-topic']?.toLowerCase() ?? '';
  if (!/^[a-z_]+\/[a-z_]+$/.test(topic)) return { ok: false, reason: 'it names no topic' };
  const payload = parseJson(Buffer.from(body).toString('utf8'));
  if (payload === null) return { ok: false, reason: 'its body is not a JSON object' };
  const compliance = complianceTopics.has(topic);
  const hints = compliance ? [] : hintsOf(topic, payload);
  const event = headers['x-shopify-event-id'] ?? headers['x-shopify-webhook-id'] ?? digest(topic, body);
  // One act of a merchant may announce several topics and records under one event id: only all three tell a duplicate.
  const eventId = [event, topic, ...hints.map((hint) => hint.externalId)].join(' ');
  return { ok: true, eventId, topic, hints, compliance };
}

/** Compares with every secret in constant time, whatever the header holds. */
function signed(body: Uint8Array, header: string, secrets: readonly string[]): boolean {
  const given = Buffer.from(header, 'base64');
  const wellFormed = /^[A-Za-z0-9+/]{43}=$/.test(header);
  let matches = 0;
  for (const secret of secrets) {
    const due = createHmac('sha256', secret).update(body).digest();
    // Same length always: an odd header is compared as zeros, and cannot match because it is not well formed.
    const candidate = given.length === due.length ? given : Buffer.alloc(due.length);
    matches |= timingSafeEqual(candidate, due) && wellFormed ? 1 : 0;
  }
  return matches === 1;
}

const digest = (topic: string, body: Uint8Array): string =>
  createHash('sha256').update(topic).update('\n').update(body).digest('hex');

function hintsOf(topic: string, payload: JsonObject): readonly Hint[] {
  if (topic === 'customers/merge') return mergeHints(payload);
  for (const spec of catalogue.values()) {
    const match = spec.topics.find((each) => each.topic === topic);
    if (match === undefined) continue;
    const id = idOf(spec, payload);
    return id === null ? [] : [{ object: objectName(spec.name), externalId: externalId(id), deleted: match.deleted }];
  }
  return [];
}

/** Deletions carry the bare number only. */
function idOf(spec: ObjectSpec, payload: JsonObject): string | null {
  const gid = asText(payload['admin_graphql_api_id']);
  if (gid !== null) return gidOf(spec.gid, gid) ? gid : null;
  const number = asNumber(payload['id']);
  return number !== null && Number.isSafeInteger(number) && number > 0 ? `gid://shopify/${spec.gid}/${number}` : null;
}

function mergeHints(payload: JsonObject): readonly Hint[] {
  const sides = [
    ['admin_graphql_api_customer_kept_id', false],
    ['admin_graphql_api_customer_deleted_id', true],
  ] as const;
  return sides.flatMap(([key, deleted]) => {
    const gid = asText(payload[key]);
    return gid !== null && gidOf('Customer', gid)
      ? [{ object: objectName('Customer'), externalId: externalId(gid), deleted }]
      : [];
  });
}

/** Subscriptions that point elsewhere are left alone: they may belong to another installation of the same app. */
async function ensure(
  api: Api,
  address: string,
  objects: readonly ObjectName[],
): Promise<{ readonly created: readonly string[] }> {
  const options = { lane: 'interactive' } as const;
  const present = new Set<string>();
  let after: string | null = null;
  do {
    const data: JsonObject = await api.read(subscriptionsDocument(), { after }, options);
    const connection = asObject(data['webhookSubscriptions']);
    for (const node of nodesOf(connection))
      if (asText(node['uri']) === address) present.add(asText(node['topic']) ?? '');
    after = nextCursor(connection);
  } while (after !== null);
  const roots = new Set(objects.map((name) => name.split('.')[0] ?? name));
  const topics = [...roots].flatMap((name) => specOf(name).topics.map((each) => each.topic));
  const created: string[] = [];
  for (const topic of topics.filter((each) => !present.has(topicEnum(each)))) {
    const variables = { topic: topicEnum(topic), subscription: { uri: address, format: 'JSON' } };
    const data = await api.read(subscribeDocument(), variables, options);
    const errors = toUserErrors(asObject(data['webhookSubscriptionCreate'])).filter(
      (error) => !/already been taken/i.test(error.message),
    );
    if (errors.length > 0) {
      const { spoke } = api.deps;
      const message = `${spoke}: Shopify refused a subscription to ${topic}: ${errors.map((error) => error.message).join('; ')}`;
      throw new Retriable({
        spoke,
        code: 'subscription_refused',
        message,
        hint: 'the address must be public https; polling goes on meanwhile',
      });
    }
    created.push(topic);
  }
  return { created };
}

const topicEnum = (topic: string): string => topic.toUpperCase().replace('/', '_');
