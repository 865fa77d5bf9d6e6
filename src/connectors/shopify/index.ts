// Owns the Shopify connector as the contract sees it. Promises what connectors/connector.ts promises; each verb lives in
// the file of its name. Where Shopify has no conditional write, `Write.expect` is not honoured and the capability says so.
import type { Connector, ConnectorDeps, Spoke } from '../connector.js';
import { Api } from './api.js';
import { scanPages } from './bulk.js';
import { Changes } from './changes.js';
import { createTransport } from './client.js';
import { parseConfig } from './config.js';
import type { ShopifyConfig } from './config.js';
import { Definitions } from './definitions.js';
import { describe, identify } from './describe.js';
import { fetchRecords, findRecords, inventoryPages, specOf } from './read.js';
import { webhookDoor } from './webhooks.js';
import { Writer, writeBatch } from './write.js';

export const shopify: Connector<ShopifyConfig> = {
  name: 'shopify',
  parseConfig,
  open: (config, deps) => Promise.resolve(openShop(config, deps)),
};

function openShop(config: ShopifyConfig, deps: ConnectorDeps): Spoke {
  const api = new Api(config, deps, createTransport(config, deps.http));
  const changes = new Changes(api);
  const writer = new Writer(api, new Definitions(api));
  const secrets = config.webhookSecrets;
  return {
    capabilities: {
      conditionalWrite: false,
      idempotentCreate: true,
      bulkScan: true,
      bulkWriteFrom: null,
      stream: false,
      webhooks: secrets !== undefined,
      deleteFeed: false,
      undelete: false,
      writeBatch,
      fetchBatch: 100,
      findBatch: 50,
      lanes: 4,
    },
    identity: () => identify(api),
    describe: (objects) => describe(api, objects),
    now: (object) => {
      specOf(object);
      return changes.now({ lane: 'interactive' });
    },
    scan: (object, fields, after, options) => scanPages(api, specOf(object), fields, after, options),
    changes: (object, fields, after, options) => changes.pages(specOf(object), fields, after, options),
    fetch: (object, ids, fields, options) => fetchRecords(api, specOf(object), ids, fields, options),
    find: (object, keys, fields, options) => findRecords(api, specOf(object), keys, fields, options),
    inventory: (object, options) => inventoryPages(api, specOf(object), options),
    write: (writes, options) => writer.write(writes, options),
    ...(secrets === undefined ? {} : { webhooks: webhookDoor(api, secrets) }),
    close: () => Promise.resolve(),
  };
}
