// Owns everything that runs in a demo: the embedded hub, both simulators, the engine as a child. Opens it in order, ends it in order
// within two seconds, whatever state it is in. Ending saves what the simulators hold, so that the next demo goes on.
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.js';
import { TruespokeError, Unreachable } from '../../base/errors.js';
import { startSalesforce, type SalesforceSimulator } from '../../simulators/salesforce/server.js';
import { startShopify, type ShopifySimulator } from '../../simulators/shopify/server.js';
import { openEmbedded, type EmbeddedHub } from '../../store/embedded.js';
import { isConnectionLoss, openPool, type Pool } from '../../store/pool.js';
import type { Io } from '../io.js';
import { EngineProcess } from './engine-process.js';
import { DemoFolder, type Beginning } from './folder.js';
import { plant, seedOf } from './seed.js';
import { readSuperstore } from './superstore.js';

/** A shop on Shopify Plus restores ten times what a standard one does; a demo should not wait for points. */
const plusThrottle = { max: 20_000, restorePerSecond: 2_000 };

export interface World {
  readonly folder: string;
  readonly beginning: Beginning['kind'];
  /** Demos in this folder before this one. */
  readonly runs: number;
  readonly hub: EmbeddedHub;
  /** What an application would use: its own connections to the hub. */
  readonly pool: Pool;
  readonly salesforce: SalesforceSimulator;
  readonly shopify: ShopifySimulator;
  readonly engine: EngineProcess;
  /** Of the engine's server. */
  readonly url: string;
  readonly clock: Clock;
  /** `sound`: the two systems and the hub belong together, the next demo may go on. Safe to call twice. */
  close(sound: boolean): Promise<void>;
}

/** Rejects when something cannot start; then nothing is left running. */
export async function openWorld(path: string, io: Io): Promise<World> {
  const { clock } = io;
  const folder = new DemoFolder(path, clock);
  const beginning = await folder.enter();
  const undo: (() => Promise<void>)[] = [];
  const box: { engine: EngineProcess | null } = { engine: null };
  const lastResort = (): void => {
    box.engine?.killNow();
    stopServerNow(folder.path);
  };
  process.once('exit', lastResort);
  try {
    const opening = openEmbedded({ directory: folder.path, clock, signal: io.signal });
    // Whoever waits for it hears of a failure; until then it must not end the process.
    opening.catch(() => undefined);
    undo.push(() => opening.then((hub) => hub.close()).catch(() => undefined));
    const [salesforce, shopify] = await startSimulators(beginning, io);
    undo.push(
      () => salesforce.close(),
      () => shopify.close(),
    );
    const hub = await opening;
    io.signal.throwIfAborted();
    const pool = openPool({ url: hub.url, applicationName: 'demo application', max: 6 });
    undo.push(() => pool.end());
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    await folder.writeEnvironment(environmentOf(salesforce, shopify, port));
    const engine = new EngineProcess(folder.path, io);
    box.engine = engine;
    const runs = beginning.kind === 'resumed' ? beginning.kept.runs : 0;
    let closed: Promise<void> | null = null;
    const close = async (sound: boolean): Promise<void> => {
      // First the engine: what it writes after the picture was taken would be lost on one side only.
      await engine.stop();
      const keep = sound
        ? folder.leave({ runs: runs + 1, salesforce: salesforce.snapshot(), shopify: shopify.snapshot() })
        : folder.abandon();
      const parts = [keep, pool.end().then(() => hub.close()), salesforce.close(), shopify.close()];
      const failed = (await Promise.allSettled(parts)).find((part) => part.status === 'rejected');
      process.off('exit', lastResort);
      if (failed !== undefined) throw failed.reason;
    };
    return {
      folder: folder.path,
      beginning: beginning.kind,
      runs,
      ...{ hub, pool, salesforce, shopify, engine, url, clock },
      close: (sound) => (closed ??= close(sound)),
    };
  } catch (error) {
    await Promise.allSettled(undo.reverse().map((act) => act()));
    await folder.giveBack(beginning).catch(() => undefined);
    process.off('exit', lastResort);
    throw error;
  }
}

/** A hub that went away has a name and a next step; any other error stays what it is. */
export function asHubLost(error: unknown, folder: string): unknown {
  if (error instanceof TruespokeError || !isConnectionLoss(error)) return error;
  return new Unreachable({
    code: 'demo_hub_lost',
    message: `the embedded hub in ${folder} went away (${error instanceof Error ? error.message : String(error)})`,
    hint: `Read ${join(folder, 'postgres.log')}; the next \`truespoke demo\` recovers it or starts over.`,
    cause: error,
  });
}

/** The process ends before it could end things in order, as when it is stopped while Postgres starts: a fast shutdown, without waiting for it. */
function stopServerNow(folder: string): void {
  try {
    const [pid = ''] = readFileSync(join(folder, 'postgres', 'postmaster.pid'), 'utf8').split('\n');
    if (/^\d+$/.test(pid)) process.kill(Number(pid), 'SIGINT');
  } catch {
    // No such file or no such process: nothing runs, which is what was wanted.
  }
}

async function startSimulators(
  beginning: Beginning,
  { clock, signal }: Io,
): Promise<readonly [SalesforceSimulator, ShopifySimulator]> {
  const salesforce = await startSalesforce({ clock, org: { name: 'Superstore' }, dailyApiRequests: 1_000_000 });
  const shopify = await startShopify({ clock, shopName: 'Superstore', throttle: plusThrottle });
  if (beginning.kind === 'resumed') {
    salesforce.restore(beginning.kept.salesforce);
    shopify.restore(beginning.kept.shopify);
  } else await plant(seedOf(await readSuperstore()), salesforce, shopify, signal);
  return [salesforce, shopify];
}

function environmentOf(
  salesforce: SalesforceSimulator,
  shopify: ShopifySimulator,
  port: number,
): Readonly<Record<string, string>> {
  return {
    SALESFORCE_LOGIN_URL: salesforce.url,
    SALESFORCE_CLIENT_ID: salesforce.credentials.clientId,
    SALESFORCE_CLIENT_SECRET: salesforce.credentials.clientSecret,
    SHOPIFY_SHOP: shopify.domain,
    SHOPIFY_API_URL: shopify.url,
    SHOPIFY_ACCESS_TOKEN: shopify.accessToken,
    SHOPIFY_WEBHOOK_SECRET: shopify.webhookSecrets[0] ?? '',
    TRUESPOKE_PORT: String(port),
    TRUESPOKE_URL: `http://127.0.0.1:${port}`,
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
