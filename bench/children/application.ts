// The application: commits updates of one record each, as fast as it can or at a fixed rate, over several connections. What pgbench
// would do with this statement, without needing it installed. Notes when each commit was acknowledged to it.
import pg from 'pg';
import { serve, sharedMs } from './child.js';

export interface LoadSetup {
  readonly url: string;
  readonly connections: number;
  /** Commits a second over all connections; null = as fast as they go. */
  readonly perSecond: number | null;
  readonly seconds: number;
  /** The number of the first commit; each writes its own into the column. */
  readonly first: number;
  /** Names the column `$1` and the record `$2`. */
  readonly statement: string;
  readonly ids: readonly string[];
}

export interface LoadTold {
  readonly commits: number;
  readonly seconds: number;
  /** By number, from `first` on. */
  readonly acknowledgedMs: Float64Array;
  readonly longestMs: number;
}

const door = {
  async load(setup: LoadSetup): Promise<LoadTold> {
    const clients = Array.from({ length: setup.connections }, () => new pg.Client({ connectionString: setup.url }));
    await Promise.all(clients.map((client) => client.connect()));
    const from = sharedMs();
    const until = from + setup.seconds * 1_000;
    const acknowledged: number[] = [];
    let next = 0;
    let longestMs = 0;
    const one = async (client: pg.Client): Promise<void> => {
      for (;;) {
        const i = next;
        next += 1;
        if (setup.perSecond !== null) {
          const dueMs = from + (i * 1_000) / setup.perSecond;
          if (dueMs >= until) return;
          const waitMs = dueMs - sharedMs();
          // Due in less than a millisecond is due: timers are no finer.
          if (waitMs >= 1) await new Promise((resolve) => setTimeout(resolve, waitMs));
        }
        const startedMs = sharedMs();
        if (startedMs >= until) return;
        const id = setup.ids[(setup.first + i) % setup.ids.length];
        await client.query({ name: 'edit', text: setup.statement, values: [setup.first + i, id] });
        const atMs = sharedMs();
        acknowledged[i] = atMs;
        longestMs = Math.max(longestMs, atMs - startedMs);
      }
    };
    await Promise.all(clients.map(one));
    const seconds = (sharedMs() - from) / 1_000;
    await Promise.all(clients.map((client) => client.end()));
    const known = Float64Array.from(acknowledged, (value: number | undefined) => value ?? Number.NaN);
    return { commits: known.filter((value) => !Number.isNaN(value)).length, seconds, acknowledgedMs: known, longestMs };
  },
};

export type ApplicationDoor = typeof door;
serve(door);
