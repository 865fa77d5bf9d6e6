// Owns `truespoke reconcile`: compares the hub with what the spokes really hold, now. What differs is re-enqueued through the ordinary doors, so a running
// engine repairs it; this command only finds and reports.
import type { Command } from 'commander';
import type { ExitCode } from '../base/errors.js';
import type { Reconciliation } from '../engine/reconcile.js';
import { entityName, spokeName } from '../model/ids.js';
import { uncounted } from '../model/status.js';
import { examples, print, type Common, type Frame } from './command.js';
import type { Io } from './io.js';
import { countText, renderTable, type Paint } from './render.js';

export interface ReconcileOptions extends Common {
  readonly entity?: string;
}

export async function execute(spoke: string | undefined, options: ReconcileOptions, io: Io): Promise<ExitCode> {
  const [{ loadProject, unknownEntity, unknownSpoke }, { withMigratedHub }, { spokeSetup, noHttp }, { reconcileNow }] =
    await Promise.all([
      import('./project.js'),
      import('./hub.js'),
      import('./spokes.js'),
      import('../engine/reconcile.js'),
    ]);
  const [{ silentLog }, { systemIds, systemRandom }] = await Promise.all([
    import('../base/log.js'),
    import('../base/random.js'),
  ]);
  const { config, mappings } = await loadProject(options, io);
  const { mapping } = mappings;
  const entity = options.entity === undefined ? undefined : entityName(options.entity);
  if (entity !== undefined && !mapping.entities.has(entity)) {
    throw unknownEntity(mapping.entities.keys(), entity);
  }
  const chosen = [...config.spokes.values()].filter(({ name, enabled }) => enabled && (spoke ?? name) === name);
  if (spoke !== undefined && chosen.length === 0) throw unknownSpoke(config, spokeName(spoke));
  return withMigratedHub<ExitCode>(config, io, 'reconcile', async ({ pool }) => {
    const common = { pool, clock: io.clock, random: systemRandom, ids: systemIds(io.clock), log: silentLog };
    const deps = { ...common, http: noHttp, mapping, signal: io.signal, entity };
    const all: Reconciliation[] = [];
    for (const one of chosen) all.push(await reconcileNow(deps, spokeSetup(one, uncounted, io)));
    const reports = all.flatMap((each) => each.reports);
    const open = all.reduce((sum, each) => sum + each.open, 0);
    print(io, options, { reports, open }, (paint) => reportText({ reports, open }, paint));
    return open > 0 || io.signal.aborted ? 1 : 0;
  });
}

function reportText({ reports, open }: Reconciliation, paint: Paint): string {
  const right = ['compared', 'differ', 'repaired', 'unknown here'];
  const columns = [{ head: 'spoke' }, { head: 'entity' }, ...right.map((head) => ({ head, right: true }))];
  const warn = (count: number): string => (count === 0 ? '0' : paint.yellow(countText(count)));
  const rows = reports.map((one) => [
    one.spoke,
    one.entity,
    countText(one.compared),
    warn(one.drifted),
    countText(one.repaired),
    warn(one.unseen),
  ]);
  const verdict =
    open === 0
      ? paint.green('Both sides agree.')
      : `${paint.yellow(`${countText(open)} open`)}: a running engine repairs them; look again with \`truespoke reconcile\`.`;
  return `${renderTable(columns, rows, paint)}\n\n${verdict}`;
}

export function register(program: Command, frame: Frame): void {
  program
    .command('reconcile [spoke]')
    .description('compare the hub with what the spokes really hold, and have what differs repaired')
    .option('--entity <name>', 'one entity only')
    .addHelpText(
      'after',
      examples([
        ['truespoke reconcile', 'every record of every spoke; exit code 1 when something differs'],
        ['truespoke reconcile shopify', 'one spoke'],
      ]),
    )
    .action(async (spoke: string | undefined, _options: unknown, command: Command) => {
      frame.code = await execute(spoke, command.optsWithGlobals<ReconcileOptions>(), frame.io);
    });
}
