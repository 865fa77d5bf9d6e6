// Owns the Salesforce connector: builds the parts and puts them behind the contract. Holds no state of its own beyond caches that
// may be lost at any time; rotated tokens and bulk work in flight are in the connector's durable state.
import type { Connector, ConnectorDeps, RemoteSchema, Spoke, SpokeIdentity } from '../connector.js';
import { BulkWriter } from './bulk-write.js';
import { createCatalogue, remoteObject } from './catalogue.js';
import { changesOf, startCursor, type Memory } from './changes.js';
import { createClient } from './client.js';
import { parseConfig, type SalesforceConfig } from './config.js';
import { id18 } from './errors.js';
import { createPlanner } from './plan.js';
import { Translator } from './prepare.js';
import { createQuery } from './query.js';
import { fetchByIds, findByKeys, idsPerQuery, inventoryOf, type ReadParts } from './read.js';
import { scanOf } from './scan.js';
import { listenTo } from './stream.js';
import { writeAll, type WriteParts } from './write.js';
import { collectionRows } from './collections.js';
import { companionFor } from './companions.js';
import type { CallOptions } from '../connector.js';

export const salesforce: Connector<SalesforceConfig> = {
  name: 'salesforce',
  parseConfig,
  open: (config, deps) => Promise.resolve(open(config, deps)),
};

function open(config: SalesforceConfig, deps: ConnectorDeps): Spoke {
  const { spoke } = deps;
  const client = createClient(config, deps);
  const catalogue = createCatalogue(client, spoke);
  const query = createQuery(client, spoke, () => planner.forget());
  const planner = createPlanner({ spoke, config, catalogue, query });
  const self = async (options: CallOptions): Promise<string | null> => (await client.session(options)).user;
  const read: ReadParts = { spoke, query, catalogue, self };
  const memory: Memory = new Map();
  const write: WriteParts = {
    spoke,
    config,
    client,
    catalogue,
    planner,
    read,
    translator: new Translator({
      query,
      defaultScope: (translation, options) => {
        const companion = companionFor(translation.through);
        return companion === null ? Promise.resolve(null) : planner.scopeId(companion, options);
      },
    }),
    bulk: new BulkWriter({
      spoke,
      config,
      client,
      state: deps.state,
      clock: deps.clock,
      random: deps.random,
      log: deps.log,
    }),
  };

  return {
    capabilities: {
      conditionalWrite: true,
      idempotentCreate: true,
      bulkScan: true,
      bulkWriteFrom: config.bulkWriteFrom,
      stream: true,
      webhooks: false,
      deleteFeed: true,
      undelete: true,
      writeBatch: collectionRows,
      fetchBatch: idsPerQuery,
      findBatch: 200,
      lanes: 5,
    },

    async identity(): Promise<SpokeIdentity> {
      const options: CallOptions = { lane: 'interactive' };
      const rows = await query.all('SELECT Id, Name FROM Organization LIMIT 1', options);
      const { org, user } = await client.session(options);
      const name = rows[0]?.['Name'];
      return {
        id: org ?? id18(String(rows[0]?.['Id'] ?? '')),
        label: typeof name === 'string' ? name : 'Salesforce',
        user,
      };
    },

    async describe(objects): Promise<RemoteSchema> {
      const options: CallOptions = { lane: 'interactive' };
      planner.forget();
      const found = await Promise.all(
        objects.map(async (name) => ({ name, object: await catalogue.find(name, options) })),
      );
      const shown = found.flatMap((one) => (one.object === null ? [] : [remoteObject(catalogue, one.object, options)]));
      return {
        objects: await Promise.all(shown),
        missing: found.filter((one) => one.object === null).map((one) => one.name),
        apiVersion: config.apiVersion,
      };
    },

    async now() {
      const reader = deps.random.next().toString(36).slice(2, 10);
      return startCursor(reader, await client.serverNowMs({ lane: 'interactive' }));
    },

    async *scan(object, fields, after, options) {
      const plan = await planner.plan(object, fields, options);
      yield* scanOf(
        { ...read, client, config, state: deps.state, clock: deps.clock, random: deps.random },
        plan,
        after,
        options,
      );
    },

    async *changes(object, fields, after, options) {
      const plan = await planner.plan(object, fields, options);
      const untilMs = (await client.serverNowMs(options)) - config.lagSeconds * 1_000;
      yield* changesOf({ ...read, memory }, plan, after, {
        ...options,
        overlapMs: config.overlapMinutes * 60_000,
        untilMs,
      });
    },

    listen: (objects, signal) =>
      listenTo(
        { spoke, config, client, query, catalogue, clock: deps.clock, random: deps.random, log: deps.log },
        objects,
        signal,
      ),

    async fetch(object, ids, fields, options) {
      return fetchByIds(read, await planner.plan(object, fields, options), ids, options);
    },

    async find(object, keys, fields, options) {
      return findByKeys(read, await planner.plan(object, fields, options), keys, options);
    },

    async *inventory(object, options) {
      const plan = await planner.plan(object, { paths: [], children: {} }, options);
      yield* inventoryOf(read, plan, options);
    },

    write: (writes, options) => writeAll(write, writes, options),

    close() {
      client.close();
      return Promise.resolve();
    },
  };
}
