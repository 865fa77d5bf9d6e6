// Owns `truespoke audit`: what people ordered, and whether the record of it is whole. Exit code 1 when its chain is broken.
import type { Command } from 'commander';
import type { ExitCode } from '../base/errors.js';
import type { AuditRow } from '../store/audit.js';
import { examples, print, type Common, type Frame } from './command.js';
import type { Io } from './io.js';
import { wholeNumber } from './parked.js';
import { countText, renderTable, type Paint } from './render.js';

export interface AuditOptions extends Common {
  readonly limit: number;
}

export async function execute(options: AuditOptions, io: Io): Promise<ExitCode> {
  const [{ loadProject }, { withMigratedHub }, { brokenAudit, listAudit }] = await Promise.all([
    import('./project.js'),
    import('./hub.js'),
    import('../store/audit.js'),
  ]);
  const { config } = await loadProject(options, io);
  return withMigratedHub<ExitCode>(config, io, 'audit', async ({ pool }) => {
    const [orders, brokenAt] = [await listAudit(pool, options.limit), await brokenAudit(pool)];
    print(io, options, { whole: brokenAt === null, brokenAt, orders }, (paint, width) =>
      [
        listText(orders, paint, width),
        brokenAt === null
          ? ''
          : `\n${paint.red('broken')}  row ${brokenAt} was changed, or one before it was taken out`,
      ]
        .filter((text) => text !== '')
        .join('\n'),
    );
    return brokenAt === null ? 0 : 1;
  });
}

function listText(orders: readonly AuditRow[], paint: Paint, width: number): string {
  if (orders.length === 0) return 'Nobody has ordered anything yet.';
  const heads = ['id', 'when', 'who', 'order', 'detail'];
  const rows = orders.map(({ id, at, actor, action, detail }) => [
    id,
    at.slice(0, 19),
    actor,
    action,
    detailText(detail),
  ]);
  return renderTable(
    heads.map((head) => ({ head })),
    rows,
    paint,
    width,
  );
}

const listedMax = 5;

/** Nothing is cut in the middle: what masks secrets must see the whole of them. */
function detailText(detail: AuditRow['detail']): string {
  return Object.entries(detail)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name} ${wordOf(value)}`)
    .join(', ');
}

function wordOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return Array.isArray(value) && value.length > listedMax ? `(${countText(value.length)})` : JSON.stringify(value);
}

export function register(program: Command, frame: Frame): void {
  program
    .command('audit')
    .description('what people ordered, newest first; exit code 1 when the record was tampered with')
    .option('--limit <count>', 'at most so many', wholeNumber, 50)
    .addHelpText('after', examples([['truespoke audit', 'who paused, resumed, replayed, approved what']]))
    .action(async (_options: unknown, command: Command) => {
      frame.code = await execute(command.optsWithGlobals<AuditOptions>(), frame.io);
    });
}
