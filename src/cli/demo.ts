// Owns `truespoke demo`: two simulated systems, an embedded hub and an engine, the first reading of everything, and a tour whose every claim is checked.
// Exit code 0 only when all of them held.
import { join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import type { ExitCode } from '../base/errors.js';
import { examples, type Common, type Frame } from './command.js';
import type { Found } from './demo/backfill.js';
import type { Screen } from './demo/screen.js';
import type { StepResult } from './demo/tour.js';
import type { World } from './demo/world.js';
import type { Io } from './io.js';
import { countText, secondsText } from './render.js';

export interface DemoOptions extends Common {
  /** End after the tour. */
  readonly exit?: boolean;
}

export interface DemoSummary extends Found {
  readonly ok: boolean;
  readonly beginning: World['beginning'];
  readonly steps: readonly StepResult[];
  readonly backfillSeconds: number;
  readonly seconds: number;
}

export const demoFolder = join('.truespoke', 'demo');

export async function execute(folder: string, options: DemoOptions, io: Io): Promise<ExitCode> {
  const [{ openWorld }, { Screen }] = await Promise.all([import('./demo/world.js'), import('./demo/screen.js')]);
  const screen = new Screen(io, options.json === true);
  const started = io.clock.monotonic();
  screen.line(`${screen.strong('truespoke demo')}  Salesforce and Shopify kept true through a Postgres hub`);
  let sound = false;
  let world: World | null = null;
  try {
    world = await openWorld(resolve(io.cwd, folder), io);
    sound = world.beginning === 'resumed';
    const backfillSeconds = await begin(world, screen, started, io);
    sound = true;
    const steps = await tour(world, screen, io);
    const summary = await summarise(world, { steps, backfillSeconds, started }, io);
    showSummary(summary, screen);
    if (options.exit !== true) await goOn(world, summary, screen, options, io);
    else if (options.json === true) io.out.write(`${JSON.stringify(summary)}\n`);
    return summary.ok ? 0 : 1;
  } catch (error) {
    if (io.signal.aborted) return 1;
    throw (await import('./demo/world.js')).asHubLost(error, resolve(io.cwd, folder));
  } finally {
    await world?.close(sound);
  }
}

/** Starts the engine; resolves when everything is read, linked and written. */
async function begin(world: World, screen: Screen, started: number, io: Io): Promise<number> {
  const { beginning, hub, salesforce, shopify } = world;
  const at = relative(io.cwd, world.folder) || '.';
  const began = {
    fresh: 'new',
    resumed: `goes on from demo ${world.runs}`,
    over: 'the last demo was cut off, so it starts over',
  }[beginning];
  screen.detail('hub', `Postgres ${hub.version}, embedded in ${at} (${began})`);
  const held = (objects: Readonly<Record<string, readonly unknown[]>>): string =>
    Object.entries(objects)
      .map(([name, records]) => `${countText(records.length)} ${name}`)
      .join(', ');
  const crm = { contacts: salesforce.records('Contact'), products: salesforce.records('Product2') };
  screen.detail('Salesforce', `${salesforce.url}  ${held({ ...crm, orders: salesforce.records('Order') })}`);
  const shop = { customers: shopify.records('Customer'), products: shopify.records('Product') };
  screen.detail('Shopify', `${shopify.url}  ${held({ ...shop, orders: shopify.records('Order') })}`);
  await world.engine.start();
  screen.detail(
    'engine',
    `process ${String(world.engine.pid)}, ready after ${secondsText((io.clock.monotonic() - started) / 1000)}`,
  );
  screen.heading(
    beginning === 'resumed'
      ? 'Going on: what was read before is known'
      : 'Reading both systems, linking what belongs together, writing what is missing',
  );
  const { watchBackfill, countFound } = await import('./demo/backfill.js');
  const seconds = await watchBackfill(world, screen.progressIo(io));
  const found = await countFound(world);
  screen.detail(
    'hub',
    `${countText(found.records)} records, ${countText(found.links)} links, ${countText(found.conflicts)} conflicts decided, ${found.reviews} duplicates for a person to look at, in ${secondsText(seconds)}`,
  );
  return seconds;
}

async function tour(world: World, screen: Screen, io: Io): Promise<readonly StepResult[]> {
  const [{ Tour, runStep }, { steps }] = await Promise.all([import('./demo/tour.js'), import('./demo/steps.js')]);
  screen.heading('The tour');
  const results: StepResult[] = [];
  for (const [at, step] of steps.entries()) {
    io.signal.throwIfAborted();
    const letter = String.fromCharCode('a'.charCodeAt(0) + at);
    results.push(await runStep(step, letter, new Tour(world, screen, world.runs, io.signal)));
  }
  return results;
}

async function summarise(
  world: World,
  done: { readonly steps: readonly StepResult[]; readonly backfillSeconds: number; readonly started: number },
  io: Io,
): Promise<DemoSummary> {
  const { countFound } = await import('./demo/backfill.js');
  const tenths = (seconds: number): number => Math.round(seconds * 10) / 10;
  return {
    ok: done.steps.every(({ ok }) => ok),
    beginning: world.beginning,
    steps: done.steps,
    ...(await countFound(world)),
    backfillSeconds: tenths(done.backfillSeconds),
    seconds: tenths((io.clock.monotonic() - done.started) / 1000),
  };
}

function showSummary(summary: DemoSummary, screen: Screen): void {
  const held = summary.steps.filter(({ ok }) => ok).length;
  screen.heading(`${held} of ${summary.steps.length} steps held, ${secondsText(summary.seconds)} in all`);
}

/** Until Ctrl-C: the wheel turns, and every part of it can be looked at. */
async function goOn(world: World, summary: DemoSummary, screen: Screen, options: DemoOptions, io: Io): Promise<void> {
  if (options.json === true) io.out.write(`${JSON.stringify(summary)}\n`);
  screen.detail('page', world.url);
  screen.detail('psql', `psql ${world.hub.url}`);
  screen.detail('Salesforce', `${world.salesforce.url}/__control/`);
  screen.detail('Shopify', `${world.shopify.url}/__control/`);
  screen.detail('status', `truespoke status -c ${join(relative(io.cwd, world.folder), 'truespoke.yaml')}`);
  screen.detail('', 'Ctrl-C ends it; the next demo in this folder goes on from here.');
  await new Promise<void>((resolve) => {
    if (io.signal.aborted) resolve();
    else io.signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

export function register(program: Command, frame: Frame): void {
  program
    .command('demo [folder]')
    .description(
      'the whole wheel on this machine: two simulated systems, a hub, an engine, and a tour that checks itself',
    )
    .option('--exit', 'end after the tour; exit code 0 only if every step held')
    .addHelpText(
      'after',
      examples([
        ['truespoke demo', 'take the tour, then look around until Ctrl-C'],
        ['truespoke demo --exit --json', 'for a program: one JSON summary at the end'],
      ]),
    )
    .action(async (folder: string | undefined, _options: unknown, command: Command) => {
      frame.code = await execute(folder ?? demoFolder, command.optsWithGlobals<DemoOptions>(), frame.io);
    });
}
