// Owns a running engine to measure on: its process, the processes it talks to, and the wait until nothing is on its way. Whatever is
// started here ends with `end`, however the measuring went.
import { startChild, type Child, type Door } from './children/child.js';
import type { EngineDoor } from './children/engine.js';
import type { BenchSpoke, EngineSetup } from './children/engine-setup.js';
import type { BenchHub } from './hub.js';

export interface LiveEngine {
  readonly child: Child<EngineDoor>;
  /** Where webhooks go, without the spoke's name. */
  readonly webhooks: string;
  /** Waits until all that was committed so far is captured, and delivered unless `spokesDown`. */
  settled(options?: { readonly spokesDown: boolean }): Promise<void>;
  end(): Promise<void>;
}

/** One that does its work at once, with the lanes and batches of a real one. */
export const plainSpoke: BenchSpoke = {
  name: 'left',
  lanes: 5,
  writeBatch: 200,
  remote: null,
  answerAfterMs: 0,
  down: false,
  listed: 0,
};

export async function startEngine(
  hub: BenchHub,
  setup: Pick<EngineSetup, 'yaml' | 'spokes'> & Partial<EngineSetup>,
): Promise<LiveEngine> {
  const child = await startChild<EngineDoor>('engine');
  try {
    const webhooks = await child.ask('start', {
      url: hub.url,
      roles: ['capture', 'inbound', 'outbound'],
      bareStatement: null,
      ...setup,
    });
    const live: LiveEngine = {
      child,
      webhooks,
      settled: ({ spokesDown } = { spokesDown: false }) => settled(hub, spokesDown),
      async end() {
        await child.ask('stop', null).catch(() => undefined);
        await child.kill();
        await freeSlots(hub);
      },
    };
    // The first start compares every record once.
    await until(async () => (await hub.sql('select 1 from truespoke.position')).length > 0, 'the engine captures');
    return live;
  } catch (error) {
    await child.kill();
    throw error;
  }
}

async function settled(hub: BenchHub, spokesDown: boolean): Promise<void> {
  const [mark] = await hub.sql(`select pg_logical_emit_message(true, 'bench', 'settled')::text as lsn`);
  let quiet = 0;
  await until(async () => {
    const [row] = await hub.sql(
      `select (select count(*) from truespoke.position where durable_lsn > $1::pg_lsn)::text as captured,
              exists(select from truespoke.delivery where $2 <> 'down')::text as open,
              (select count(*) from truespoke.cursor where kind = 'scan' and finished_at is null)::text as scans`,
      [mark?.['lsn'] ?? '', spokesDown ? 'down' : 'up'],
    );
    quiet = row?.['captured'] === '1' && row['open'] === 'false' && row['scans'] === '0' ? quiet + 1 : 0;
    return quiet >= 3;
  }, 'everything has settled');
}

const giveUpAfterMs = 3_600_000;

/** Looks every few milliseconds; one look costs less than what is measured meanwhile would notice. */
export async function until(check: () => Promise<boolean>, what: string, everyMs = 20): Promise<void> {
  const end = performance.now() + giveUpAfterMs;
  while (!(await check())) {
    if (performance.now() > end) throw new Error(`it did not come about that ${what}`);
    await pause(everyMs);
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A killed reader's slot is busy for a moment. */
export async function freeSlots(hub: BenchHub): Promise<void> {
  const held = `from pg_replication_slots where database = current_database()`;
  await until(async () => (await hub.sql(`select 1 ${held} and active`)).length === 0, 'the slots are free');
  await hub.sql(`select pg_drop_replication_slot(slot_name) ${held}`);
}

/** A child for as long as `body` runs. */
export async function withChild<D extends Door, T>(file: string, body: (child: Child<D>) => Promise<T>): Promise<T> {
  const child = await startChild<D>(file);
  try {
    return await body(child);
  } finally {
    await child.kill();
  }
}
