// Owns `truespoke status`: how the hub, the stream and every spoke are, read from the hub, so it works beside a running engine or
// without one. Exit code 1 when something wants a person.
import type { Command } from 'commander';
import { ConfigError, type ExitCode } from '../base/errors.js';
import { notReady } from '../console/readiness.js';
import type { EngineStatus, SpokeStatus } from '../model/status.js';
import { examples, print, type Common, type Frame } from './command.js';
import type { Io } from './io.js';
import { aboutSpoke, bytesText, countText, paintFor, renderTable, secondsText, widthOf, type Paint } from './render.js';

export interface StatusOptions extends Common {
  readonly watch?: boolean;
}

const watchMs = 2_000;

export async function execute(options: StatusOptions, io: Io): Promise<ExitCode> {
  const [{ loadProject }, { openEngine }, { refuseUnmigrated }] = await Promise.all([
    import('./project.js'),
    import('./engine.js'),
    import('./hub.js'),
  ]);
  const project = await loadProject(options, io);
  const open = await openEngine(project, { log: 'nobody' }, io);
  try {
    await refuseUnmigrated(open.hub);
    const status = await open.engine.status();
    if (options.watch !== true) {
      print(io, options, { fine: isFine(status), ...status }, (paint, width) => statusText(status, paint, width));
      return isFine(status) ? 0 : 1;
    }
    await watch(() => open.engine.status(), options, io);
    return 0;
  } finally {
    await open.close();
  }
}

/** Redraws on a terminal; elsewhere, or with --json, one snapshot after the other. */
async function watch(read: () => Promise<EngineStatus>, options: StatusOptions, io: Io): Promise<void> {
  if (!io.out.terminal && options.json !== true) {
    throw new ConfigError({
      code: 'no_terminal',
      message: '--watch redraws a terminal, and this is none',
      hint: 'Add --json for one snapshot a line.',
    });
  }
  while (!io.signal.aborted) {
    const status = await read();
    if (options.json === true) print(io, options, { fine: isFine(status), ...status }, () => '');
    else io.out.write(`\u001b[H\u001b[2J${statusText(status, paintFor(io.out, io.env), widthOf(io.out))}\n`);
    await io.clock.sleep(watchMs, io.signal);
  }
}

/** Parked records and conflicts are shown, but are daily business; a stream or spoke that stands still is not. */
export function isFine(status: EngineStatus): boolean {
  return (
    notReady(status).length === 0 &&
    status.spokes.every(({ state, breaker }) => state !== 'paused' && state !== 'stopped' && breaker !== 'open')
  );
}

export function statusText(status: EngineStatus, paint: Paint, width = Infinity): string {
  const { hub, replication } = status;
  const server = hub.serverVersion === null ? '' : ` ${hub.serverVersion}`;
  const lines = [
    `${paint.bold('hub')}          ${hub.embedded ? 'embedded' : 'configured'} Postgres${server}, ${hub.reachable ? 'answers' : paint.red('does not answer')}`,
    `${paint.bold('replication')}  ${toned(replication.state, paint)}, ${behind(replication)}, slot ${replication.slot} ${replication.slotHealth}`,
  ];
  if (replication.reason !== null) lines.push(`             ${paint.yellow(replication.reason)}`);
  const reviews = status.reviewsOpen ?? 0;
  if (reviews > 0)
    lines.push(`${paint.bold('reviews')}      ${paint.yellow(countText(reviews))} open: truespoke review list`);
  if (status.spokes.length === 0) return [...lines, '', 'No spoke was connected yet: `truespoke run` does.'].join('\n');
  lines.push('', spokesTable(status.spokes, paint, width));
  for (const { name, reason } of status.spokes) if (reason !== null) lines.push(paint.yellow(aboutSpoke(name, reason)));
  for (const spoke of status.spokes) {
    for (const { entity, records, total, state, reason = null } of spoke.backfill) {
      const why = reason === null ? '' : ` (${reason})`;
      const of = total === null ? '' : ` of ${countText(total)}`;
      if (state === 'running') lines.push(`${spoke.name}: reading ${entity}, ${countText(records)}${of} records${why}`);
      if (state === 'waiting') lines.push(`${spoke.name}: a running engine reads ${entity} again${why}`);
    }
  }
  return lines.join('\n');
}

function behind({ lagBytes, lagSeconds }: EngineStatus['replication']): string {
  const bytes = `${bytesText(lagBytes)} behind`;
  return lagSeconds === null || lagSeconds === 0 ? bytes : `${bytes}, at most ${secondsText(lagSeconds)}`;
}

function spokesTable(spokes: readonly SpokeStatus[], paint: Paint, width: number): string {
  const right = ['links', 'waiting', 'oldest', 'last poll', 'parked', 'conflicts', 'drift', 'quota'];
  const columns = [{ head: 'spoke' }, { head: 'state' }, ...right.map((head) => ({ head, right: true }))];
  const warn = (count: number): string => (count === 0 ? '0' : paint.yellow(countText(count)));
  const rows = spokes.map((spoke) => {
    const { pending, sent, unknown } = spoke.deliveries;
    const breaker = spoke.breaker === 'closed' ? '' : paint.red(` breaker ${spoke.breaker}`);
    return [
      spoke.name,
      toned(spoke.state, paint) + breaker,
      countText(spoke.links),
      countText(pending + sent + unknown),
      secondsText(spoke.oldestDeliverySeconds),
      secondsText(spoke.inboundAgeSeconds),
      warn(spoke.parkedOpen),
      warn(spoke.conflictsOpen),
      warn(spoke.driftOpen),
      spoke.quota === null ? '–' : `${countText(Math.floor(spoke.quota.remaining))} / ${countText(spoke.quota.limit)}`,
    ];
  });
  return renderTable(columns, rows, paint, width);
}

function toned(state: EngineStatus['replication']['state'] | SpokeStatus['state'], paint: Paint): string {
  switch (state) {
    case 'streaming':
    case 'standby':
    case 'live':
      return paint.green(state);
    case 'connecting':
    case 'starting':
    case 'backfilling':
      return paint.yellow(state);
    case 'paused':
    case 'stopped':
    case 'broken':
      return paint.red(state);
    default:
      return state satisfies never;
  }
}

export function register(program: Command, frame: Frame): void {
  program
    .command('status')
    .description('how the hub, the stream and every spoke are; exit code 1 when something stands still')
    .option('-w, --watch', 'look again every two seconds until Ctrl-C')
    .addHelpText(
      'after',
      examples([
        ['truespoke status', 'one look'],
        ['truespoke status --watch', 'keep looking'],
        ['truespoke status --json', 'for a program'],
      ]),
    )
    .action(async (_options: unknown, command: Command) => {
      frame.code = await execute(command.optsWithGlobals<StatusOptions>(), frame.io);
    });
}
