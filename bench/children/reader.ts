// A bare reader of the hub's WAL: notes when each row became visible to it and does nothing else. What any captor pays at least.
import { readNumbers } from '../bare-reader.js';
import { serve, sharedMs } from './child.js';

export interface ReaderSetup {
  readonly url: string;
  readonly slot: string;
  readonly publication: string;
  /** The numeric column that tells one change from another. */
  readonly column: string;
}

let seen: number[] = [];

const door = {
  /** Reads until the process is killed. */
  read({ url, slot, publication, column }: ReaderSetup): void {
    const note = (number: number): void => void seen.push(number, sharedMs());
    readNumbers({ url, slot, publication, column, note }).catch((error: unknown) => {
      process.stderr.write(`bare reader: ${String(error)}\n`);
      process.exit(1);
    });
  },
  /** Number and time of becoming visible, in pairs, since the last time. */
  told(_: null): Float64Array {
    const all = Float64Array.from(seen);
    seen = [];
    return all;
  },
};

export type ReaderDoor = typeof door;
serve(door);
