// Owns `truespoke backfill`: reads what exists at the spokes, matches and links it, and sends each side what it lacks, with progress. Where an
// engine runs already it does the work and this command only shows it. Resumes where an earlier one stopped.
import type { Command } from 'commander';
import { ConfigError, type ExitCode } from '../base/errors.js';
import { spokeName, type SpokeName } from '../model/ids.js';
import type { EngineStatus, SpokeStatus } from '../model/status.js';
import { examples, print, type Common, type Frame } from './command.js';
import type { Io } from './io.js';
import { createProgress, type Progress } from './progress.js';
import type { Project } from './project.js';
import { aboutSpoke, countText } from './render.js';

export interface BackfillOptions extends Common {
  readonly all?: boolean;
}

const lookMs = 250;

export async function execute(spoke: string | undefined, options: BackfillOptions, io: Io): Promise<ExitCode> {
  if ((spoke === undefined) !== (options.all === true)) {
    throw new ConfigError({ code: 'nothing_named', message: 'backfill what?', hint: 'Name one spoke, or say --all.' });
  }
  const [{ loadProject }, { openEngine }] = await Promise.all([import('./project.js'), import('./engine.js')]);
  const project = await loadProject(options, io);
  const names = await chosen(project, spoke);
  const started = io.clock.monotonic();
  // All spokes take part: what is read from one is what another may lack.
  const open = await openEngine(project, { log: 'nobody' }, io);
  const stop = new AbortController();
  const progress = createProgress(io);
  try {
    await open.engine.prepare();
    const running = open.engine.run(AbortSignal.any([io.signal, stop.signal]));
    const followed = follow(() => open.engine.status(), names, progress, AbortSignal.any([io.signal, stop.signal]), io);
    const status = await Promise.race([followed, running.then(() => null)]);
    progress.stop();
    stop.abort();
    await running;
    if (status === null) return 1;
    report(status, names, (io.clock.monotonic() - started) / 1000, options, io);
    return status.spokes.some((each) => names.has(each.name) && each.state === 'paused') ? 1 : 0;
  } finally {
    stop.abort();
    progress.stop();
    await open.close();
  }
}

async function chosen({ config }: Project, spoke: string | undefined): Promise<ReadonlySet<SpokeName>> {
  const enabled = [...config.spokes.values()].filter((each) => each.enabled).map(({ name }) => name);
  if (spoke === undefined) return new Set(enabled);
  const { unknownSpoke } = await import('./project.js');
  if (!enabled.includes(spokeName(spoke))) throw unknownSpoke(config, spoke);
  return new Set([spokeName(spoke)]);
}

/** Resolves when every chosen spoke is read and nothing waits to be delivered, or cannot go on; null when stopped before. */
async function follow(
  read: () => Promise<EngineStatus>,
  names: ReadonlySet<SpokeName>,
  progress: Progress,
  signal: AbortSignal,
  io: Io,
): Promise<EngineStatus | null> {
  const done = new Set<string>();
  while (!signal.aborted) {
    const status = await read();
    const spokes = status.spokes.filter(({ name }) => names.has(name));
    for (const each of spokes) show(each, progress, done);
    if (spokes.length === names.size && spokes.every(settled)) return status;
    await io.clock.sleep(lookMs, signal);
  }
  return null;
}

function show(spoke: SpokeStatus, progress: Progress, done: Set<string>): void {
  for (const { entity, records, total, state } of spoke.backfill) {
    const key = `${spoke.name} ${entity}`;
    if (done.has(key)) continue;
    progress.update(key, { label: key, done: records, total });
    if (state !== 'done') continue;
    done.add(key);
    progress.end(key);
  }
}

function settled(spoke: SpokeStatus): boolean {
  if (spoke.state === 'paused') return true;
  const { pending, sent, unknown } = spoke.deliveries;
  return spoke.state === 'live' && pending + sent + unknown === 0;
}

function report(status: EngineStatus, names: ReadonlySet<SpokeName>, seconds: number, options: Common, io: Io): void {
  const spokes = status.spokes
    .filter(({ name }) => names.has(name))
    .map((each) => ({
      name: each.name,
      state: each.state,
      reason: each.reason,
      records: each.backfill.reduce((sum, { records }) => sum + records, 0),
      links: each.links,
      parked: each.parkedOpen,
    }));
  print(io, options, { spokes, seconds: Math.round(seconds * 10) / 10 }, (paint) =>
    spokes
      .map(({ name, state, reason, records, links, parked }) => {
        if (state === 'paused') return `${paint.red('paused')}  ${aboutSpoke(name, reason ?? '')}`;
        const aside = parked === 0 ? '' : paint.yellow(`, ${countText(parked)} parked (truespoke parked list)`);
        return `${paint.green('done')}  ${name}: ${countText(records)} records read, ${countText(links)} links${aside}`;
      })
      .join('\n'),
  );
}

export function register(program: Command, frame: Frame): void {
  program
    .command('backfill [spoke]')
    .description('read what exists at one spoke or all, link it, and send each side what it lacks')
    .option('--all', 'every spoke')
    .addHelpText(
      'after',
      examples([
        ['truespoke backfill --all', 'the first thing after `migrate`; `run` does it as well'],
        ['truespoke backfill shopify', 'wait for this one only'],
      ]),
    )
    .action(async (spoke: string | undefined, _options: unknown, command: Command) => {
      frame.code = await execute(spoke, command.optsWithGlobals<BackfillOptions>(), frame.io);
    });
}
