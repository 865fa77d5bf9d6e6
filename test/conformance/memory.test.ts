// The contract over the memory connector, as a strong remote (counter versions) and as a weak one (clock versions, few capabilities).
import { systemClock } from '../../src/base/clock.js';
import { seeded } from '../../src/base/random.js';
import { openMemory } from '../../src/connectors/memory/index.js';
import type { Fault } from '../../src/connectors/memory/faults.js';
import type { MemoryConfigInput } from '../../src/connectors/memory/config.js';
import { MemoryRemote } from '../../src/connectors/memory/remote.js';
import { externalId, objectName, remotePath } from '../../src/model/ids.js';
import type { Http } from '../../src/base/http.js';
import { testDeps, type FaultName, type Harness, type Traits } from './harness.js';
import { conformance } from './suite.js';

const noHttp: Http = { request: () => Promise.reject(new Error('the memory connector makes no HTTP calls')) };
const faults: Readonly<Record<FaultName, Fault>> = {
  throttle: 'throttled',
  loseAnswer: 'lostApplied',
  loseRequest: 'lostUnapplied',
  garble: 'lostApplied',
  reorder: 'reordered',
  dropResults: 'fewer',
  lockRow: 'lockSome',
};

const objects: NonNullable<MemoryConfigInput['objects']> = {
  Thing: {
    fields: {
      code: { required: true, maxLength: 80 },
      note: { normalise: ['trim'] },
      size: { type: 'number' },
      colour: { values: ['red', 'green'] },
    },
    unique: [['code']],
    children: { parts: { label: {}, count: { type: 'number' } } },
  },
};

function harness(config: MemoryConfigInput): () => Promise<Harness> {
  return () => {
    const remote = new MemoryRemote({ pageRows: 7, objects, ...config }, { clock: systemClock, random: seeded(11) });
    const object = objectName('Thing');
    const [key, text, size] = [remotePath('code'), remotePath('note'), remotePath('size')];
    const create: Harness['person']['create'] = (fields) => Promise.resolve(externalId(remote.create(object, fields)));
    const spoke = openMemory(remote, testDeps({ http: noHttp }));
    return Promise.resolve({
      spoke,
      object,
      fields: {
        paths: [key, text, size, remotePath('colour')],
        children: { parts: [remotePath('label'), remotePath('count')] },
      },
      key,
      text,
      sample: (n) => ({ code: `thing-${n}`, note: `note ${n}`, size: n, colour: n % 2 === 0 ? 'red' : 'green' }),
      invalid: { fields: { colour: 'plaid' }, path: remotePath('colour') },
      missing: externalId('thi-99999999'),
      person: {
        create,
        createAtOnce: (list) =>
          Promise.resolve(remote.together(() => list.map((fields) => externalId(remote.create(object, fields))))),
        edit: (id, fields) => Promise.resolve(remote.edit(object, id, fields)),
        remove: (id) => Promise.resolve(remote.remove(object, id)),
        read: (id, path) => {
          const row = remote.get(object, id);
          return Promise.resolve(row === undefined || row.deleted ? undefined : row.fields[path]);
        },
        count: () => Promise.resolve(remote.list(object).length),
      },
      fault: (name) => remote.faults.next(faults[name]),
      close: () => spoke.close(),
    });
  };
}

const strong: Traits = {
  conditionalWrite: true,
  idempotentCreate: true,
  deleteFeed: true,
  undelete: true,
  stream: true,
  recycleBin: true,
  hubKey: true,
  uniqueKey: true,
  many: 30,
  pagesMin: 3,
  faults: ['throttle', 'loseAnswer', 'loseRequest', 'garble', 'reorder', 'dropResults', 'lockRow'],
  children: {
    name: 'parts',
    path: remotePath('label'),
    sample: (n) => ({ label: `part ${n}`, count: n }),
    changed: (n) => ({ label: `part ${n} changed` }),
  },
};

conformance('memory, strong', strong, harness({}));

const capabilities = {
  conditionalWrite: false,
  idempotentCreate: false,
  deleteFeed: false,
  undelete: false,
  stream: false,
  returnsRecord: false,
  tellsAuthor: false,
};
conformance(
  'memory, weak',
  { ...strong, conditionalWrite: false, idempotentCreate: false, deleteFeed: false, undelete: false, stream: false },
  harness({ capabilities, versions: 'clock', versionStepMs: 10, overlapMs: 500 }),
);

conformance(
  'memory, blind',
  {
    ...strong,
    conditionalWrite: false,
    idempotentCreate: false,
    hubKey: false,
    recycleBin: false,
    deleteFeed: false,
    undelete: false,
  },
  harness({
    versions: 'none',
    capabilities: { conditionalWrite: false, idempotentCreate: false, deleteFeed: false, undelete: false },
    objects: { Thing: { ...(objects['Thing'] ?? { fields: {} }), hubKey: false, recycleBin: false } },
  }),
);
