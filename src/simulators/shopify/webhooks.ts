// Owns webhook delivery: signed POSTs to subscribers on this machine, with retries, and removal of a subscription that keeps
// failing. Deliveries can be dropped, doubled, delayed, reordered, forged and replayed. Order is never promised.
import { createHmac } from 'node:crypto';
import type { Clock } from '../../base/clock.js';
import type { Ids, Random } from '../../base/random.js';
import { deliverable } from './call.js';
import { shopPayload } from './payloads-shop.js';
import { bulkPayload, customerPayload, orderPayload, productPayload, type Payload } from './payloads.js';
import { gid } from './gid.js';
import type { SubscriptionRow } from './rows.js';
import type { Shop, ShopEvent } from './shop.js';

/** What happens to deliveries on their way. Probabilities are 0..1, drawn from the simulator's seed. */
export interface DeliveryPlan {
  /** Never sent. */
  drop: number;
  /** Sent twice with the same webhook id. */
  double: number;
  /** Waits this long before the first try. */
  delayMs: number;
  /** Waits an extra random time up to this, so later ones overtake. */
  reorderMs: number;
  /** Sent with a signature made with a wrong secret. */
  forge: number;
}

export interface Delivery {
  readonly webhookId: string;
  readonly eventId: string;
  /** REST spelling, e.g. `customers/update`. */
  readonly topic: string;
  readonly uri: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Status of each try; null where there was no answer. Empty: dropped or still waiting. */
  readonly tries: (number | null)[];
  dropped: boolean;
  done: boolean;
}

export interface WebhookOptions {
  readonly shop: Shop;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
  readonly closing: AbortSignal;
  readonly version: string;
  /** Waits between tries; their number is the number of retries. */
  readonly retryMs: readonly number[];
  readonly timeoutMs: number;
  /** Failed tries in a row after which the subscription is removed. */
  readonly failuresMax: number;
}

const lanesMax = 16;
const rememberedMax = 20_000;

export class Webhooks {
  readonly plan: DeliveryPlan = { drop: 0, double: 0, delayMs: 0, reorderMs: 0, forge: 0 };
  private readonly sent: Delivery[] = [];
  private readonly queue: (() => Promise<void>)[] = [];
  private readonly failures = new Map<number, number>();
  private running = 0;
  private waiting = 0;
  private idle: (() => void)[] = [];

  constructor(
    private readonly options: WebhookOptions,
    public secrets: readonly string[],
  ) {}

  /** Everything that was sent or dropped, oldest first. */
  deliveries(): readonly Delivery[] {
    return this.sent;
  }

  announce(event: ShopEvent): void {
    const eventId = this.options.ids.uuid();
    for (const topic of event.topics) {
      for (const row of this.options.shop.subscriptions.live()) {
        if (row.topic === topic && deliverable(row)) this.plannedSend(row, this.make(row, event, topic, eventId));
      }
    }
  }

  /** Sends a topic's body to one address, subscribed or not: compliance topics are configured, not subscribed. */
  send(uri: string, topic: string, body: Payload): Delivery {
    if (!deliverable({ uri })) throw new RangeError(`${uri} is not on this machine`);
    const delivery = this.build(
      { uri, apiVersion: this.options.version },
      topic,
      JSON.stringify(body),
      this.options.ids.uuid(),
    );
    this.start(null, delivery, 0);
    return delivery;
  }

  /** The same bytes and signature again, with other headers if wished: the signature covers the body only (F89). */
  replay(webhookId: string, headers: Readonly<Record<string, string>> = {}): Delivery {
    const old = this.sent.find((each) => each.webhookId === webhookId);
    if (old === undefined) throw new RangeError(`no delivery ${webhookId}`);
    const again = {
      ...old,
      headers: { ...old.headers, ...lowerCased(headers) },
      tries: [],
      dropped: false,
      done: false,
    };
    this.start(null, again, 0);
    return again;
  }

  /** Resolves when nothing is waiting or under way. */
  settled(): Promise<void> {
    if (this.running + this.waiting + this.queue.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.idle.push(resolve));
  }

  private make(row: SubscriptionRow, event: ShopEvent, topic: string, eventId: string): Delivery {
    const full = this.payload(event, topic, row.apiVersion);
    const body = row.includeFields.length === 0 ? full : pick(full, row.includeFields);
    return this.build(row, restTopic(topic), JSON.stringify(body), eventId);
  }

  private build(
    to: Pick<SubscriptionRow, 'uri' | 'apiVersion'>,
    topic: string,
    body: string,
    eventId: string,
  ): Delivery {
    const { shop, ids, clock, random } = this.options;
    const webhookId = ids.uuid();
    const forged = this.plan.forge > 0 && random.next() < this.plan.forge;
    const secret = forged ? 'not the secret' : (this.secrets[0] ?? '');
    const headers = {
      'content-type': 'application/json',
      'x-shopify-topic': topic,
      'x-shopify-shop-domain': shop.facts.domain,
      'x-shopify-hmac-sha256': createHmac('sha256', secret).update(body, 'utf8').digest('base64'),
      'x-shopify-api-version': to.apiVersion,
      'x-shopify-webhook-id': webhookId,
      'x-shopify-event-id': eventId,
      'x-shopify-triggered-at': new Date(clock.now()).toISOString(),
    };
    return { webhookId, eventId, topic, uri: to.uri, body, headers, tries: [], dropped: false, done: false };
  }

  private payload(event: ShopEvent, topic: string, version: string): Payload {
    const { shop } = this.options;
    if (event.kind === 'Shop') return shopPayload(shop);
    const customer = event.kind === 'Customer' ? shop.customers.get(event.id) : undefined;
    if (customer !== undefined) return customerPayload(shop, customer);
    const product = event.kind === 'Product' ? shop.products.get(event.id) : undefined;
    if (product !== undefined) return productPayload(shop, product);
    const order = event.kind === 'Order' ? shop.orders.get(event.id) : undefined;
    if (order !== undefined) return orderPayload(shop, order, version);
    const bulk = event.kind === 'BulkOperation' ? shop.bulk.get(event.id) : undefined;
    if (bulk !== undefined) return bulkPayload(bulk);
    // Deletions tell little more than the id.
    if (topic !== 'CUSTOMERS_DELETE') return { id: event.id };
    return { id: event.id, tax_exemptions: [], admin_graphql_api_id: gid('Customer', event.id) };
  }

  private plannedSend(row: SubscriptionRow, delivery: Delivery): void {
    const { plan } = this;
    const { random } = this.options;
    const draw = (probability: number): boolean => probability > 0 && random.next() < probability;
    if (draw(plan.drop)) {
      delivery.dropped = true;
      delivery.done = true;
      this.remember(delivery);
      return;
    }
    const wait = (): number => plan.delayMs + (plan.reorderMs > 0 ? Math.floor(random.next() * plan.reorderMs) : 0);
    this.start(row.id, delivery, wait());
    if (draw(plan.double)) this.start(row.id, { ...delivery, tries: [] }, wait());
  }

  private remember(delivery: Delivery): void {
    this.sent.push(delivery);
    if (this.sent.length > rememberedMax) this.sent.splice(0, this.sent.length - rememberedMax);
  }

  private start(subscription: number | null, delivery: Delivery, waitMs: number): void {
    this.remember(delivery);
    void this.later(waitMs, () => this.attempt(subscription, delivery, 0));
  }

  private async later(ms: number, task: () => Promise<void>): Promise<void> {
    const { clock, closing } = this.options;
    if (ms > 0) {
      this.waiting += 1;
      await clock.sleep(ms, closing);
      this.waiting -= 1;
    }
    if (!closing.aborted) this.queue.push(task);
    this.pump();
  }

  private pump(): void {
    while (this.running < lanesMax) {
      const task = this.queue.shift();
      if (task === undefined) break;
      this.running += 1;
      void task().then(() => {
        this.running -= 1;
        this.pump();
      });
    }
    if (this.running + this.waiting + this.queue.length > 0) return;
    const idle = this.idle;
    this.idle = [];
    for (const resolve of idle) resolve();
  }

  private async attempt(subscription: number | null, delivery: Delivery, retry: number): Promise<void> {
    const { shop, retryMs } = this.options;
    if (subscription !== null && shop.subscriptions.get(subscription) === undefined) return;
    const status = await this.post(delivery);
    delivery.tries.push(status);
    if (status !== null && status >= 200 && status < 300) {
      delivery.done = true;
      if (subscription !== null) this.failures.delete(subscription);
      return;
    }
    if (subscription !== null) this.failed(subscription);
    const wait = retryMs[retry];
    if (wait === undefined) delivery.done = true;
    else void this.later(wait, () => this.attempt(subscription, delivery, retry + 1));
  }

  private failed(subscription: number): void {
    const { shop, failuresMax } = this.options;
    const count = (this.failures.get(subscription) ?? 0) + 1;
    this.failures.set(subscription, count);
    const row = shop.subscriptions.get(subscription);
    if (count < failuresMax || row === undefined) return;
    shop.subscriptions.delete(subscription, shop.now());
    const actor = { name: 'shopify', route: 'webhook failures', requestId: null, quiet: false };
    shop.commit(actor, { kind: row.kind, id: row.id, op: 'delete', before: { ...row }, after: null, topics: [] });
  }

  /** Status of the answer, or null without one. Redirects are failures. */
  private async post(delivery: Delivery): Promise<number | null> {
    const { timeoutMs, closing } = this.options;
    try {
      const response = await fetch(delivery.uri, {
        method: 'POST',
        headers: delivery.headers,
        body: delivery.body,
        redirect: 'manual',
        signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), closing]),
      });
      await response.arrayBuffer();
      return response.status;
    } catch {
      // No answer within the time is a failed try like any other; the retry plan handles it.
      return null;
    }
  }
}

/** `ORDERS_CREATE` → `orders/create`; the last word is the act. */
export function restTopic(topic: string): string {
  if (topic === 'BULK_OPERATIONS_FINISH') return 'bulk_operations/finish';
  return topic.toLowerCase().replace('_', '/');
}

function pick(body: Payload, fields: readonly string[]): Payload {
  return Object.fromEntries(Object.entries(body).filter(([key]) => fields.includes(key)));
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([key, value]) => [key.toLowerCase(), value]));
}
