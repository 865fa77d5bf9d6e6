// Owns what a command may touch of the process: its two outputs, environment, folder, time and the wish to stop.
// A command takes an Io, so a test runs it without a process.
import { systemClock, type Clock } from '../base/clock.js';

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
