// Owns `truespoke parked`: what was set aside and why, and trying it again. Shows ids and reasons, never a record's values.
import { InvalidArgumentError, type Command } from 'commander';
import { ConfigError, type ExitCode } from '../base/errors.js';
import type { Parked } from '../store/parked.js';
import { actor, examples, listedId, print, type Common, type Frame } from './command.js';
import type { Io } from './io.js';
import { renderTable, type Paint } from './render.js';

export interface ParkedOptions extends Common {
  readonly spoke?: string;
  readonly limit: number;
}

export interface ReplayOptions extends Common {
  readonly spoke?: string;
  readonly all?: boolean;
}

export async function list(options: ParkedOptions, io: Io): Promise<ExitCode> {
  const [{ loadProject }, { refuseUnknownSpoke, withMigratedHub }, { listParked }] = await Promise.all([
    import('./project.js'),
    import('./hub.js'),
    import('../store/parked.js'),
  ]);
  const { config } = await loadProject(options, io);
  return withMigratedHub<ExitCode>(config, io, 'parked', async (hub) => {
    await refuseUnknownSpoke(config, hub, options.spoke);
    const { pool } = hub;
    const parked = await listParked(pool, { spoke: options.spoke, limit: options.limit });
    print(io, options, { parked: parked.map(shown) }, (paint, width) => listText(parked, paint, width));
    return 0;
  });
}

export async function replayParked(ids: readonly string[], options: ReplayOptions, io: Io): Promise<ExitCode> {
  if (ids.length === 0 && options.all !== true && options.spoke === undefined) {
    const hint = 'Give ids from `truespoke parked list`, or --spoke <name>, or --all.';
    throw new ConfigError({ code: 'nothing_named', message: 'replay what?', hint });
  }
  const [{ loadProject }, { refuseUnknownSpoke, withMigratedHub }, { orderReplay }] = await Promise.all([
    import('./project.js'),
    import('./hub.js'),
    import('../engine/orders.js'),
  ]);
  const { config, mappings } = await loadProject(options, io);
  return withMigratedHub<ExitCode>(config, io, 'replay', async (hub) => {
    await refuseUnknownSpoke(config, hub, options.spoke);
    const { pool } = hub;
    const request = { spoke: options.spoke, ids: ids.length === 0 ? undefined : ids };
    const deps = { pool, clock: io.clock, mapping: mappings.mapping, actor: actor() };
    const { replayed, left } = await orderReplay(deps, request);
    const missing = ids.filter((id) => ![...replayed, ...left].some((one) => one.id === id));
    print(io, options, { replayed: replayed.map(({ id }) => id), left: left.map(({ id }) => id), missing }, (paint) =>
      [
        `${paint.green('queued again')}  ${replayed.length}; a running engine takes them up at once`,
        ...left.map(
          ({ id, entity }) => `${paint.yellow('left')}  ${id}: ${entity} is not mapped at that spoke any more`,
        ),
        ...missing.map((id) => `${paint.yellow('unknown')}  ${id}: no such parked record is open`),
      ].join('\n'),
    );
    return left.length + missing.length === 0 ? 0 : 1;
  });
}

/** Without the payload: it holds the record's values. */
function shown(parked: Parked): Omit<Parked, 'payload'> {
  const { payload: _values, ...rest } = parked;
  return rest;
}

function listText(parked: readonly Parked[], paint: Paint, width: number): string {
  if (parked.length === 0) return 'Nothing is parked.';
  const heads = ['id', 'way', 'spoke', 'entity', 'record', 'since', 'tries', 'reason'];
  const rows = parked.map((one) => [
    one.id,
    one.direction,
    one.spoke,
    one.entity,
    one.key,
    one.firstAt.slice(0, 16),
    String(one.attempts),
    `${one.state === 'waiting' ? paint.dim('waits: ') : ''}${one.code}${one.field === null ? '' : ` (${one.field})`}: ${one.message}`,
  ]);
  return renderTable(
    heads.map((head) => ({ head })),
    rows,
    paint,
    width,
  );
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (/^\d{1,6}$/.test(text) && value > 0) return value;
  throw new InvalidArgumentError('Expected a whole number from 1 to 999999.');
}

export function register(program: Command, frame: Frame): void {
  const parked = program.command('parked').description('records that were set aside, and why');
  const example = examples([
    ['truespoke parked list --spoke shopify', 'what waits for a person or a better value'],
    ['truespoke parked replay 17 18', 'try these two again'],
    ['truespoke parked replay --all', 'try everything again'],
  ]);
  parked.addHelpText('after', example);
  parked
    .command('list', { isDefault: true })
    .description('show them, oldest first')
    .option('--spoke <name>', 'of one spoke only')
    .option('--limit <count>', 'at most so many', wholeNumber, 100)
    .action(async (_options: unknown, command: Command) => {
      frame.code = await list(command.optsWithGlobals<ParkedOptions>(), frame.io);
    });
  parked
    .command('replay [ids...]')
    .description('try them again through the ordinary way')
    .option('--spoke <name>', 'all of one spoke')
    .option('--all', 'all there are')
    .action(async (ids: readonly string[], _options: unknown, command: Command) => {
      frame.code = await replayParked(ids.map(parkedId), command.optsWithGlobals<ReplayOptions>(), frame.io);
    });
}

function parkedId(text: string): string {
  return listedId(text, 'a parked record', 'truespoke parked list');
}
