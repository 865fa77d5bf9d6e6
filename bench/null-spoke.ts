// Owns a spoke that applies everything at once and remembers nothing: what is left is our own cost. What a row needs besides (a
// listing, a remote to call, webhooks) is given to it.
import type {
  Capabilities,
  Fields,
  Page,
  RemoteSchema,
  Spoke,
  Write,
  WriteResult,
} from '../src/connectors/connector.js';
import { cursor, externalId, version, type ExternalId, type ObjectName } from '../src/model/ids.js';
import type { RemoteRecord } from '../src/model/record.js';

export interface NullSpokeOptions {
  readonly writeBatch: number;
  readonly lanes?: number;
  /** Takes conditional writes: small batches need no look before them. */
  readonly conditionalWrite?: boolean;
  /** Called with each batch of writes before they count as applied; false = the remote asks to wait. */
  readonly answer?: (writes: readonly Write[]) => Promise<boolean>;
  /** The whole listing. */
  readonly pages?: () => Iterable<readonly RemoteRecord[]>;
  readonly fetch?: (ids: readonly ExternalId[]) => Promise<readonly RemoteRecord[]>;
  readonly fields?: Fields;
  readonly webhooks?: Spoke['webhooks'];
}

const lastPage = (records: readonly RemoteRecord[], last: boolean): Page => ({
  records,
  cursor: cursor('0'),
  last,
  total: null,
});

async function* nothing(): AsyncGenerator<never> {
  // An empty listing.
}

export function nullSpoke(options: NullSpokeOptions): Spoke {
  const { writeBatch, answer = () => Promise.resolve(true) } = options;
  let stamp = 0;
  const capabilities: Capabilities = {
    conditionalWrite: options.conditionalWrite ?? false,
    idempotentCreate: true,
    bulkScan: false,
    bulkWriteFrom: null,
    stream: false,
    webhooks: options.webhooks !== undefined,
    deleteFeed: false,
    undelete: false,
    writeBatch,
    fetchBatch: writeBatch,
    findBatch: writeBatch,
    lanes: options.lanes ?? 1,
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
    describe: (objects) => Promise.resolve(describe(objects, options.fields)),
    now: () => Promise.resolve(cursor('0')),
    async *scan() {
      for (const records of options.pages?.() ?? []) yield await Promise.resolve(lastPage(records, false));
      yield lastPage([], true);
    },
    changes: nothing,
    fetch: (_object, ids) => options.fetch?.(ids) ?? Promise.resolve([]),
    find: (_object, keys) => Promise.resolve(keys.map(() => [])),
    inventory: nothing,
    async write(writes) {
      const taken = await answer(writes);
      return writes.map((write) => (taken ? applied(write) : { outcome: 'throttled', retryAfterMs: 50 }));
    },
    ...(options.webhooks === undefined ? {} : { webhooks: options.webhooks }),
    close: () => Promise.resolve(),
  };
}

function describe(objects: readonly ObjectName[], fields: Fields | undefined): RemoteSchema {
  const described = (fields?.paths ?? []).map((path) => ({
    path,
    type: 'text' as const,
    nullable: true,
    createable: true,
    updateable: true,
  }));
  return {
    objects: objects.map((name) => ({
      name,
      fields: described,
      children: {},
      createable: true,
      updateable: true,
      deletable: true,
    })),
    missing: [],
    apiVersion: '1',
  };
}
