// Owns `truespoke check`: is the project sound? Offline by default. Changes nothing anywhere.
import type { Command } from 'commander';
import { Problems, type ExitCode } from '../base/errors.js';
import { examples, print, type Common, type Frame } from './command.js';
import type { Io } from './io.js';
import type { Project } from './project.js';
import type { SpokeAnswer } from './check-remote.js';
import { aboutSpoke, renderProblem, renderTable, type Paint } from './render.js';

export interface CheckOptions extends Common {
  readonly connect?: boolean;
}

export async function execute(options: CheckOptions, io: Io): Promise<ExitCode> {
  // The connectors are loaded only here: help and usage errors stay instant.
  const [{ loadProject }, { findUnsettled }] = await Promise.all([
    import('./project.js'),
    import('../mapping/settling.js'),
  ]);
  const project = await loadProject(options, io);
  const { mapping, place } = project.mappings;
  const unsettled = findUnsettled(mapping, place);
  if (unsettled.length > 0) throw new Problems(unsettled, 'never_settles');
  const summary = summarise(project);
  if (options.connect !== true) {
    print(
      io,
      options,
      { ok: true, ...summary },
      (paint, width) => `${entitiesText(summary, paint, width)}\n\n${paint.green('no problems')}`,
    );
    return 0;
  }
  const { checkRemote } = await import('./check-remote.js');
  const { spokes, warnings } = await checkRemote(project, io);
  const ok = spokes.every(({ error }) => error === null);
  print(io, options, { ok, ...summary, spokes, warnings }, (paint, width) =>
    [
      entitiesText(summary, paint, width),
      '',
      ...spokes.map((spoke) => spokeText(spoke, paint)),
      ...warnings.map((warning) => `${paint.yellow('warning:')} ${renderProblem(warning, paint)}`),
      ok ? paint.green('no problems') : paint.red('not every spoke is ready'),
    ].join('\n'),
  );
  return ok ? 0 : 3;
}

function entitiesText(summary: Summary, paint: Paint, width: number): string {
  const columns = [{ head: 'entity' }, { head: 'table' }, { head: 'fields', right: true }, { head: 'spokes' }];
  const rows = summary.entities.map((each) => [each.entity, each.table, String(each.fields), each.spokes.join(', ')]);
  return renderTable(columns, rows, paint, width);
}

function spokeText(spoke: SpokeAnswer, paint: Paint): string {
  if (spoke.error === null)
    return `${paint.green('●')} ${spoke.name}: ${spoke.label ?? ''}, API ${spoke.apiVersion ?? ''}`;
  const next = spoke.error.hint === null ? '' : `\n  ${paint.cyan('next:')} ${spoke.error.hint}`;
  return `${paint.red('●')} ${aboutSpoke(spoke.name, spoke.error.message)}${next}`;
}

interface Summary {
  readonly spokes: readonly { readonly name: string; readonly connector: string }[];
  readonly entities: readonly {
    readonly entity: string;
    readonly table: string;
    readonly fields: number;
    readonly spokes: readonly string[];
  }[];
}

function summarise({ config, mappings }: Project): Summary {
  return {
    spokes: [...config.spokes.values()].map(({ name, connector }) => ({ name, connector })),
    entities: [...mappings.mapping.entities.values()].map((entity) => ({
      entity: entity.name,
      table: `${entity.table.schema}.${entity.table.name}`,
      fields: entity.fields.length,
      spokes: [...entity.spokes.values()].map(({ spoke, object }) => `${spoke} ${object}`),
    })),
  };
}

export function register(program: Command, frame: Frame): void {
  program
    .command('check')
    .description('look for every problem of truespoke.yaml and the mappings')
    .option('--connect', 'ask the hub and the spokes too; reads only')
    .addHelpText(
      'after',
      examples([
        ['truespoke check', 'file:line:column of every problem, exit code 2 if there is one'],
        ['truespoke check --connect', 'log in to every spoke and compare the mappings with what it has'],
      ]),
    )
    .action(async (_options: unknown, command: Command) => {
      frame.code = await execute(command.optsWithGlobals<CheckOptions>(), frame.io);
    });
}
