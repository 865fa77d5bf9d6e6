// Notes what goes over the wire, for the judge of it and for whoever reads the trace of a failing seed. Changes nothing.
import type { Spoke } from '../../src/connectors/connector.js';
import type { RemoteRecord } from '../../src/model/record.js';
import type { Wire } from './wire.js';
import type { SpokeId } from './world.js';

export interface Ears {
  readonly wire: Wire;
  readonly note: (line: string) => void;
  /** These records were fetched by id. */
  readonly read: (ids: readonly string[]) => void;
  /** Changes were asked for. */
  readonly polled: () => void;
  /** All changes of this object were given. */
  readonly readUp: (object: string) => void;
  /** Records were looked for by these values. */
  readonly looked: (values: readonly string[]) => void;
}

export function watched(name: SpokeId, spoke: Spoke, { wire, note, read, polled, readUp, looked }: Ears): Spoke {
  return {
    ...spoke,
    async write(writes, options) {
      note(`  ${name} write ${JSON.stringify(writes)}`);
      wire.writing(name, writes);
      const results = await spoke.write(writes, options).catch((error: unknown) => {
        wire.failed(name, writes, error);
        throw error;
      });
      wire.answered(name, writes, results);
      note(`  ${name} wrote ${JSON.stringify(results)}`);
      return results;
    },
    async fetch(object, ids, fields, options) {
      read(ids);
      const records = await spoke.fetch(object, ids, fields, options);
      wire.fetched(name, object, ids);
      note(`  ${name} fetched ${ids.join(',')}: ${JSON.stringify(records.map(brief))}`);
      return records;
    },
    async find(object, keys, fields, options) {
      looked(keys.flatMap((key) => (key.by === 'values' ? Object.values(key.values).map(String) : [])));
      const found = await spoke.find(object, keys, fields, options);
      wire.found(name, object, keys);
      note(`  ${name} found ${JSON.stringify(keys)}: ${JSON.stringify(found.map((records) => records.map(brief)))}`);
      return found;
    },
    async *changes(object, fields, after, options) {
      polled();
      for await (const page of spoke.changes(object, fields, after, options)) {
        if (page.records.length > 0) note(`  ${name} changes ${JSON.stringify(page.records.map(brief))}`);
        if (page.last) readUp(object);
        yield page;
      }
    },
  };
}

const brief = (record: RemoteRecord): unknown => [
  record.externalId,
  record.version,
  record.deleted ? 'deleted' : record.fields,
  record.children,
];
