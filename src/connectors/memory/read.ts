// Owns the reads of the memory connector: scan, fetch, find, inventory; joins them with changes, describe and stream.
// Promises: reads see one moment per call, as far behind the present as the remote's faults say.
import { assert } from '../../base/assert.js';
import { cursor, externalId, remotePath, type Cursor, type ObjectName } from '../../model/ids.js';
import type { CallOptions, FindKey, InventoryPage, Page, Spoke } from '../connector.js';
import { changes, cursorNow, Recent } from './changes.js';
import { mustKnow, type MemoryClient, type Reading } from './client.js';
import { describe } from './describe.js';
import { listen } from './stream.js';
import { byId, smallest, type Row } from './table.js';
import { sameInSearch } from './values.js';

type Reads = Pick<Spoke, 'describe' | 'now' | 'scan' | 'changes' | 'fetch' | 'find' | 'inventory'> & {
  readonly listen: NonNullable<Spoke['listen']>;
};

export function memoryReads(client: MemoryClient): Reads {
  const { remote, deps } = client;
  const { config } = remote;
  const recent = new Recent(deps.random.next().toString(36).slice(2));

  return {
    describe: (objects) => client.read('describe', { lane: 'interactive' }, () => describe(client, objects)),
    now: (object) =>
      client.read('now', { lane: 'interactive' }, () => {
        mustKnow(client, object);
        return cursorNow(client, object);
      }),
    scan: (object, fields, after, options) => scan(client, { object, fields, after, options }),
    changes: (object, fields, after, options) => changes(client, recent, { object, fields, after, options }),
    fetch: (object, ids, fields, options) => {
      assert(
        ids.length <= config.capabilities.fetchBatch,
        `fetch of ${ids.length} records, at most ${config.capabilities.fetchBatch}`,
      );
      return client.read('fetch', options, () => {
        mustKnow(client, object);
        const view = remote.view(object, remote.faults.staleReadMs);
        const rows = [...new Set(ids)].map((id) => view.get(id)).filter((row) => row !== undefined);
        return rows.map((row) => client.toRecord(object, row, fields));
      });
    },
    find: (object, keys, fields, options) => {
      assert(
        keys.length <= config.capabilities.findBatch,
        `find of ${keys.length} keys, at most ${config.capabilities.findBatch}`,
      );
      return client.read('find', options, () =>
        find(client, object, keys).map((rows) => rows.map((row) => client.toRecord(object, row, fields))),
      );
    },
    inventory: (object, options) => inventory(client, object, options),
    listen: (objects, signal) => listen(client, objects, signal),
  };
}

async function* scan(
  client: MemoryClient,
  { object, fields, after, options }: Reading & { readonly after: Cursor | null },
): AsyncGenerator<Page> {
  const { remote } = client;
  let id = after === null ? '' : String(after).replace(/^scan:/, '');
  for (;;) {
    const page = await client.read('scan', options, () => {
      mustKnow(client, object);
      const live = [...remote.view(object, remote.faults.indexLagMs).rows()].filter((row) => !row.deleted);
      const rest = live.filter((row) => row.id > id);
      return {
        rows: smallest(rest, remote.config.pageRows, byId),
        total: live.length,
        more: rest.length > remote.config.pageRows,
      };
    });
    id = page.rows.at(-1)?.id ?? id;
    const records = page.rows.map((row) => client.toRecord(object, row, fields));
    yield { records, cursor: cursor(`scan:${id}`), last: !page.more, total: page.total };
    if (!page.more) return;
  }
}

function find(client: MemoryClient, object: string, keys: readonly FindKey[]): Row[][] {
  mustKnow(client, object);
  const { remote } = client;
  const spec = remote.spec(object);
  const found = keys.map((): Row[] => []);
  for (const row of remote.view(object, remote.faults.indexLagMs).rows()) {
    if (row.deleted) continue;
    keys.forEach((key, index) => {
      const matches =
        key.by === 'hubId'
          ? row.hubKey === key.hubId
          : Object.entries(key.values).every(([path, value]) =>
              sameInSearch(spec?.fields[path], row.fields[remotePath(path)] ?? null, value),
            );
      if (matches) found[index]?.push(row);
    });
  }
  return found.map((rows) => rows.sort(byId));
}

async function* inventory(
  client: MemoryClient,
  object: ObjectName,
  options: CallOptions,
): AsyncGenerator<InventoryPage> {
  const { remote } = client;
  let after = '';
  for (;;) {
    const page = await client.read('inventory', options, () => {
      mustKnow(client, object);
      const fault = remote.faults.draw('listing');
      if (fault === 'emptyListing') return { rows: [], more: false, cut: false };
      const rest = [...remote.view(object, remote.faults.indexLagMs).rows()].filter(
        (row) => !row.deleted && row.id > after,
      );
      const cut = fault === 'cutListing';
      const rows = smallest(rest, cut ? Math.floor(rest.length / 2) : remote.config.pageRows * 10, byId);
      return { rows, more: rest.length > rows.length, cut };
    });
    after = page.rows.at(-1)?.id ?? after;
    yield {
      entries: page.rows.map((row) => ({ externalId: externalId(row.id), version: client.toVersion(row.stamp) })),
      last: !page.more,
    };
    if (!page.more || page.cut) return;
  }
}
