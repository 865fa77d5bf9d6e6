// One small world for drills: a person with a name and a size, at two in-process spokes, and what to ask of it.
import { systemClock } from '../../src/base/clock.js';
import type { Http } from '../../src/base/http.js';
import { silentLog } from '../../src/base/log.js';
import { seeded, systemIds } from '../../src/base/random.js';
import { memoryConnector } from '../../src/connectors/memory/index.js';
import { parseMemoryConfig, type MemoryConfigInput } from '../../src/connectors/memory/config.js';
import type { LedgerEntry } from '../../src/connectors/memory/remote.js';
import type { Row } from '../../src/connectors/memory/table.js';
import { reconcileNow, type Reconciliation } from '../../src/engine/reconcile.js';
import { parseMapping } from '../../src/mapping/load.js';
import { remotePath, spokeName } from '../../src/model/ids.js';
import type { RemoteValue } from '../../src/model/record.js';
import { openWheel, type Wheel, type WheelOptions } from './wheel.js';

export type Policy = 'propagate' | 'archive' | 'unlink' | 'ignore';

export const personYaml = (left: Policy = 'propagate', right: Policy = 'propagate', table = ''): string => `
entity: person
${table}
fields:
  email: { type: text, match: case-insensitive }
  name: text
  size: { type: decimal, scale: 2 }
spokes:
  left:
    object: Contact
    fields: { email: Email, name: Name, size: Size }
    delete: ${left}
  right:
    object: Client
    fields: { email: mail, name: label, size: weight }
    delete: ${right}
`;

/** Both remotes, each with `more` on top: capabilities, versions, page size. */
export const peopleSpokes = (
  more: Partial<MemoryConfigInput> = {},
  right: Partial<MemoryConfigInput> = {},
): Record<string, MemoryConfigInput> => ({
  left: { id: 'L', objects: { Contact: { fields: { Email: {}, Name: {}, Size: { type: 'number' } } } }, ...more },
  right: { id: 'R', objects: { Client: { fields: { mail: {}, label: {}, weight: { type: 'number' } } } }, ...right },
});

export interface People extends Wheel {
  /** Inserts or updates rows by e-mail address, in one transaction; the value of both is the name. */
  put(rows: Readonly<Record<string, string>>): Promise<void>;
  /** Who is in the hub: e-mail address to name. */
  hub(): Promise<Record<string, string | null>>;
  left(): Record<string, RemoteValue>;
  right(): Record<string, RemoteValue>;
  row(side: 'left' | 'right', email: string): Row;
  /** A person edits the name at a spoke. */
  rename(side: 'left' | 'right', email: string, name: string): void;
  join(side: 'left' | 'right', email: string, name: string): string;
  /** Our own writes there, after the first `after` entries. */
  writes(side: 'left' | 'right', after?: number): readonly LedgerEntry[];
  /** Compares a spoke with the hub once; what differs is repaired by the running engine. */
  reconcile(side: 'left' | 'right'): Promise<Reconciliation>;
  /** Hub and both spokes hold exactly this. */
  agree(expected: Readonly<Record<string, string>>, ms?: number): Promise<void>;
}

const names = {
  left: { object: 'Contact', email: 'Email', name: 'Name' },
  right: { object: 'Client', email: 'mail', name: 'label' },
} as const;

export async function openPeople(options: Partial<WheelOptions> = {}): Promise<People> {
  const given: WheelOptions = { spokes: peopleSpokes(), mappings: [personYaml()], ...options };
  const wheel = await openWheel(given);
  const shown = (side: 'left' | 'right'): Record<string, RemoteValue> => {
    const { object, email, name } = names[side];
    const rows = wheel.remote(side).list(object);
    return Object.fromEntries(
      rows.map(({ fields }) => [String(fields[remotePath(email)]), fields[remotePath(name)] ?? null]),
    );
  };
  const people: Omit<People, keyof Wheel> = {
    async put(rows) {
      await wheel.sql(
        `with given as (select * from json_each_text($1::json)),
              known as (update hub.person p set name = g.value from given g where p.email = g.key returning p.email)
         insert into hub.person (email, name) select g.key, g.value from given g
          where not exists (select 1 from hub.person p where p.email = g.key)`,
        [JSON.stringify(rows)],
      );
    },
    async hub() {
      const rows = await wheel.sql('select email, name from hub.person order by email');
      return Object.fromEntries(rows.map((row) => [row['email'] ?? '', row['name'] ?? null]));
    },
    left: () => shown('left'),
    right: () => shown('right'),
    row(side, email) {
      const { object, email: path } = names[side];
      const found = wheel
        .remote(side)
        .list(object)
        .find(({ fields }) => fields[remotePath(path)] === email);
      if (found === undefined) throw new Error(`no ${email} at ${side}`);
      return found;
    },
    rename(side, email, name) {
      wheel.remote(side).edit(names[side].object, people.row(side, email).id, { [names[side].name]: name });
    },
    join(side, email, name) {
      return wheel.remote(side).create(names[side].object, { [names[side].email]: email, [names[side].name]: name });
    },
    writes(side, after = 0) {
      return wheel
        .remote(side)
        .ledger.slice(after)
        .filter(({ by }) => by === 'self');
    },
    async reconcile(side) {
      const texts = given.mappings.map((text, i) => ({ file: `mapping-${i}.yaml`, text }));
      const { mapping } = parseMapping(texts, { spokes: ['left', 'right'] });
      const connector = memoryConnector(wheel.remote(side));
      const config = parseMemoryConfig({}, () => ({}));
      const http: Http = { request: () => Promise.reject(new Error('no HTTP in this test')) };
      const { signal } = new AbortController();
      const ports = {
        clock: systemClock,
        random: seeded(1),
        ids: systemIds(systemClock),
        log: silentLog,
        http,
        signal,
      };
      return reconcileNow(
        { ...ports, pool: wheel.db.pool, mapping },
        {
          name: spokeName(side),
          connector: { name: 'memory', open: (deps) => connector.open(config, deps) },
          concurrency: null,
          spacingMs: 0,
          quotaReserve: 0,
        },
      );
    },
    async agree(expected, ms = 20_000) {
      const sorted = (all: Readonly<Record<string, unknown>>): string =>
        JSON.stringify(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
      await wheel.until(async () => {
        const all = [await people.hub(), people.left(), people.right()].map(sorted);
        if (all.some((one) => one !== sorted(expected))) throw new Error(all.join('\n'));
        return true;
      }, ms);
      await wheel.settled(ms);
    },
  };
  return Object.defineProperties(people, Object.getOwnPropertyDescriptors(wheel)) as People;
}
