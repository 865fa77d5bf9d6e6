// Owns the replication source of a simulated run: the same bytes, the engine's own decoder, but peeked by SQL, so that reading is
// one event. Acknowledging is another: a crash may fall between. What the server was told is kept beside it and moves its slot now and
// then: moving it decodes all that it moves over and forgets every plan, a tenth of what Postgres did for a seed.
import { seeded, type Random } from '../../src/base/random.js';
import type { Clock } from '../../src/base/clock.js';
import type { ReplicationSource, SourceBatch, SourceMessage } from '../../src/model/change.js';
import { formatLsn, parseLsn, zeroLsn, type Lsn } from '../../src/model/lsn.js';
import { Decoder } from '../../src/outbound/decode.js';
import type { Pool } from '../../src/store/pool.js';
import { timePrefix } from './gated-pool.js';

const flushPrefix = 'simulated flush';

/** Flushes all WAL that there is; tells its own position. */
export const flushText = `select pg_logical_emit_message(true, '${flushPrefix}', '')::text as lsn`;

/** What the server of a slot knows: it outlives each stream. */
export interface SlotMemory {
  confirmed: Lsn;
  /** Acknowledgements since its own slot was moved. */
  ahead: number;
}

const acksPerMove = 8;

/** The server's own slot comes to where the server was told. */
export async function moveSlot(pool: Pool, slot: string, memory: SlotMemory): Promise<void> {
  memory.ahead = 0;
  await pool.query({
    name: 'move',
    text: `select pg_replication_slot_advance($1, $2::pg_lsn)::text as moved`,
    values: [slot, formatLsn(memory.confirmed)],
  });
}

export interface PeekedSourceOptions {
  readonly pool: Pool;
  readonly clock: Clock;
  readonly random: Random;
  readonly slot: string;
  readonly memory: SlotMemory;
  readonly publication: string;
  /** Waits between looks, ms. */
  readonly pollMs: number;
  /** The most that one read brings. */
  readonly messagesMax: number;
  readonly violated: (message: string) => void;
  /** The server loses this acknowledgement, as one that crashes before its checkpoint does (F4): the next stream begins before it. */
  readonly forgets: () => boolean;
}

export class PeekedSource implements ReplicationSource {
  private readonly decoder = new Decoder();
  private wanted: Lsn | null = null;
  private acknowledged: Lsn = zeroLsn;
  private read_: Lsn = zeroLsn;
  private ready: SourceMessage[] = [];
  private telling = false;

  constructor(private readonly options: PeekedSourceOptions) {}

  async read(): Promise<SourceBatch> {
    const { pool, clock, random, slot, publication, pollMs, messagesMax } = this.options;
    if (this.ready.length === 0) {
      await clock.sleep(1 + Math.floor(random.next() * pollMs));
      // Asked before looking: whatever is committed up to here is either in the answer or none of ours. It is a commit of its own,
      // because looking stops at a record of which Postgres has flushed a part only, until somebody commits: seconds, when all others wait.
      const { rows: at } = await pool.query(flushText);
      const { rows } = await pool.query({
        name: 'peek',
        text: `select data from pg_logical_slot_peek_binary_changes($1, null, null, 'proto_version', '1', 'publication_names', $2, 'messages', 'true')`,
        values: [slot, publication],
      });
      this.ready = this.fresh(rows.map((row) => Buffer.from((row['data'] ?? '').slice(2), 'hex')));
      if (this.ready.length === 0) return { messages: [], serverLsn: parseLsn(at[0]?.['lsn'] ?? '0/0') };
    }
    // A transaction may come in pieces.
    const size = 1 + Math.floor(random.next() * messagesMax);
    const messages = this.ready.splice(0, size);
    return { messages, serverLsn: zeroLsn };
  }

  acknowledge(position: Lsn): void {
    if (position < this.acknowledged) this.options.violated(`acknowledgement moved back to ${formatLsn(position)}`);
    this.wanted = position;
    // At once, as a status message goes: it may overtake whatever the engine does next.
    if (!this.telling) void this.tell();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private async tell(): Promise<void> {
    this.telling = true;
    try {
      while (this.wanted !== null) await this.tellServer();
    } catch {
      // A status message that was lost: the next one says more.
    } finally {
      this.telling = false;
    }
  }

  /** Acknowledged ≤ journaled: looked at where the server hears of it. */
  private async tellServer(): Promise<void> {
    if (this.wanted === null) return;
    const { pool, slot, memory, violated, forgets } = this.options;
    const { wanted } = this;
    const kept = !forgets();
    this.wanted = null;
    const text = formatLsn(wanted);
    const { rows } = await pool.query({
      name: 'ack',
      text: `select (durable_lsn >= $2::pg_lsn)::text as durable from truespoke.position where slot = $1`,
      values: [slot, text],
    });
    if (rows[0]?.['durable'] !== 'true') violated(`acknowledged ${text}, which is not durable`);
    this.acknowledged = wanted;
    if (!kept || wanted <= memory.confirmed) return;
    memory.confirmed = wanted;
    memory.ahead += 1;
    if (memory.ahead < acksPerMove) return;
    await moveSlot(pool, slot, memory);
    // Else every peek decodes from the last checkpoint on.
    await pool.query(`select pg_log_standby_snapshot()`);
  }

  /** Whole transactions that this connection has not delivered, with simulated commit times. */
  private fresh(data: readonly Buffer[]): SourceMessage[] {
    const { confirmed } = this.options.memory;
    const found: SourceMessage[] = [];
    let open: SourceMessage[] = [];
    let timeMs: number | null = null;
    for (const bytes of data) {
      const message = this.decoder.decode(bytes, 0, bytes.length);
      if (message === null) continue;
      if (message.kind === 'message' && message.prefix === timePrefix) {
        timeMs = Number(message.content);
        continue;
      }
      if (message.kind === 'message' && message.prefix === flushPrefix) {
        open = [];
        continue;
      }
      open.push(message);
      if (message.kind !== 'commit') continue;
      if (open.length === 1) {
        open = [];
        continue;
      }
      if (message.endLsn > this.read_ && message.endLsn > confirmed) {
        this.read_ = message.endLsn;
        const committedAtMs = timeMs ?? 0;
        found.push(
          ...open.map((one) => (one.kind === 'begin' || one.kind === 'commit' ? { ...one, committedAtMs } : one)),
        );
      }
      open = [];
      timeMs = null;
    }
    return found;
  }
}

export const sourceRandom = (seed: number): Random => seeded(seed);
