// Owns the files of a demo: its project (kept as the user left it), its environment (written at every start), and what the simulators held
// when the last demo ended. Says whether a new one goes on from there or starts over. Deletes only what a demo made.
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Clock } from '../../base/clock.js';
import { ConfigError } from '../../base/errors.js';
import type { OrgSnapshot } from '../../simulators/salesforce/snapshot.js';
import type { ShopSnapshot } from '../../simulators/shopify/snapshot.js';
import { openEmbedded } from '../../store/embedded.js';
import { initialise } from '../init.js';

/** Everything that the two remote systems know; without it the hub's links point nowhere. */
export interface Kept {
  readonly runs: number;
  readonly salesforce: OrgSnapshot;
  readonly shopify: ShopSnapshot;
}

export type Beginning =
  | { readonly kind: 'fresh' }
  | { readonly kind: 'resumed'; readonly kept: Kept }
  /** The last demo ended without saving: its hub was thrown away. */
  | { readonly kind: 'over' };

const projectFile = `# The project of \`truespoke demo\`. Both systems are simulators on this machine; .env beside it holds the addresses of this run.
hub:
  dataDir: .

spokes:
  salesforce:
    connector: salesforce
    loginUrl: \${SALESFORCE_LOGIN_URL}
    auth:
      clientCredentials:
        clientId: \${SALESFORCE_CLIENT_ID}
        clientSecret: \${SALESFORCE_CLIENT_SECRET}
    overlapMinutes: 1

  shopify:
    connector: shopify
    shop: \${SHOPIFY_SHOP}
    apiUrl: \${SHOPIFY_API_URL}
    accessToken: \${SHOPIFY_ACCESS_TOKEN}
    webhookSecrets:
      - \${SHOPIFY_WEBHOOK_SECRET}
    lagSeconds: 1
    overlapSeconds: 10

server:
  host: 127.0.0.1
  port: \${TRUESPOKE_PORT}
  publicUrl: \${TRUESPOKE_URL}

schedule:
  poll: 5
  reconcile: false
`;

const markFile = 'demo.json';
const keptFile = 'simulators.json';
const ours = ['postgres', 'hub.json', 'postgres.log', 'engine.log', '.env', keptFile, markFile];

interface Mark {
  /** Of the demo that uses the folder; null = it ended in order. */
  readonly pid: number | null;
  readonly runs: number;
}

export class DemoFolder {
  readonly path: string;

  constructor(
    path: string,
    private readonly clock: Clock,
  ) {
    this.path = resolve(path);
  }

  /** Takes the folder for this process. Refuses a folder that another demo uses. */
  async enter(): Promise<Beginning> {
    await makeFolder(this.path);
    const mark = await this.read<Mark>(markFile);
    if (mark !== null && mark.pid !== null && mark.pid !== process.pid && alive(mark.pid)) {
      throw new ConfigError({
        code: 'demo_runs_already',
        message: `${this.path}: a demo (process ${mark.pid}) runs here already`,
        hint: 'End it with Ctrl-C, or name another folder: truespoke demo <folder>',
      });
    }
    const kept = mark?.pid === null ? await this.read<Kept>(keptFile) : null;
    if (mark !== null && kept === null) await this.clear();
    await this.writeProject();
    await this.mark({ pid: process.pid, runs: kept?.runs ?? 0 });
    if (kept !== null) return { kind: 'resumed', kept };
    return { kind: mark === null ? 'fresh' : 'over' };
  }

  /** Written at every start: addresses and ports differ from run to run. */
  async writeEnvironment(variables: Readonly<Record<string, string>>): Promise<void> {
    const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`);
    await writeFile(join(this.path, '.env'), lines.join(''), { mode: 0o600 });
  }

  /** The last act of a demo whose two systems and hub agree: the next one goes on from here. */
  async leave(kept: Kept): Promise<void> {
    await this.write(keptFile, kept);
    await this.mark({ pid: null, runs: kept.runs });
  }

  /** Gives the folder back as it was found: nothing was changed since. */
  async giveBack(beginning: Beginning): Promise<void> {
    if (beginning.kind === 'resumed') await this.mark({ pid: null, runs: beginning.kept.runs });
    else await this.abandon();
  }

  /** Gives the folder back with nothing to go on from: the next demo starts over. */
  async abandon(): Promise<void> {
    await rm(join(this.path, keptFile), { force: true });
    await this.mark({ pid: null, runs: 0 });
  }

  private async writeProject(): Promise<void> {
    const file = join(this.path, 'truespoke.yaml');
    await writeFile(file, projectFile, { flag: 'wx' }).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    });
    await initialise(this.path);
  }

  private async clear(): Promise<void> {
    // A server that the killed demo left behind is joined and, being left by its last user, stops.
    for (let round = 0; round < 20 && (await this.serverRuns()); round += 1) {
      const hub = await openEmbedded({ directory: this.path, clock: this.clock });
      await hub.close();
      if (await this.serverRuns()) await this.clock.sleep(250);
    }
    for (const name of ours) await rm(join(this.path, name), { recursive: true, force: true });
  }

  private async serverRuns(): Promise<boolean> {
    const text = await readFile(join(this.path, 'postgres', 'postmaster.pid'), 'utf8').catch(() => null);
    const pid = Number(text?.split('\n')[0] ?? Number.NaN);
    return Number.isInteger(pid) && pid > 0 && alive(pid);
  }

  private mark(mark: Mark): Promise<void> {
    return this.write(markFile, mark);
  }

  /** In place of the old file at once, or not at all. */
  private async write(name: string, value: unknown): Promise<void> {
    const draft = join(this.path, `${name}.new`);
    await writeFile(draft, JSON.stringify(value), { mode: 0o600 });
    await rename(draft, join(this.path, name));
  }

  /** null: no such file, or not what we wrote. */
  private async read<T>(name: string): Promise<T | null> {
    try {
      return JSON.parse(await readFile(join(this.path, name), 'utf8')) as T;
    } catch {
      // A file that cannot be read means the same as none: the demo starts over.
      return null;
    }
  }
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (cause) {
    throw new ConfigError({
      code: 'cannot_write',
      message: `${path} cannot be made (${(cause as NodeJS.ErrnoException).code ?? String(cause)})`,
      hint: 'Name a folder that this user may write: truespoke demo <folder>',
      cause,
    });
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
