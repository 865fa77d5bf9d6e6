// Owns `truespoke check`: is the project sound? Offline by default. Changes nothing anywhere.
import type { Command } from 'commander';
import type { ExitCode } from '../base/errors.js';
import { examples, print, type Common, type Frame } from './command.js';
import type { Io } from './io.js';
import type { Project } from './project.js';
import { renderTable } from './render.js';

export interface CheckOptions extends Common {
  readonly connect?: boolean;
}

export async function execute(options: CheckOptions, io: Io): Promise<ExitCode> {
  // The connectors are loaded only here: help and usage errors stay instant.
  const { loadProject } = await import('./project.js');
  const project = await loadProject(options, io);
  const summary = summarise(project);
  print(io, options, { ok: true, ...summary }, (paint) => {
    const columns = [{ head: 'entity' }, { head: 'table' }, { head: 'fields', right: true }, { head: 'spokes' }];
    const rows = summary.entities.map((each) => [each.entity, each.table, String(each.fields), each.spokes.join(', ')]);
    return `${renderTable(columns, rows, paint)}\n\n${paint.green('no problems')}`;
  });
  return 0;
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
    .description('look for every problem of truespoke.yaml and the mappings, offline')
    .addHelpText(
      'after',
      examples([
        ['truespoke check', 'file:line:column of every problem, exit code 2 if there is one'],
        ['truespoke check --json', 'the same for a program'],
      ]),
    )
    .action(async (_options: unknown, command: Command) => {
      frame.code = await execute(command.optsWithGlobals<CheckOptions>(), frame.io);
    });
}
