// Owns a spoke that applies everything at once and remembers nothing: what is left is our own cost.
import type { Capabilities, Spoke, Write, WriteResult } from '../src/connectors/connector.js';
import { externalId, version } from '../src/model/ids.js';
import type { RemoteRecord } from '../src/model/record.js';

const refuse = (): never => {
  throw new Error('the null spoke only takes writes');
};

async function* nothing(): AsyncGenerator<never> {
  // An empty listing.
}

export function nullSpoke(
  writeBatch: number,
  answer: (writes: readonly Write[]) => Promise<void> = () => Promise.resolve(),
): Spoke {
  let stamp = 0;
  const capabilities: Capabilities = {
    conditionalWrite: false,
    idempotentCreate: true,
    bulkScan: false,
    bulkWriteFrom: null,
    stream: false,
    webhooks: false,
    deleteFeed: false,
    undelete: false,
    writeBatch,
    fetchBatch: writeBatch,
    findBatch: writeBatch,
    lanes: 1,
  };
  const applied = (write: Write): WriteResult => {
    const id = write.op === 'create' ? externalId(`n${write.hubId}`) : write.externalId;
    const at = version(`2026-07-01T00:00:00.${String((stamp += 1)).padStart(9, '0')}Z`);
    const record: RemoteRecord | null =
      'fields' in write
        ? {
            object: write.object,
            externalId: id,
            version: at,
            deleted: false,
            hubKey: write.hubId,
            modifiedBySelf: true,
            mergedInto: null,
            fields: write.fields,
            children: {},
          }
        : null;
    return { outcome: 'applied', externalId: id, version: at, record };
  };
  return {
    capabilities,
    identity: () => Promise.resolve({ id: 'null', label: 'null', user: null }),
    describe: refuse,
    now: refuse,
    scan: nothing,
    changes: nothing,
    fetch: () => Promise.resolve([]),
    find: (_object, keys) => Promise.resolve(keys.map(() => [])),
    inventory: nothing,
    async write(writes) {
      await answer(writes);
      return writes.map(applied);
    },
    close: () => Promise.resolve(),
  };
}
