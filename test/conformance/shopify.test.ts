// The contract over the Shopify connector and the simulated shop, over real HTTP, at ten times the speed of time.
import { undiciHttp } from '../../src/base/http-undici.js';
import { systemClock } from '../../src/base/clock.js';
import { shopify } from '../../src/connectors/shopify/index.js';
import { externalId, objectName, remotePath } from '../../src/model/ids.js';
import { startShopify } from '../../src/simulators/shopify/server.js';
import { dated, fastClock, testDeps, type FaultName, type Harness, type Traits } from './harness.js';
import { conformance } from './suite.js';

const object = objectName('Customer');
const [key, text, phone] = [remotePath('email'), remotePath('note'), remotePath('phone')];

function harness(quirks: { searchLagMs?: number }): () => Promise<Harness> {
  return async () => {
    const clock = fastClock(10);
    const sim = await startShopify({ clock, throttle: { max: 20_000, restorePerSecond: 1_000 }, ...quirks });
    const http = undiciHttp({ clock: systemClock, allowLoopback: true });
    const raw = {
      shop: sim.domain,
      accessToken: sim.accessToken,
      apiUrl: sim.url,
      lagSeconds: 1,
      overlapSeconds: 60,
      deadlineSeconds: 20,
    };
    const config = shopify.parseConfig(raw, () => ({}));
    const spoke = await shopify.open(config, testDeps({ http: dated(http, clock), clock }));
    const arm = (kind: 'throttle' | 'lost-response' | 'refuse' | 'html') =>
      sim.faults.put({ id: 'suite', route: 'mutation customer(Set|Delete)', kind, times: 1 });
    const faults: Partial<Record<FaultName, () => void>> = {
      throttle: () => arm('throttle'),
      loseAnswer: () => arm('lost-response'),
      loseRequest: () => arm('refuse'),
      garble: () => arm('html'),
    };
    return {
      spoke,
      object,
      fields: { paths: [key, text, phone, remotePath('firstName')], children: {} },
      key,
      text,
      sample: (n) => ({
        email: `person${n}@example.com`,
        note: `note ${n}`,
        phone: `+1415555${String(n).padStart(4, '0').slice(-4)}`,
        firstName: `Person ${n}`,
      }),
      invalid: { fields: { phone: 'not a number' }, path: phone },
      missing: externalId('gid://shopify/Customer/999999999999'),
      person: {
        create: (fields) => Promise.resolve(externalId(sim.edit({ op: 'create', object, fields }).id)),
        createAtOnce: (list) => {
          const at = new Date(Math.floor(clock.now() / 1000) * 1000).toISOString();
          return Promise.resolve(
            sim
              .load(
                object,
                list.map((fields) => ({ ...fields, createdAt: at, updatedAt: at })),
              )
              .map((id) => externalId(id)),
          );
        },
        edit: (id, fields) => Promise.resolve(void sim.edit({ op: 'update', object, id, fields })),
        remove: (id) => Promise.resolve(void sim.edit({ op: 'delete', object, id })),
        read: (id, path) => Promise.resolve(sim.records(object).find((record) => record['id'] === id)?.[path]),
        count: () => Promise.resolve(sim.records(object).length),
      },
      fault: (name) => faults[name]?.(),
      close: async () => {
        await spoke.close();
        await http.close();
        await sim.close();
      },
    };
  };
}

const traits: Traits = {
  conditionalWrite: false,
  idempotentCreate: true,
  upserts: true,
  deleteFeed: false,
  undelete: false,
  stream: false,
  recycleBin: false,
  hubKey: true,
  uniqueKey: true,
  many: 600,
  pagesMin: 2,
  faults: ['throttle', 'loseAnswer', 'loseRequest', 'garble'],
  children: null,
};

conformance('shopify', traits, harness({}));
conformance('shopify, search index behind', traits, harness({ searchLagMs: 800 }));
