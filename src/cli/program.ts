// Owns the command line as a whole: its commands, common options, and what becomes of an error. Exit codes: 0 fine, 1 the thing asked
// about is not fine, 2 wrong usage or configuration, 3 something cannot be reached.
import { Command, CommanderError } from 'commander';
import type { ExitCode } from '../base/errors.js';
import { register as audit } from './audit.js';
import { register as backfill } from './backfill.js';
import { register as check } from './check.js';
import type { Common, Frame, Register } from './command.js';
import { register as conflicts } from './conflicts.js';
import { register as demo } from './demo.js';
import { register as init } from './init.js';
import { guarded, type Io } from './io.js';
import { register as merge } from './merge.js';
import { register as migrate } from './migrate.js';
import { version } from './package-files.js';
import { register as parked } from './parked.js';
import { register as pause } from './pause.js';
import { errorView, exitCodeOf, paintFor, renderError } from './render.js';
import { register as review } from './review.js';
import { register as reconcile } from './reconcile.js';
import { register as runEngine } from './run.js';
import { register as simulate } from './simulate.js';
import { register as sql } from './sql.js';
import { register as status } from './status.js';
import { register as token } from './token.js';

/** In the order of help. */
const commands: readonly Register[] = [
  init,
  check,
  migrate,
  runEngine,
  backfill,
  status,
  sql,
  pause,
  parked,
  conflicts,
  review,
  merge,
  audit,
  reconcile,
  simulate,
  demo,
  token,
];

const exitCodes = `
Exit codes:
  0  fine
  1  the thing asked about is not fine
  2  wrong usage or configuration
  3  something cannot be reached`;

export function createProgram(frame: Frame): Command {
  const { io } = frame;
  const program = new Command('truespoke')
    .description('Keeps business systems in agreement through a central Postgres hub.')
    .version(version(), '-V, --version', 'print the version')
    .option('-c, --config <file>', 'the configuration', 'truespoke.yaml')
    .option('--json', 'print results as JSON')
    .option('--verbose', 'show more: log lines, and stacks of errors')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    .showSuggestionAfterError()
    .showHelpAfterError('(add --help for usage)')
    .addHelpText('after', exitCodes)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => io.out.write(text),
      writeErr: (text) => io.err.write(text),
      getOutHelpWidth: () => io.out.columns,
      getErrHelpWidth: () => io.err.columns,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  // Settings are inherited by commands that are added after they are made.
  for (const register of commands) register(program, frame);
  return program;
}

/** Runs one command line; never rejects. */
export async function run(args: readonly string[], processIo: Io): Promise<ExitCode> {
  const io = guarded(processIo);
  const frame: Frame = { io, code: 0 };
  const program = createProgram(frame);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return frame.code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // it has printed what was wrong
    if (io.signal.aborted && error === io.signal.reason) {
      io.err.write('stopped before it was done\n');
      return 1;
    }
    const { json, verbose } = program.opts<Common>();
    if (json === true) io.out.write(`${JSON.stringify({ error: errorView(error) })}\n`);
    io.err.write(`${renderError(error, paintFor(io.err, io.env), verbose === true)}\n`);
    return exitCodeOf(error);
  }
}
