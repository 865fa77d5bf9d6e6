// Owns `truespoke merge` and `truespoke unmerge`: two hub records are one thing, or are not after all.
import type { Command } from 'commander';
import type { ExitCode } from '../base/errors.js';
import { actor, examples, listedId, print, type Common, type Frame } from './command.js';
import type { Io } from './io.js';
import type { IdentityDeps } from '../engine/identity.js';

async function withIdentity(
  options: Common,
  io: Io,
  body: (deps: IdentityDeps) => Promise<ExitCode>,
): Promise<ExitCode> {
  const [{ loadProject }, { withMigratedHub }] = await Promise.all([import('./project.js'), import('./hub.js')]);
  const { config, mappings } = await loadProject(options, io);
  return withMigratedHub<ExitCode>(config, io, 'merge', ({ pool }) =>
    body({ pool, clock: io.clock, mapping: mappings.mapping, actor: actor() }),
  );
}

export async function merge(
  [entity, survivor, loser]: readonly [string, string, string],
  options: Common,
  io: Io,
): Promise<ExitCode> {
  const [{ mergeRecords }, { entityName, hubId }] = await Promise.all([
    import('../engine/identity.js'),
    import('../model/ids.js'),
  ]);
  return withIdentity(options, io, async (deps) => {
    const request = { entity: entityName(entity), survivor: hubId(survivor), loser: hubId(loser) };
    const joined = await mergeRecords(deps, request);
    print(io, options, { ...request, ...joined }, (paint) =>
      [
        `${paint.green('merged')}  ${entity} ${loser} into ${survivor}: ${joined.links} links moved, ${joined.references} references re-pointed`,
        ...joined.leftAtSpokes.map(
          ([spoke, id]) =>
            `${paint.yellow('left')}    ${spoke} ${id}: merge or delete it there; it is left alone until then`,
        ),
        paint.dim(`undo with: truespoke unmerge ${joined.id}`),
      ].join('\n'),
    );
    return 0;
  });
}

export async function unmerge(id: string, options: Common, io: Io): Promise<ExitCode> {
  const { undoMerge } = await import('../engine/identity.js');
  return withIdentity(options, io, async (deps) => {
    const undone = await undoMerge(deps, id);
    print(
      io,
      options,
      { id, ...undone },
      (paint) => `${paint.green('undone')}  ${undone.entity} ${undone.loser} stands for itself again`,
    );
    return 0;
  });
}

export function register(program: Command, frame: Frame): void {
  program
    .command('merge <entity> <survivor> <loser>')
    .description('two hub records are one: re-point references, move links, fill what the survivor lacks')
    .addHelpText('after', examples([['truespoke merge person 0198c1… 0198c2…', 'keep the first; can be undone']]))
    .action(async (entity: string, survivor: string, loser: string, _options: unknown, command: Command) => {
      frame.code = await merge([entity, survivor, loser], command.optsWithGlobals<Common>(), frame.io);
    });
  program
    .command('unmerge <id>')
    .description('take a merge back; edits made since stay')
    .addHelpText('after', examples([['truespoke unmerge 4', 'the id that merge printed']]))
    .action(async (id: string, _options: unknown, command: Command) => {
      const merged = listedId(id, 'a merge', 'truespoke audit');
      frame.code = await unmerge(merged, command.optsWithGlobals<Common>(), frame.io);
    });
}
