// Owns a hub, both simulated systems and a project folder, and runs the built program against them as a process of its own: something
// that can be killed. `npm run build` must have been run.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.js';
import type { LedgerEntry } from '../../src/simulators/ledger.js';
import type { SalesforceOptions } from '../../src/simulators/salesforce/app.js';
import { startSalesforce, type SalesforceSimulator } from '../../src/simulators/salesforce/server.js';
import { startShopify, type ShopifyOptions, type ShopifySimulator } from '../../src/simulators/shopify/server.js';
import { freePort } from '../../src/store/postgres-process.js';
import { testDatabase, type TestDatabase } from './postgres.js';
import { root } from './source-tree.js';

export const built = existsSync(join(root, 'dist', 'cli', 'main.js'));

/** Contacts and customers, the same person by e-mail address. */
const customer = `entity: customer
fields:
  email: { type: text, match: case-insensitive }
  first_name: text
  last_name: text
spokes:
  salesforce:
    object: Contact
    fields: { email: Email, first_name: FirstName, last_name: LastName }
    delete: archive
  shopify:
    object: Customer
    fields: { email: email, first_name: firstName, last_name: lastName }
    delete: unlink
`;

const credentials = 'clientCredentials: { clientId: "${SALESFORCE_ID}", clientSecret: "${SALESFORCE_SECRET}" }';

const project = (options: ProcessRigOptions): string => `hub: { url: "\${HUB_URL}" }
spokes:
  salesforce:
    connector: salesforce
    loginUrl: \${SALESFORCE_URL}
    auth: { ${options.salesforceAuth ?? credentials} }
    lagSeconds: 0
${options.salesforce ?? ''}
  shopify:
    connector: shopify
    shop: \${SHOPIFY_SHOP}
    apiUrl: \${SHOPIFY_URL}
    accessToken: \${SHOPIFY_TOKEN}
    webhookSecrets: ["\${SHOPIFY_SECRET}"]
    lagSeconds: 1
schedule: { poll: 1, reconcile: ${options.reconcile ?? 'false'}, catalogue: 5 }
log: { level: debug }
`;

export interface ProcessRigOptions {
  /** The mapping of `customer`; contacts and customers by e-mail address when left out. */
  readonly mapping?: string;
  /** More keys of the spoke, one a line, indented by four. */
  readonly salesforce?: string;
  readonly salesforceAuth?: string;
  readonly salesforceOptions?: SalesforceOptions;
  readonly shopifyOptions?: ShopifyOptions;
  /** A cron line, quoted. */
  readonly reconcile?: string;
  /** Superuser URL of a cluster of its own, for drills that stop the server. */
  readonly cluster?: string;
  readonly env?: NodeJS.ProcessEnv;
}

export interface EngineProcess {
  readonly child: ChildProcess;
  /** Resolves with the signal or the code that ended it. */
  readonly ended: Promise<NodeJS.Signals | number | null>;
  log(): string;
}

export interface ProcessRig {
  readonly db: TestDatabase;
  readonly salesforce: SalesforceSimulator;
  readonly shopify: ShopifySimulator;
  readonly url: string;
  sql(text: string, values?: readonly unknown[]): Promise<Record<string, string | null>[]>;
  /** Where the project is, for another command of the program. */
  readonly folder: string;
  /** Environment of every process that is started from now on. */
  readonly env: NodeJS.ProcessEnv;
  /** `crash`: the instant at which it dies by its own hand, as TRUESPOKE_CRASH says. Resolves when it has announced itself, or died. */
  start(crash?: string): Promise<EngineProcess>;
  /** One more engine on the same hub, as another machine would run it: no server, and it may be stopped. */
  startBeside(crash?: string): Promise<EngineProcess>;
  /** SIGKILL, and waits until it is gone. */
  kill(process: EngineProcess): Promise<void>;
  /** Starts with a crash point and waits for the death there; fails when it lives on. */
  dieAt(crash: string): Promise<void>;
  until<T>(check: () => Promise<T | null | undefined | false> | T | null | undefined | false, ms?: number): Promise<T>;
  /** Nothing on its way: all captured, no delivery, no hint, both backfills done. */
  settled(): Promise<void>;
  /** Ledger entries of our own writes after `seq`. */
  writes(simulator: 'salesforce' | 'shopify', object: string, after?: number): readonly LedgerEntry[];
  end(): Promise<void>;
}

/** A process on a machine with twenty others was seen to take 36 s for its two of computing. */
const startMsMax = 120_000;

export async function openProcessRig(options: ProcessRigOptions = {}): Promise<ProcessRig> {
  const [db, salesforce, shopify, port, folder] = await Promise.all([
    testDatabase(options.cluster === undefined ? {} : { cluster: options.cluster }),
    startSalesforce({ dailyApiRequests: 10_000_000, ...options.salesforceOptions }),
    startShopify({
      webhookRetryMs: [500, 500, 500, 1_000, 1_000, 2_000, 2_000, 4_000, 4_000, 4_000, 4_000, 4_000],
      webhookFailuresMax: 100,
      ...options.shopifyOptions,
    }),
    freePort(),
    mkdtemp(join(tmpdir(), 'truespoke-drill-')),
  ]);
  const url = `http://127.0.0.1:${port}`;
  await mkdir(join(folder, 'mappings'));
  await writeFile(join(folder, 'mappings', 'customer.yaml'), options.mapping ?? customer);
  await writeFile(
    join(folder, 'truespoke.yaml'),
    `${project(options)}server: { port: ${port}, publicUrl: "${url}" }\n`,
  );
  const env: NodeJS.ProcessEnv = {
    PATH: process.env['PATH'],
    HUB_URL: db.url,
    SALESFORCE_URL: salesforce.url,
    SALESFORCE_ID: salesforce.credentials.clientId,
    SALESFORCE_SECRET: salesforce.credentials.clientSecret,
    SALESFORCE_REFRESH: salesforce.auth.credentials.refreshToken,
    SHOPIFY_URL: shopify.url,
    SHOPIFY_SHOP: shopify.domain,
    SHOPIFY_TOKEN: shopify.accessToken,
    SHOPIFY_SECRET: shopify.webhookSecrets[0],
    ...options.env,
  };
  const scans = ['salesforce', 'shopify'].filter((name) => (options.mapping ?? customer).includes(`  ${name}:`)).length;
  const alive = new Set<EngineProcess>();
  const started = async (crash: string | undefined, flags: readonly string[]): Promise<EngineProcess> => {
    const one = launch(folder, crash === undefined ? env : { ...env, TRUESPOKE_CRASH: crash }, flags);
    alive.add(one);
    let ended = false;
    void one.ended.then(() => {
      ended = true;
      alive.delete(one);
    });
    await rig.until(() => ended || one.announced(), startMsMax);
    if (ended && crash === undefined) throw new Error(`the engine ended: ${one.log().slice(-2_000)}`);
    return one;
  };
  const rig: ProcessRig = {
    db,
    salesforce,
    shopify,
    url,
    async sql(text, values) {
      return (await db.pool.query<Record<string, string | null>>(text, (values ?? []) as unknown[])).rows;
    },
    folder,
    env,
    start: (crash) => started(crash, []),
    startBeside: (crash) => started(crash, ['--no-server']),
    async kill(started) {
      started.child.kill('SIGKILL');
      await started.ended;
    },
    async dieAt(crash) {
      const started = await rig.start(crash);
      const late = systemClock.sleep(startMsMax).then(() => 'lives on');
      const how = await Promise.race([started.ended, late]);
      if (how !== 'SIGKILL') throw new Error(`${crash}: ${String(how)}\n${started.log().slice(-3_000)}`);
    },
    async until(check, ms = 45_000) {
      const end = performance.now() + ms;
      let last: unknown;
      for (;;) {
        try {
          const value = await check();
          if (value !== null && value !== undefined && value !== false) return value;
          last = value;
        } catch (error) {
          last = error;
        }
        if (performance.now() > end) {
          const logs = [...alive].map((one) => `\n${one.log().slice(-3_000)}`).join('\n');
          throw new Error(`not so within ${ms} ms; last: ${String(last)}${logs}`);
        }
        await systemClock.sleep(20);
      }
    },
    async settled() {
      const [mark] = await rig.sql(`select pg_logical_emit_message(true, 'drill', 'settled')::text as lsn`);
      let quiet = 0;
      await rig.until(async () => {
        const [row] = await rig.sql(
          `select (select count(*) from truespoke.position where durable_lsn > $1::pg_lsn)::text as captured,
                  (select count(*) from truespoke.delivery where state <> 'held')::text as deliveries,
                  (select count(*) from truespoke.inbox where done_at is null)::text as hints,
                  (select count(*) from truespoke.cursor where kind = 'scan' and finished_at is not null)::text as scans`,
          [mark?.['lsn']],
        );
        const idle = JSON.stringify(row) === `{"captured":"1","deliveries":"0","hints":"0","scans":"${scans}"}`;
        quiet = idle ? quiet + 1 : 0;
        if (quiet < 5) throw new Error(JSON.stringify(row));
        return true;
      });
    },
    writes(simulator, object, after = 0) {
      const all = (simulator === 'salesforce' ? salesforce : shopify).ledger.entries({ object, after });
      return all.filter(({ requestId }) => requestId !== null);
    },
    async end() {
      for (const one of [...alive]) await rig.kill(one);
      await Promise.all([salesforce.close(), shopify.close()]);
      await db.drop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return rig;
}

function launch(
  folder: string,
  env: NodeJS.ProcessEnv,
  flags: readonly string[],
): EngineProcess & { announced(): boolean } {
  const child = spawn(process.execPath, [join(root, 'bin', 'truespoke.js'), 'run', '--json', ...flags], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const text = { out: '', log: '' };
  child.stdout.on('data', (chunk: Buffer) => (text.out += chunk.toString('utf8')));
  child.stderr.on('data', (chunk: Buffer) => (text.log += chunk.toString('utf8')));
  const ended = new Promise<NodeJS.Signals | number | null>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? code));
  });
  return { child, ended, log: () => text.log + text.out, announced: () => text.out.includes('"running"') };
}
