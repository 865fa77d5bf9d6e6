// Owns `truespoke init`: the first files of a project. Never overwrites: what is there stays and is named.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { ConfigError, type ExitCode } from '../base/errors.js';
import { examples, print, type Common, type Frame } from './command.js';
import type { Io } from './io.js';
import { mappingsFolder } from './package-files.js';
import { simulatedConfig, simulatedEnvironment, simulatedPorts, starterConfig, starterEnvironment } from './starter.js';

export interface Initialised {
  readonly folder: string;
  /** Relative to the folder. */
  readonly written: readonly string[];
  readonly kept: readonly string[];
}

export interface InitOptions extends Common {
  readonly simulated?: boolean;
}

export async function execute(folder: string, options: InitOptions, io: Io): Promise<ExitCode> {
  const simulated = options.simulated === true;
  const result = await initialise(resolve(io.cwd, folder), simulated);
  const at = relative(io.cwd, result.folder);
  print(io, options, result, (paint) =>
    [
      ...result.written.map((file) => `${paint.green('written')}  ${join(at, file)}`),
      ...result.kept.map((file) => `${paint.dim('kept')}     ${join(at, file)}`),
      '',
      simulated
        ? simulatedNext
        : 'Next: copy .env.example to .env and fill it in, edit truespoke.yaml, then run `truespoke check`.',
    ].join('\n'),
  );
  return 0;
}

const simulatedNext = `Next, each in a terminal of its own:
  truespoke simulate salesforce --port ${simulatedPorts.salesforce} --sample
  truespoke simulate shopify --port ${simulatedPorts.shopify} --sample
  truespoke run`;

export async function initialise(folder: string, simulated = false): Promise<Initialised> {
  const mappings = (await readdir(mappingsFolder)).filter((name) => /\.(yaml|json)$/.test(name)).sort();
  const files: (readonly [string, string])[] = [
    ['truespoke.yaml', simulated ? simulatedConfig : starterConfig],
    simulated ? ['.env', simulatedEnvironment] : ['.env.example', starterEnvironment],
  ];
  for (const name of mappings) files.push([join('mappings', name), await readFile(join(mappingsFolder, name), 'utf8')]);
  const written: string[] = [];
  const kept: string[] = [];
  try {
    await mkdir(join(folder, 'mappings'), { recursive: true });
    for (const [name, text] of files) ((await writeNew(join(folder, name), text)) ? written : kept).push(name);
  } catch (cause) {
    throw new ConfigError({
      code: 'cannot_write',
      message: `${folder} cannot be written to (${(cause as NodeJS.ErrnoException).code ?? String(cause)})`,
      hint: 'Choose another folder, or make this one writable.',
      cause,
    });
  }
  return { folder, written, kept };
}

async function writeNew(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

export function register(program: Command, frame: Frame): void {
  program
    .command('init [folder]')
    .description('write truespoke.yaml, starter mappings and .env.example; nothing is overwritten')
    .option('--simulated', 'pointed at `truespoke simulate`, .env included')
    .addHelpText(
      'after',
      examples([
        ['truespoke init', 'in this folder'],
        ['truespoke init acme', 'in the folder acme'],
        ['truespoke init --simulated', 'to try it against simulators'],
      ]),
    )
    .action(async (folder: string | undefined, _options: unknown, command: Command) => {
      frame.code = await execute(folder ?? '.', command.optsWithGlobals<InitOptions>(), frame.io);
    });
}
