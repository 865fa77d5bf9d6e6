// Owns what all commands share: the common options, how a result is printed, and how an action reports its exit code.
import { userInfo } from 'node:os';
import type { Command } from 'commander';
import { ConfigError, type ExitCode } from '../base/errors.js';
import type { Io } from './io.js';
import { paintFor, widthOf, type Paint } from './render.js';

/** Understood by every command. */
export interface Common {
  readonly json?: boolean;
  readonly verbose?: boolean;
  /** Path of truespoke.yaml, as given. */
  readonly config: string;
}

/** Where a command's outcome goes: commander's actions return nothing, the program wants a code. */
export interface Frame {
  readonly io: Io;
  code: ExitCode;
}

/** Adds itself to the program. */
export type Register = (program: Command, frame: Frame) => void;

/** One JSON value on a line for programs, or text for people; never both. */
export function print(io: Io, options: Common, result: unknown, text: (paint: Paint, width: number) => string): void {
  const shown = (): string => text(paintFor(io.out, io.env), widthOf(io.out));
  io.out.write(options.json === true ? `${JSON.stringify(result)}\n` : `${shown()}\n`);
}

/** An id that a list of ours showed. `what`: the id of what it is; `list`: the command that shows them. */
export function listedId(text: string, what: string, list: string): string {
  if (/^\d{1,18}$/.test(text)) return text;
  const hint = `\`${list}\` shows the ids: whole numbers.`;
  throw new ConfigError({ code: 'bad_id', message: `'${text}' is not the id of ${what}`, hint });
}

/** Who gives an order, for the audit. */
export function actor(): string {
  try {
    return `cli ${userInfo().username}`;
  } catch {
    // A container may run under a user id without a name.
    return `cli user ${process.getuid?.() ?? 'unknown'}`;
  }
}

/** A terminal of the usual width shows examples unbroken. */
const helpColumns = 80;

/** Help text with examples: what a person copies first. */
export function examples(lines: readonly (readonly [string, string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length));
  const wide = lines.some(([, meaning]) => width + meaning.length + '  $ '.length + 2 > helpColumns);
  const line = (command: string, meaning: string): string =>
    wide ? `  # ${meaning}\n  $ ${command}` : `  $ ${command.padEnd(width)}  ${meaning}`;
  return `\nExamples:\n${lines.map(([command, meaning]) => line(command, meaning)).join('\n')}`;
}
