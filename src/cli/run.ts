// Owns `truespoke run`: hub, engine and server until Ctrl-C. Migrates first; ends cleanly within two seconds.
import { InvalidArgumentError, type Command } from 'commander';
import type { ExitCode } from '../base/errors.js';
import type { EngineRole } from '../engine/engine.js';
import { examples, print, type Common, type Frame } from './command.js';
import type { OpenEngine } from './engine.js';
import type { Io } from './io.js';
import type { Project } from './project.js';

export interface RunOptions extends Common {
  readonly roles?: readonly EngineRole[];
  /** `--no-server` */
  readonly server: boolean;
}

export async function execute(options: RunOptions, io: Io): Promise<ExitCode> {
  const [{ loadProject }, { openEngine }] = await Promise.all([import('./project.js'), import('./engine.js')]);
  const project = await loadProject(options, io);
  const log = io.err.terminal && options.json !== true ? 'people' : 'programs';
  const open = await openEngine(project, { roles: options.roles, log }, io);
  try {
    await warnOfUnsettled(project, open);
    await open.engine.prepare();
    const server = options.server ? await serve(project, open, io) : null;
    try {
      announce(project, open, server?.url ?? null, options, io);
      await open.engine.run(io.signal);
    } finally {
      await server?.close();
    }
  } finally {
    await open.close();
  }
  return 0;
}

/** `check` refuses such a mapping. A running hub goes on with it: what really goes round is set aside as an open conflict. */
export async function warnOfUnsettled(
  { mappings }: Pick<Project, 'mappings'>,
  { log }: Pick<OpenEngine, 'log'>,
): Promise<void> {
  const { findUnsettled } = await import('../mapping/settling.js');
  for (const { file, line, column, message, hint } of findUnsettled(mappings.mapping, mappings.place))
    log.warn({ place: `${file ?? ''}:${line ?? 0}:${column ?? 0}`, next: hint }, message);
}

/** The server over a running engine. */
export async function serve(
  { config }: Project,
  { engine, metrics, log }: OpenEngine,
  io: Io,
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const { startConsole } = await import('../console/server.js');
  return startConsole({
    host: config.server.host,
    port: config.server.port,
    tokens: config.server.tokens,
    publicUrl: config.server.publicUrl ?? undefined,
    webhooks: { receive: (spoke, headers, body) => engine.webhook(spoke, headers, body) },
    control: engine,
    status: () => engine.status(),
    metrics,
    clock: io.clock,
    log,
  });
}

function announce({ config }: Project, { hub }: OpenEngine, url: string | null, options: RunOptions, io: Io): void {
  const spokes = [...config.spokes.values()].filter(({ enabled }) => enabled).map(({ name }) => name);
  print(io, options, { event: 'running', url, embedded: hub.embedded, spokes }, (paint) =>
    [
      `${paint.green('●')} running: ${spokes.join(', ')}; hub ${hub.embedded ? `embedded in ${config.hub.dataDir}` : 'as configured'}`,
      url === null ? '  no server' : `  page ${paint.bold(url)}   metrics ${url}/metrics`,
      paint.dim('  Ctrl-C ends it.'),
    ].join('\n'),
  );
}

const known: readonly EngineRole[] = ['capture', 'inbound', 'outbound', 'reconcile'];

function roles(text: string): readonly EngineRole[] {
  const names = text.split(',').map((name) => name.trim());
  const wrong = names.filter((name) => !(known as readonly string[]).includes(name));
  if (wrong.length > 0) throw new InvalidArgumentError(`Unknown: ${wrong.join(', ')}. Known: ${known.join(', ')}.`);
  return names as EngineRole[];
}

export function register(program: Command, frame: Frame): void {
  program
    .command('run')
    .description('run the engine and its server until Ctrl-C; migrates first')
    .option('--roles <roles>', `what this process does, of ${known.join(',')}`, roles)
    .option('--no-server', 'without webhooks, page and metrics')
    .addHelpText(
      'after',
      examples([
        ['truespoke run', 'everything in one process'],
        ['truespoke run --roles outbound --no-server', 'one more process that only delivers'],
      ]),
    )
    .action(async (_options: unknown, command: Command) => {
      frame.code = await execute(command.optsWithGlobals<RunOptions>(), frame.io);
    });
}
