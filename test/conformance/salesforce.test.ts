// The contract over the Salesforce connector and the simulated org, over real HTTP: once reading by query, once by bulk jobs.
import { externalId, objectName, remotePath, type ExternalId } from '../../src/model/ids.js';
import { openOrg } from '../connectors/salesforce-support.js';
import type { FaultName, Harness, Traits } from './harness.js';
import { conformance } from './suite.js';

const object = objectName('Contact');
const [key, text, title] = [remotePath('Email'), remotePath('Department'), remotePath('Title')];
/** Everything that changes the org, and nothing that logs in. */
const writes = '^(POST|PATCH|PUT|DELETE) .*(sobjects|composite)';

function harness(config: Readonly<Record<string, unknown>>): () => Promise<Harness> {
  return async () => {
    const bench = await openOrg({ config });
    const { org, spoke } = bench;
    org.rules.validations.put({
      id: 'no-jesters',
      object,
      rejects: (row) => row['Title'] === 'Jester',
      message: 'No jesters here.',
      field: 'Title',
    });
    const live = () => org.records(object).filter((row) => row['IsDeleted'] !== true);
    const arm = (kind: 'throttle' | 'lost-response' | 'refuse' | 'html') =>
      org.faults.put({ id: 'suite', route: writes, kind, times: 1 });
    const faults: Partial<Record<FaultName, () => void>> = {
      throttle: () => arm('throttle'),
      loseAnswer: () => arm('lost-response'),
      loseRequest: () => arm('refuse'),
      garble: () => arm('html'),
      lockRow: () => org.rules.locks.put({ id: 'suite', object, probability: 1, times: 1 }),
    };
    return {
      spoke,
      object,
      fields: { paths: [key, text, title, remotePath('LastName')], children: {} },
      key,
      text,
      sample: (n) => ({
        Email: `person${n}@example.com`,
        Department: `department ${n}`,
        Title: `Title ${n}`,
        LastName: `Person ${n}`,
      }),
      invalid: { fields: { Title: 'Jester' }, path: title },
      missing: externalId('003Hs000000zzzzIAA'),
      person: {
        create: async (fields) => externalId((await org.edit({ op: 'create', object, fields })).id),
        createAtOnce: (list) => {
          const at = new Date(org.org.stampMs()).toISOString();
          const rows = list.map((fields) => ({ ...fields, CreatedDate: at, LastModifiedDate: at }));
          return Promise.resolve(org.load(object, rows).map((id) => externalId(id)));
        },
        edit: async (id, fields) => void (await org.edit({ op: 'update', object, id, fields })),
        remove: async (id) => void (await org.edit({ op: 'delete', object, id })),
        read: (id: ExternalId, path) => Promise.resolve(live().find((row) => row['Id'] === id)?.[path]),
        count: () => Promise.resolve(live().length),
      },
      fault: (name) => faults[name]?.(),
      close: () => bench.close(),
    };
  };
}

const traits: Traits = {
  conditionalWrite: true,
  idempotentCreate: true,
  deleteFeed: true,
  undelete: true,
  stream: true,
  recycleBin: true,
  hubKey: true,
  uniqueKey: false,
  many: 2_100,
  pagesMin: 2,
  faults: ['throttle', 'loseAnswer', 'loseRequest', 'garble', 'lockRow'],
  children: null,
};

conformance('salesforce by query', traits, harness({ bulkScanFrom: 1_000_000 }));
conformance('salesforce by bulk jobs', traits, harness({ bulkScanFrom: 0 }));
