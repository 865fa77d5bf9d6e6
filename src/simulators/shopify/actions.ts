// Owns what the control endpoint of this simulator can do beyond the common verbs. POST /__control/<name> with JSON.
import { ControlError, record } from '../control.js';
import { complianceTopics } from './payloads-shop.js';
import type { Quirks } from './call.js';
import type { ShopifySimulator } from './server.js';
import type { DeliveryPlan } from './webhooks.js';

type Action = (body: unknown) => unknown;

function numbers(body: unknown, what: string, known: readonly string[]): Readonly<Record<string, number>> {
  const given = record(body ?? {}, what);
  const read: Record<string, number> = {};
  for (const [key, value] of Object.entries(given)) {
    if (!known.includes(key) || typeof value !== 'number') {
      throw new ControlError(`${what} knows the numbers ${known.join(', ')}; not ${key}`);
    }
    read[key] = value;
  }
  return read;
}

const planKeys: readonly (keyof DeliveryPlan)[] = ['drop', 'double', 'delayMs', 'reorderMs', 'forge'];

export function actions(sim: ShopifySimulator): Readonly<Record<string, Action>> {
  return {
    'place-order': (body) => sim.placeOrder(record(body, 'place-order')),
    webhooks: (body) => Object.assign(sim.webhooks.plan, numbers(body, 'webhooks', planKeys)),
    deliveries: () => sim.webhooks.deliveries(),
    replay(body) {
      const { webhookId, headers = {} } = record(body, 'replay');
      return sim.webhooks.replay(String(webhookId), headers as Record<string, string>);
    },
    'send-webhook'(body) {
      const { uri, topic, payload = {} } = record(body, 'send-webhook');
      return sim.webhooks.send(String(uri), String(topic), record(payload, 'payload'));
    },
    throttle(body) {
      const { max = 2000, restorePerSecond = 100 } = numbers(body, 'throttle', ['max', 'restorePerSecond']);
      sim.throttle.resize(max, restorePerSecond);
      return sim.throttle.status();
    },
    drain(body) {
      sim.throttle.drain(numbers(body, 'drain', ['points'])['points'] ?? Infinity);
      return sim.throttle.status();
    },
    quirks(body) {
      for (const [key, value] of Object.entries(record(body, 'quirks'))) {
        const known = Object.hasOwn(sim.quirks, key) && typeof value === typeof sim.quirks[key as keyof Quirks];
        if (!known) throw new ControlError(`quirks are ${JSON.stringify(sim.quirks)}; not ${key}`);
        Object.assign(sim.quirks, { [key]: value });
      }
      return sim.quirks;
    },
    scopes(body) {
      const { scopes } = record(body, 'scopes');
      if (!Array.isArray(scopes)) throw new ControlError('scopes wants { scopes: [] }');
      sim.scopes = scopes.map(String);
      return { scopes };
    },
    serve(body) {
      const { versions } = record(body, 'serve');
      if (!Array.isArray(versions)) throw new ControlError('serve wants { versions: [] }');
      sim.serve(versions.map(String));
      return { versions };
    },
    compliance(body) {
      const { topic, uri, customerId } = record(body, 'compliance');
      const known = complianceTopics.find((each) => each === topic);
      if (known === undefined) throw new ControlError(`compliance knows the topics ${complianceTopics.join(', ')}`);
      sim.compliance(known, String(uri), typeof customerId === 'string' ? customerId : undefined);
      return {};
    },
    uninstall() {
      sim.uninstall();
      return {};
    },
  };
}
