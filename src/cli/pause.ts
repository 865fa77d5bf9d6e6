// Owns `truespoke pause` and `truespoke resume`: one spoke stops or goes on, others flow. The order stands in the hub, so it holds
// whether the engine runs or not, and a running engine follows within moments.
import type { Command } from 'commander';
import type { ExitCode } from '../base/errors.js';
import { actor, examples, print, type Common, type Frame } from './command.js';
import type { Io } from './io.js';

export interface PauseOptions extends Common {
  readonly reason?: string;
}

export async function execute(
  order: 'pause' | 'resume',
  spoke: string,
  options: PauseOptions,
  io: Io,
): Promise<ExitCode> {
  const [
    { loadProject, unknownSpoke },
    { withMigratedHub },
    { registerSpoke },
    { orderPause, orderResume },
    { spokeName },
  ] = await Promise.all([
    import('./project.js'),
    import('./hub.js'),
    import('../store/spokes.js'),
    import('../engine/orders.js'),
    import('../model/ids.js'),
  ]);
  const { config } = await loadProject(options, io);
  const known = config.spokes.get(spokeName(spoke));
  if (known === undefined) throw unknownSpoke(config, spoke);
  return withMigratedHub<ExitCode>(config, io, order, async ({ pool }) => {
    // A spoke may be paused before it was ever connected.
    await registerSpoke(pool, known.name, known.connector);
    const deps = { pool, clock: io.clock, actor: actor() };
    if (order === 'pause') {
      const reason = options.reason ?? 'paused by a person';
      const hint = `truespoke resume ${spoke}`;
      await orderPause(deps, spoke, { reason, hint });
    } else await orderResume(deps, spoke);
    print(io, options, { spoke, paused: order === 'pause' }, (paint) =>
      order === 'pause' ? `${paint.yellow('paused')}  ${spoke}` : `${paint.green('resumed')}  ${spoke}`,
    );
    return 0;
  });
}

export function register(program: Command, frame: Frame): void {
  program
    .command('pause <spoke>')
    .description('stop reading and writing one spoke; the others flow on')
    .option('--reason <text>', 'what status shows')
    .addHelpText(
      'after',
      examples([['truespoke pause shopify --reason "stock-taking"', 'edits are kept and delivered later']]),
    )
    .action(async (spoke: string, _options: unknown, command: Command) => {
      frame.code = await execute('pause', spoke, command.optsWithGlobals<PauseOptions>(), frame.io);
    });
  program
    .command('resume <spoke>')
    .description('let a paused spoke go on')
    .addHelpText('after', examples([['truespoke resume shopify', 'also after the engine paused it by itself']]))
    .action(async (spoke: string, _options: unknown, command: Command) => {
      frame.code = await execute('resume', spoke, command.optsWithGlobals<PauseOptions>(), frame.io);
    });
}
