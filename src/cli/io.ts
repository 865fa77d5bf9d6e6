// Owns what a command may touch of the process: its two outputs, environment, folder, time and the wish to stop.
// A command takes an Io, so a test runs it without a process.
import { systemClock, type Clock } from '../base/clock.js';
import { scrubber } from '../base/scrub.js';

export interface Output {
  write(text: string): void;
  /** A person is watching. */
  readonly terminal: boolean;
  /** Width in characters. */
  readonly columns: number;
}

export interface Io {
  readonly out: Output;
  readonly err: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute. */
  readonly cwd: string;
  readonly clock: Clock;
  /** Aborts at the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  /** From now on these texts are masked in everything that is written. */
  hide?(secrets: readonly string[]): void;
}

/** The same Io, with outputs that mask what `hide` is told. */
export function guarded(io: Io): Io {
  let scrub = scrubber([]);
  const known: string[] = [];
  const over = (output: Output): Output => ({
    write: (text) => output.write(scrub(text)),
    get terminal() {
      return output.terminal;
    },
    get columns() {
      return output.columns;
    },
  });
  return {
    ...io,
    out: over(io.out),
    err: over(io.err),
    hide(secrets) {
      known.push(...secrets);
      scrub = scrubber(known);
    },
  };
}

export function processIo(signal: AbortSignal): Io {
  return {
    out: output(process.stdout),
    err: output(process.stderr),
    env: process.env,
    cwd: process.cwd(),
    clock: systemClock,
    signal,
  };
}

function output(stream: NodeJS.WriteStream): Output {
  return {
    write: (text) => void stream.write(text),
    get terminal() {
      return stream.isTTY;
    },
    get columns() {
      return stream.columns > 0 ? stream.columns : 100;
    },
  };
}
