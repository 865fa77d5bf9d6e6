// Owns `truespoke migrate`: brings the engine's own schema and the tables of the mapping up to date, or shows the SQL that would.
// Only ever adds; what it cannot add it names.
import type { Command } from 'commander';
import type { ExitCode } from '../base/errors.js';
import type { HubPlan } from '../mapping/plan.js';
import { examples, print, type Common, type Frame } from './command.js';
import type { Io } from './io.js';
import { migrationsFolder } from './package-files.js';
import { renderProblem, type Paint } from './render.js';

export interface MigrateOptions extends Common {
  readonly plan?: boolean;
}

export async function execute(options: MigrateOptions, io: Io): Promise<ExitCode> {
  const [{ loadProject }, { withHub }, { migrate, pendingMigrations }, { migrateHub, planHubTables }] =
    await Promise.all([
      import('./project.js'),
      import('./hub.js'),
      import('../store/migrate.js'),
      import('../store/hub-schema.js'),
    ]);
  const { config, mappings } = await loadProject(options, io);
  return withHub(config, io, 'migrate', async ({ pool }) => {
    if (options.plan === true) {
      const files = await pendingMigrations(pool, migrationsFolder);
      const plan = await planHubTables(pool, mappings.mapping);
      print(io, options, { migrations: files, ...plan }, (paint) => planText(files, plan, paint));
      return plan.problems.length > 0 ? 1 : 0;
    }
    // First the engine's schema: the tables' default ids come from a function there.
    const { ran } = await migrate(pool, migrationsFolder);
    const plan = await migrateHub(pool, mappings.mapping);
    print(io, options, { migrations: ran, steps: plan.steps, notes: plan.notes }, (paint) =>
      doneText(ran, plan, paint),
    );
    return 0;
  });
}

function planText(files: readonly string[], plan: HubPlan, paint: Paint): string {
  const lines = [
    ...files.map((name) => paint.dim(`-- migrations/${name}.sql`)),
    ...plan.steps.flatMap((step) => [paint.dim(`-- ${step.reason}`), `${step.sql};`]),
    ...plan.notes.map((note) => paint.dim(`-- note: ${note}`)),
    ...plan.problems.map((problem) => renderProblem(problem, paint)),
  ];
  return lines.length === 0 ? 'Nothing to do: the hub is as the mappings want it.' : lines.join('\n');
}

function doneText(ran: readonly string[], plan: HubPlan, paint: Paint): string {
  const lines = [
    ...ran.map((name) => `${paint.green('ran')}   migrations/${name}.sql`),
    ...plan.steps.map((step) => `${paint.green('ran')}   ${step.sql.split('\n')[0] ?? ''}`),
    ...plan.notes.map((note) => `${paint.dim('note')}  ${note}`),
  ];
  return lines.length === 0 ? 'Nothing to do: the hub is as the mappings want it.' : lines.join('\n');
}

export function register(program: Command, frame: Frame): void {
  program
    .command('migrate')
    .description("bring the hub's tables up to date; only ever adds")
    .option('--plan', 'show the SQL and change nothing')
    .addHelpText(
      'after',
      examples([
        ['truespoke migrate --plan', 'the SQL that would run'],
        ['truespoke migrate', 'run it: all of it or nothing'],
      ]),
    )
    .action(async (_options: unknown, command: Command) => {
      frame.code = await execute(command.optsWithGlobals<MigrateOptions>(), frame.io);
    });
}
