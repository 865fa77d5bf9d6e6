// Owns what a connector's own test file must bring so that the shared suite can run over it.
import { systemClock, type Clock } from '../../src/base/clock.js';
import type { Http } from '../../src/base/http.js';
import { silentLog } from '../../src/base/log.js';
import { seeded } from '../../src/base/random.js';
import type { ConnectorDeps, ConnectorState, Fields, Page, Spoke } from '../../src/connectors/connector.js';
import { unlimited } from '../../src/connectors/limiter-plain.js';
import {
  hubId,
  spokeName,
  type Cursor,
  type ExternalId,
  type HubId,
  type ObjectName,
  type RemotePath,
} from '../../src/model/ids.js';
import type { RemoteFields, RemoteRecord } from '../../src/model/record.js';

/** What the connector claims, known before anything runs. The suite checks the claim against `capabilities` as well. */
export interface Traits {
  readonly conditionalWrite: boolean;
  readonly idempotentCreate: boolean;
  /** Of this object: a create whose hub id a record there carries changes that record. Where a remote offers nothing better. */
  readonly upserts?: boolean;
  readonly deleteFeed: boolean;
  readonly undelete: boolean;
  readonly stream: boolean;
  /** A deleted record can still be fetched, marked as deleted. */
  readonly recycleBin: boolean;
  /** `find` by hub id works. */
  readonly hubKey: boolean;
  /** No two live records share the value of `key`. */
  readonly uniqueKey: boolean;
  /** Records in "many" tests: enough for several pages with the harness' page size. */
  readonly many: number;
  readonly pagesMin: number;
  /** Faults that the remote can be asked for. */
  readonly faults: readonly FaultName[];
  readonly children: ChildTraits | null;
}

export interface ChildTraits {
  readonly name: string;
  /** A path of the child that may be changed. */
  readonly path: RemotePath;
  sample(n: number): RemoteFields;
  /** Values that `path` takes on update. */
  changed(n: number): RemoteFields;
}

/** For the next write call. */
export type FaultName =
  | 'throttle' // "come back later", no effect
  | 'loseAnswer' // effect, no answer
  | 'loseRequest' // no effect, no answer
  | 'garble' // effect, an answer that is no answer (HTML)
  | 'reorder' // results in another order
  | 'dropResults' // effect on all, results for some
  | 'lockRow'; // some records answer "try again"

export interface Harness {
  readonly spoke: Spoke;
  readonly object: ObjectName;
  readonly fields: Fields;
  /** A text path by which records are found; differs between samples. */
  readonly key: RemotePath;
  /** A free text path that may be edited and cleared. */
  readonly text: RemotePath;
  /** A valid new record that the remote stores as given; another one for each n. */
  sample(n: number): RemoteFields;
  /** Fields that the remote refuses, whoever sends them, and the path it names. */
  readonly invalid: { readonly fields: RemoteFields; readonly path: RemotePath };
  /** A well-formed id that no record has. */
  readonly missing: ExternalId;
  readonly person: Person;
  fault(name: FaultName): void | Promise<void>;
  close(): Promise<void>;
}

/** Somebody who works in the remote system with other tools than ours. */
export interface Person {
  create(fields: RemoteFields): Promise<ExternalId>;
  /** All with one and the same stamp. */
  createAtOnce(list: readonly RemoteFields[]): Promise<readonly ExternalId[]>;
  edit(id: ExternalId, fields: RemoteFields): Promise<void>;
  remove(id: ExternalId): Promise<void>;
  /** The value as the remote holds it; undefined when the record is not live. */
  read(id: ExternalId, path: RemotePath): Promise<unknown>;
  /** Live records, from the remote's own books. */
  count(): Promise<number>;
}

export type MakeHarness = () => Promise<Harness>;

export const interactive = { lane: 'interactive' } as const;
export const hub = (n: number): HubId => hubId(`01890000-0000-7000-8000-${String(n).padStart(12, '0')}`);

/** A connector's memory that lasts as long as the test. */
export function memoryState(): ConnectorState {
  const values = new Map<string, string>();
  const turns = new Map<string, Promise<unknown>>();
  return {
    get: (key) => Promise.resolve(values.get(key) ?? null),
    put: (key, value) => {
      if (value === null) values.delete(key);
      else values.set(key, value);
      return Promise.resolve();
    },
    exclusive: (key, body) => {
      const mine = (turns.get(key) ?? Promise.resolve()).then(body);
      turns.set(
        key,
        mine.catch(() => undefined),
      );
      return mine;
    },
  };
}

export function testDeps(more: Partial<ConnectorDeps> & Pick<ConnectorDeps, 'http'>): ConnectorDeps {
  return {
    spoke: spokeName('remote'),
    clock: systemClock,
    random: seeded(7),
    signal: new AbortController().signal,
    log: silentLog,
    limiter: unlimited,
    state: memoryState(),
    ...more,
  };
}

export async function collect<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const page of pages) all.push(page);
  return all;
}

export const idsOf = (pages: readonly Page[]): string[] =>
  pages.flatMap((page) => page.records.map((record) => record.externalId));

/** Polls from `after` until `enough` of everything seen, within a deadline. Returns what was seen and the last cursor. */
export async function pollUntil(
  { spoke, object, fields }: Harness,
  after: Cursor,
  enough: (seen: readonly RemoteRecord[]) => boolean,
): Promise<{ readonly seen: readonly RemoteRecord[]; readonly cursor: Cursor; readonly pages: readonly Page[] }> {
  const giveUpMs = performance.now() + 10_000;
  const pages: Page[] = [];
  let cursor = after;
  for (;;) {
    for await (const page of spoke.changes(object, fields, cursor, interactive)) {
      pages.push(page);
      cursor = page.cursor;
    }
    const seen = pages.flatMap((page) => page.records);
    if (enough(seen)) return { seen, cursor, pages };
    if (performance.now() > giveUpMs) throw new Error(`after 10 s of polling only ${seen.length} records were seen`);
    await systemClock.sleep(20);
  }
}

/** Asks again until the answer is as wanted, within a deadline: for remotes whose search lags behind their writes. */
export async function eventually<T>(ask: () => Promise<T>, wanted: (answer: T) => boolean): Promise<T> {
  const giveUpMs = performance.now() + 10_000;
  for (;;) {
    const answer = await ask();
    if (wanted(answer) || performance.now() > giveUpMs) return answer;
    await systemClock.sleep(20);
  }
}

/** A clock on which `factor` seconds pass in one: a remote that lags by a second costs a test a tenth of it. */
export function fastClock(factor: number): Clock {
  const startMs = systemClock.now();
  const zero = systemClock.monotonic();
  const monotonic = (): number => (systemClock.monotonic() - zero) * factor;
  return { monotonic, now: () => startMs + monotonic(), sleep: (ms, signal) => systemClock.sleep(ms / factor, signal) };
}

/** Responses carry the Date of `clock`, as those of a remote that lives on it would. */
export function dated(http: Http, clock: Clock): Http {
  return {
    async request(request) {
      const response = await http.request(request);
      return { ...response, headers: { ...response.headers, date: new Date(clock.now()).toUTCString() } };
    },
  };
}
