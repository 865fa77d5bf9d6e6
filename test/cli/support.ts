// Owns running one command line without a process: a fake Io that remembers what was written.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.js';
import type { Io } from '../../src/cli/io.js';
import { run } from '../../src/cli/program.js';
import type { SalesforceSimulator } from '../../src/simulators/salesforce/server.js';
import type { ShopifySimulator } from '../../src/simulators/shopify/server.js';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface FakeIo {
  readonly io: Io;
  readonly out: () => string;
  readonly err: () => string;
}

export function fakeIo(
  options: Partial<Pick<Io, 'cwd' | 'env' | 'signal' | 'clock'>> & { readonly terminal?: boolean } = {},
): FakeIo {
  const written = { out: '', err: '' };
  const output = (name: 'out' | 'err'): Io['out'] => ({
    write: (text) => void (written[name] += text),
    terminal: options.terminal ?? false,
    columns: 100,
  });
  const io: Io = {
    out: output('out'),
    err: output('err'),
    env: options.env ?? {},
    cwd: options.cwd ?? '/',
    clock: options.clock ?? systemClock,
    signal: options.signal ?? new AbortController().signal,
  };
  return { io, out: () => written.out, err: () => written.err };
}

export async function truespoke(args: readonly string[], options: Parameters<typeof fakeIo>[0] = {}): Promise<Ran> {
  const fake = fakeIo(options);
  const code = await run(args, fake.io);
  return { code, out: fake.out(), err: fake.err() };
}

export async function withFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'truespoke-cli-'));
  try {
    return await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const widget = `entity: widget
fields:
  code: { type: text, match: exact }
  label: { type: text }
spokes:
  store: { object: Widget, fields: { code: code, label: label } }
`;

/** A project of one entity and one spoke of the memory connector, with its hub at `hubUrl`. */
export function withProject<T>(
  hubUrl: string,
  body: (cwd: string, env: Record<string, string>) => Promise<T>,
  mapping = widget,
): Promise<T> {
  return withFolder(async (cwd) => {
    const objects = 'objects: { Widget: { fields: { code: {}, label: {} } } }';
    await writeFile(
      join(cwd, 'truespoke.yaml'),
      `hub: { url: "\${HUB_URL}" }\nspokes:\n  store: { connector: memory, ${objects} }\nserver: { port: 0 }\n`,
    );
    await mkdir(join(cwd, 'mappings'));
    await writeFile(join(cwd, 'mappings', 'widget.yaml'), mapping);
    return body(cwd, { HUB_URL: hubUrl });
  });
}

export interface SimulatedSystems {
  readonly hubUrl: string;
  readonly salesforce: SalesforceSimulator;
  readonly shopify: ShopifySimulator;
}

/** The starter project, pointed at the simulators; its server on a free port. `pollSeconds`: that of the starter when left out. */
export function withStarter<T>(
  { hubUrl, salesforce, shopify }: SimulatedSystems,
  body: (cwd: string, env: Record<string, string>) => Promise<T>,
  pollSeconds?: number,
): Promise<T> {
  return withFolder(async (cwd) => {
    await truespoke(['init'], { cwd });
    const file = join(cwd, 'truespoke.yaml');
    const schedule = pollSeconds === undefined ? '' : `\nschedule: { poll: ${pollSeconds} }`;
    const text = (await readFile(file, 'utf8'))
      .replace('# hub:\n#   url: ${HUB_URL}', `hub:\n  url: \${HUB_URL}${schedule}`)
      .replace('port: 7420', 'port: 0')
      .replace('    accessToken:', '    apiUrl: ${SHOPIFY_URL}\n    accessToken:');
    await writeFile(file, text);
    return body(cwd, {
      HUB_URL: hubUrl,
      SALESFORCE_LOGIN_URL: salesforce.url,
      SALESFORCE_CLIENT_ID: salesforce.credentials.clientId,
      SALESFORCE_CLIENT_SECRET: salesforce.credentials.clientSecret,
      SHOPIFY_URL: shopify.url,
      SHOPIFY_SHOP: shopify.domain,
      SHOPIFY_ACCESS_TOKEN: shopify.accessToken,
      SHOPIFY_WEBHOOK_SECRET: shopify.webhookSecrets[0] ?? '',
    });
  });
}
