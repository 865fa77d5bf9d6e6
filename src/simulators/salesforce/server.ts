// Owns the start and the end of a simulated org: puts the parts together and listens, on loopback only.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock } from '../../base/clock.js';
import type { Controlled, Edit, EditResult } from '../control.js';
import { Faults } from '../faults.js';
import type { Ledger } from '../ledger.js';
import { CallCounter, type CallStats } from '../stats.js';
import { actionsOf } from './actions.js';
import type { App, SalesforceOptions } from './app.js';
import { Auth, type Credentials } from './auth.js';
import { ingestRoutes } from './bulk-ingest.js';
import { bulkQueryRoutes } from './bulk-query.js';
import { ChangeEvents } from './change-events.js';
import { collectionRoutes } from './collection-routes.js';
import { CometD } from './cometd.js';
import { compositeRoutes } from './composite-routes.js';
import { Cursors } from './cursors.js';
import { handle } from './door.js';
import { Limits } from './limits.js';
import { Org } from './org.js';
import { queryRoutes } from './query-routes.js';
import { Router } from './router.js';
import type { Rules } from './rules.js';
import { restore, snapshotOf, type OrgSnapshot } from './snapshot.js';
import { sobjectRoutes } from './sobject-routes.js';
import { versionRoutes } from './version-routes.js';
import type { Row } from './words.js';

export interface SalesforceSimulator {
  /** `http://127.0.0.1:port`: login and instance URL. */
  readonly url: string;
  readonly port: number;
  readonly credentials: Credentials;
  readonly ledger: Ledger;
  readonly faults: Faults;
  /** Validation rules, triggers, duplicate rules, locks, late commits, stale reads. */
  readonly rules: Rules;
  readonly org: Org;
  readonly auth: Auth;
  /** Change events: gaps, expiry, silence. */
  readonly events: ChangeEvents;
  load(object: string, rows: readonly Readonly<Record<string, unknown>>[]): readonly string[];
  edit(edit: Edit): Promise<EditResult>;
  /** The loser goes to the bin with MasterRecordId; its children move. */
  merge(object: string, masterId: string, loserId: string, actor?: string): Promise<void>;
  /** Removes a record for good, past the recycle bin. */
  purge(object: string, id: string, actor?: string): Promise<void>;
  /** All stored rows, those in the recycle bin too. */
  records(object: string): readonly Row[];
  /** One stored row by id, or undefined. */
  record(object: string, id: string): Row | undefined;
  /** All records with their ids and stamps, to be restored into a fresh simulator of the same org. */
  snapshot(): OrgSnapshot;
  restore(snapshot: OrgSnapshot): void;
  stats(): CallStats;
  setLimit(change: { readonly max?: number; readonly spent?: number }): void;
  close(): Promise<void>;
}

const headerBytesMax = 64 * 1024;

/** Starts a simulated org. Rejects when the port is taken. */
export async function startSalesforce(options: SalesforceOptions = {}): Promise<SalesforceSimulator> {
  const closing = new AbortController();
  const clock = options.clock ?? systemClock;
  const org = new Org(clock, closing.signal, options.org ?? {});
  const box: { url: string } = { url: '' };
  const auth = new Auth(org, clock, () => box.url, options.auth ?? {});
  const events = new ChangeEvents(org);
  const app: App = {
    options,
    clock,
    closing: closing.signal,
    org,
    auth,
    events,
    cometd: new CometD(events, auth, clock, options.cometdTimeoutMs ?? 110_000),
    limits: new Limits(clock, options.dailyApiRequests ?? 100_000),
    cursors: new Cursors(),
    router: new Router(
      (name) => org.catalogue.object(name)?.name ?? name,
      [
        ...versionRoutes,
        ...sobjectRoutes,
        ...queryRoutes,
        ...compositeRoutes,
        ...collectionRoutes,
        ...ingestRoutes,
        ...bulkQueryRoutes,
      ],
    ),
    faults: new Faults(),
    calls: new CallCounter(clock),
    ingests: new Map(),
    bulkQueries: new Map(),
  };
  const controlled = controlledBy(app);
  const server = createServer({ maxHeaderSize: headerBytesMax, keepAliveTimeout: 30_000 }, (request, response) => {
    void handle(app, controlled, request, response);
  });
  const port = await listen(server, options.port ?? 0);
  box.url = `http://127.0.0.1:${String(port)}`;
  return {
    url: box.url,
    port,
    credentials: app.auth.credentials,
    ledger: org.ledger,
    faults: app.faults,
    rules: org.rules,
    org,
    auth: app.auth,
    events,
    load: controlled.load,
    edit: (edit) => org.edit(edit),
    merge: (object, masterId, loserId, actor) => org.merge(object, masterId, [loserId], actor),
    purge: (object, id, actor) => org.purge(object, id, actor),
    records: (object) => [...org.store.table(org.object(object).name).all()],
    record: (object, id) => org.store.table(org.object(object).name).get(id),
    snapshot: () => snapshotOf(org),
    restore: (snapshot) => restore(org, snapshot),
    stats: () => app.calls.read(),
    setLimit: (change) => app.limits.set(change),
    close: () => {
      app.cometd.close();
      return shut(server, closing);
    },
  };
}

function controlledBy(app: App): Controlled {
  const { org, faults, calls } = app;
  return {
    name: 'salesforce',
    ledger: org.ledger,
    faults,
    calls,
    load: (object, rows) => org.load(object, rows),
    edit: (edit) => org.edit(edit),
    records: (object) => [...org.store.table(org.object(object).name).all()],
    actions: actionsOf(app),
  };
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

function shut(server: Server, closing: AbortController): Promise<void> {
  closing.abort();
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
