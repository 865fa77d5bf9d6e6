// Owns one running org with everything behind its routes. Handlers reach state only through here.
import type { Clock } from '../../base/clock.js';
import type { CallCounter } from '../stats.js';
import type { Faults } from '../faults.js';
import type { Auth, AuthOptions } from './auth.js';
import type { Ingest } from './bulk-ingest.js';
import type { BulkQuery } from './bulk-query.js';
import type { ChangeEvents } from './change-events.js';
import type { CometD } from './cometd.js';
import type { Cursors } from './cursors.js';
import type { Limits } from './limits.js';
import type { Org, OrgOptions } from './org.js';
import type { Router } from './router.js';

export interface SalesforceOptions {
  /** 0 (default) = any free port. Always on 127.0.0.1. */
  readonly port?: number | undefined;
  /** Seeds whatever the simulator draws by itself. */
  readonly seed?: number | undefined;
  readonly clock?: Clock | undefined;
  readonly org?: OrgOptions | undefined;
  readonly auth?: AuthOptions | undefined;
  readonly dailyApiRequests?: number | undefined;
  /** Records a query page, default 2,000. */
  readonly pageRows?: number | undefined;
  /** How long a bulk operation takes from upload to completion, default 0 ms. */
  readonly bulkMs?: number | undefined;
  /** Rows a bulk query page when the client names none, default 50,000. */
  readonly bulkPageRows?: number | undefined;
  /** API versions below answer 410 Gone, default 31. */
  readonly oldestVersion?: number | undefined;
  /** How long a CometD connect is held open, default 110 s. */
  readonly cometdTimeoutMs?: number | undefined;
  /** Called for each request: `PATCH /sobjects/Contact/:id 204 3 ms`. */
  readonly log?: ((line: string) => void) | undefined;
}

export interface App {
  readonly options: SalesforceOptions;
  readonly clock: Clock;
  readonly closing: AbortSignal;
  readonly org: Org;
  readonly auth: Auth;
  readonly limits: Limits;
  readonly cursors: Cursors;
  readonly router: Router;
  readonly faults: Faults;
  readonly calls: CallCounter;
  readonly events: ChangeEvents;
  readonly cometd: CometD;
  readonly ingests: Map<string, Ingest>;
  readonly bulkQueries: Map<string, BulkQuery>;
}
