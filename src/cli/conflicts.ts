// Owns `truespoke conflicts`: where two sides changed the same field, what was decided, and what was lost by it. This is the one command
// that shows values: keeping the loser where a person can see it is the promise.
import { Argument, type Command } from 'commander';
import { ConfigError, type ExitCode } from '../base/errors.js';
import { entityName, type EntityName } from '../model/ids.js';
import type { HubTable } from '../store/hub.js';
import type { ListedConflict } from '../store/conflict-list.js';
import { actor, examples, listedId, print, type Common, type Frame } from './command.js';
import type { Io } from './io.js';
import { wholeNumber } from './parked.js';
import { renderTable, type Paint } from './render.js';

export interface ConflictOptions extends Common {
  readonly spoke?: string;
  readonly entity?: string;
  readonly record?: string;
  readonly policy?: string;
  readonly open?: boolean;
  readonly limit: number;
}

export async function execute(options: ConflictOptions, io: Io): Promise<ExitCode> {
  const [{ loadProject, unknownEntity }, { refuseUnknownSpoke, withMigratedHub }, { listConflicts }] =
    await Promise.all([import('./project.js'), import('./hub.js'), import('../store/conflict-list.js')]);
  const { config, mappings } = await loadProject(options, io);
  const { entities } = mappings.mapping;
  return withMigratedHub<ExitCode>(config, io, 'conflicts', async (hub) => {
    await refuseUnknownSpoke(config, hub, options.spoke);
    const { pool } = hub;
    const { spoke, entity, record, policy, limit } = options;
    const filter = { spoke, entity, record, policy, openOnly: options.open === true, limit };
    const conflicts = await listConflicts(pool, filter);
    // Of an entity that was mapped once there may be conflicts still.
    if (entity !== undefined && conflicts.length === 0 && !entities.has(entityName(entity)))
      throw unknownEntity(entities.keys(), entity);
    print(io, options, { conflicts }, (paint, width) => listText(conflicts, paint, width));
    return 0;
  });
}

export interface ResolveOptions extends Common {
  readonly value?: string;
}

const choices = ['hub', 'spoke', 'value'] as const;

export async function resolveOne(
  id: string,
  choice: (typeof choices)[number],
  options: ResolveOptions,
  io: Io,
): Promise<ExitCode> {
  const [{ loadProject }, { withMigratedHub }, { resolveConflict }, { openHubTable }] = await Promise.all([
    import('./project.js'),
    import('./hub.js'),
    import('../engine/resolve.js'),
    import('../store/hub.js'),
  ]);
  if ((choice === 'value') !== (options.value !== undefined)) {
    const hint = 'truespoke conflicts resolve 7 value --value "Ann Lee"';
    throw new ConfigError({
      code: 'value_missing',
      message: '--value goes with the choice `value`, and only with it',
      hint,
    });
  }
  const { config, mappings } = await loadProject(options, io);
  return withMigratedHub<ExitCode>(config, io, 'conflicts', async ({ pool }) => {
    const tables = new Map<EntityName, HubTable>();
    for (const [name, entity] of mappings.mapping.entities) tables.set(name, await openHubTable(pool, entity));
    const decision = choice === 'value' ? { kind: choice, value: options.value ?? null } : { kind: choice };
    const conflict = await resolveConflict({ pool, clock: io.clock, tables }, id, decision, actor());
    const { entity, hubId, field, spoke } = conflict;
    print(
      io,
      options,
      { id, entity, hubId, field, spoke, choice },
      (paint) => `${paint.green('decided')}  ${entity} ${hubId}, ${field}: ${choice === 'spoke' ? spoke : choice}`,
    );
    return 0;
  });
}

function listText(conflicts: readonly ListedConflict[], paint: Paint, width: number): string {
  if (conflicts.length === 0) return 'There is no conflict.';
  const heads = [
    'id',
    'when',
    'spoke',
    'entity',
    'record',
    'field',
    'was',
    'in the hub',
    'at the spoke',
    'policy',
    'won',
  ];
  const rows = conflicts.map((one) => [
    one.id,
    one.at.slice(0, 19),
    one.spoke,
    one.entity,
    one.hubId,
    one.field,
    valueText(one.base, paint),
    valueText(one.hubValue, paint),
    valueText(one.spokeValue, paint),
    one.policy,
    one.state === 'open' ? paint.yellow('open') : one.winner,
  ]);
  const columns = heads.map((head) => ({ head }));
  return [renderTable(columns, rows, paint, width), ...adviceFor(conflicts, paint)].join('\n');
}

/** Why something waits for a person, and what ends it. */
export function adviceFor(conflicts: readonly Pick<ListedConflict, 'state' | 'policy'>[], paint: Paint): string[] {
  const open = conflicts.filter(({ state }) => state === 'open');
  if (open.length === 0) return [];
  const pingPong =
    'ping_pong: this spoke and another one rewrote the field in turn without anybody editing it. It is not sent to this spoke until you\n' +
    '  decide; then it flows again. First look for a rule inside one of the systems that rewrites what the other wrote, or let the\n' +
    '  field go one way in the mapping (direction: in or out), or it will be stopped again.';
  return [
    '',
    ...(open.some(({ policy }) => policy === 'ping_pong') ? [pingPong] : []),
    `${paint.cyan('next:')} truespoke conflicts resolve <id> hub | spoke | value --value <text>`,
  ];
}

const valueCharacters = 40;

/** Control characters are shown as what they are: a value must not draw on the terminal. */
function valueText(value: string | null, paint: Paint): string {
  if (value === null) return paint.dim('null');
  const plain = JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"');
  return plain.length > valueCharacters ? `${plain.slice(0, valueCharacters - 1)}…` : plain;
}

export function register(program: Command, frame: Frame): void {
  const conflicts = program
    .command('conflicts')
    .description('fields that were changed on both sides, newest first, with both values')
    .option('--spoke <name>', 'with one spoke only')
    .option('--entity <name>', 'of one entity only')
    .option('--record <id>', 'of one record of the hub only')
    .option('--policy <name>', 'decided by one policy only: latest, review, ping_pong, delete …')
    .option('--open', 'only those that wait for a person')
    .option('--limit <count>', 'at most so many', wholeNumber, 50)
    .addHelpText(
      'after',
      examples([
        ['truespoke conflicts', 'what was decided lately'],
        ['truespoke conflicts --open', 'what a person must decide'],
      ]),
    )
    .action(async (_options: unknown, command: Command) => {
      frame.code = await execute(command.optsWithGlobals<ConflictOptions>(), frame.io);
    });
  conflicts
    .command('resolve')
    .description("decide an open conflict: the hub keeps its value, takes the spoke's, or both get another one")
    .argument('<id>', 'as `truespoke conflicts --open` shows it')
    .addArgument(new Argument('<choice>', 'who is right').choices(choices))
    .option('--value <text>', 'with `value`: what both sides get')
    .addHelpText(
      'after',
      examples([
        ['truespoke conflicts resolve 7 hub', 'the hub is right: the spoke gets its value'],
        ['truespoke conflicts resolve 7 value --value "Ann Lee"', 'neither is'],
      ]),
    )
    .action(async (id: string, choice: (typeof choices)[number], _options: unknown, command: Command) => {
      const conflict = listedId(id, 'a conflict', 'truespoke conflicts --open');
      frame.code = await resolveOne(conflict, choice, command.optsWithGlobals<ResolveOptions>(), frame.io);
    });
}
