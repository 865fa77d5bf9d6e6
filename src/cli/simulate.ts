// Owns `truespoke simulate`: a loopback twin of a remote system, with faults, until Ctrl-C. Shows how to point a spoke at it.
// Its credentials are made up and worth nothing anywhere else, so they may be printed.
import { Argument, InvalidArgumentError, type Command } from 'commander';
import { ConfigError, type ExitCode } from '../base/errors.js';
import type { FaultRule, Faults } from '../simulators/faults.js';
import { examples, print, type Common, type Frame } from './command.js';
import { parseFault } from './fault-spec.js';
import type { Io } from './io.js';

const systems = ['salesforce', 'shopify'] as const;
type System = (typeof systems)[number];

export interface SimulateOptions extends Common {
  readonly port?: number;
  readonly seed: number;
  readonly faults: readonly string[];
  readonly sample?: boolean;
}

interface Simulated {
  readonly url: string;
  readonly faults: Faults;
  /** The spoke's section of truespoke.yaml, secrets as references. */
  readonly section: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

export async function execute(system: System, options: SimulateOptions, io: Io): Promise<ExitCode> {
  const rules = options.faults.map((text, index) => parseFault(text, index, options.seed));
  const running = await start(system, options, io).catch((cause: unknown) => {
    throw startFailure(cause, options.port ?? 0);
  });
  try {
    running.faults.put(...rules);
    announce(system, running, rules, options, io);
    await new Promise<void>((resolve) => {
      if (io.signal.aborted) resolve();
      else io.signal.addEventListener('abort', () => resolve(), { once: true });
    });
  } finally {
    await running.close();
  }
  return 0;
}

function announce(
  system: System,
  running: Simulated,
  rules: readonly FaultRule[],
  options: SimulateOptions,
  io: Io,
): void {
  const { url, section, environment } = running;
  const control = `${url}/__control/`;
  print(io, options, { system, url, control, environment, faults: rules }, (paint) =>
    [
      `${paint.green('●')} ${paint.bold(system)} simulator on ${paint.bold(url)}   control: ${control}`,
      ...rules.map((rule) =>
        paint.yellow(`  fault ${rule.kind} on ${rule.route}, probability ${rule.probability ?? 1}`),
      ),
      '',
      paint.dim('# truespoke.yaml'),
      ...section,
      '',
      paint.dim('# .env'),
      ...Object.entries(environment).map(([name, value]) => `${name}=${value}`),
      '',
      paint.dim('Ctrl-C ends it.'),
    ].join('\n'),
  );
}

async function start(system: System, options: SimulateOptions, io: Io): Promise<Simulated> {
  const port = options.port ?? 0;
  if (system === 'salesforce') {
    const { startSalesforce } = await import('../simulators/salesforce/server.js');
    const log = options.verbose === true ? { log: (line: string) => io.err.write(`${line}\n`) } : {};
    const running = await startSalesforce({ port, seed: options.seed, ...log });
    if (options.sample === true) {
      const { sampleOrg } = await import('../simulators/salesforce/sample.js');
      for (const [object, rows] of Object.entries(sampleOrg)) running.load(object, rows);
    }
    return {
      url: running.url,
      faults: running.faults,
      section: [
        'spokes:',
        '  salesforce:',
        '    connector: salesforce',
        `    loginUrl: ${running.url}`,
        '    auth: { clientCredentials: { clientId: "${SALESFORCE_CLIENT_ID}", clientSecret: "${SALESFORCE_CLIENT_SECRET}" } }',
      ],
      environment: {
        SALESFORCE_CLIENT_ID: running.credentials.clientId,
        SALESFORCE_CLIENT_SECRET: running.credentials.clientSecret,
      },
      close: () => running.close(),
    };
  }
  const { startShopify } = await import('../simulators/shopify/server.js');
  const running = await startShopify({ port, seed: options.seed });
  if (options.sample === true) {
    const { sampleShop } = await import('../simulators/shopify/sample.js');
    for (const [object, rows] of Object.entries(sampleShop)) running.load(object, rows);
  }
  return {
    url: running.url,
    faults: running.faults,
    section: [
      'spokes:',
      '  shopify:',
      '    connector: shopify',
      `    shop: ${running.domain}`,
      `    apiUrl: ${running.url}`,
      '    accessToken: ${SHOPIFY_ACCESS_TOKEN}',
      '    webhookSecrets: ["${SHOPIFY_WEBHOOK_SECRET}"]',
    ],
    environment: {
      SHOPIFY_ACCESS_TOKEN: running.accessToken,
      SHOPIFY_WEBHOOK_SECRET: running.webhookSecrets[0] ?? '',
    },
    close: () => running.close(),
  };
}

function startFailure(cause: unknown, port: number): unknown {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  if (code !== 'EADDRINUSE' && code !== 'EACCES') return cause;
  const message = code === 'EADDRINUSE' ? `port ${port} is already in use` : `this user may not listen on port ${port}`;
  const hint = 'Choose another --port, or leave it out for a free one.';
  return new ConfigError({ code: 'port_in_use', message, hint, cause });
}

function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
  };
}

export function register(program: Command, frame: Frame): void {
  program
    .command('simulate')
    .description('run a simulator of a remote system on this machine')
    .addArgument(new Argument('<system>', 'which one').choices(systems))
    .option('-p, --port <port>', 'the port; a free one if left out', whole(0, 65_535))
    .option('--sample', 'begin with a handful of records, as the starter mappings want')
    .option('--seed <number>', 'the same seed, the same faults', whole(0, 4_294_967_295), 1)
    .option('--faults <fault...>', 'each as kind[=value][@probability][:route]', [])
    .addHelpText(
      'after',
      examples([
        ['truespoke simulate shopify --port 9100', 'a shop on a fixed port'],
        ['truespoke simulate salesforce --faults status=503@0.1', 'every tenth call answers 503'],
        ['truespoke simulate shopify --faults lost-response@0.05:POST', 'some writes apply, and the answer is lost'],
      ]),
    )
    .action(async (system: System, _options: unknown, command: Command) => {
      frame.code = await execute(system, command.optsWithGlobals<SimulateOptions>(), frame.io);
    });
}
