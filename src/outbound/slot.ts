// Owns the replication connection: the only importer of pg-logical-replication, which opens the connection and starts the
// stream. Rows, keep-alives and acknowledgements are ours, because the library acknowledges received instead of durable
// positions, adds one to them, and swallows handler errors. Promises: nothing is acknowledged but what acknowledge() was
// told; reading is pulled, so a slow consumer slows the server; one object is one connection, dead after its first error.
import { Socket } from 'node:net';
import type { Client } from 'pg';
import { LogicalReplicationService, PgoutputPlugin } from 'pg-logical-replication';
import { assert } from '../base/assert.js';
import { type Clock, systemClock } from '../base/clock.js';
import type { ReplicationSource, SourceBatch, SourceMessage } from '../model/change.js';
import { formatLsn, type Lsn, lsn } from '../model/lsn.js';
import { textFormat } from '../store/pool.js';
import { senderTimeoutText, startReplicationText } from '../store/slots.js';
import { Decoder } from './decode.js';
import { type FrameHead, Frames, readHead, rowOffset, statusFrame, terminateFrame } from './frames.js';
import { sourceFailure } from './source-failure.js';
import { Asks } from './stopping.js';

export interface SlotOptions {
  /** Of the hub itself, never of a pooler. */
  readonly url: string;
  readonly slot: string;
  readonly publication: string;
  /** The last durable commit end; the server starts at the later of this and its own confirmed position. */
  readonly from: Lsn;
  readonly applicationName?: string;
  readonly clock?: Clock;
  /** Received but not yet read, at most about this much; then the socket is left alone and the server waits. */
  readonly bufferBytesMax?: number;
  /** F30: without a sign of life for this long the stream counts as broken. */
  readonly silenceMsMax?: number;
  readonly connectTimeoutMs?: number;
}

/** Opens the stream; rejects with a TruespokeError (slot_in_use, slot_missing, slot_lost, source_unreachable …). */
export async function openSlot(options: SlotOptions): Promise<ReplicationSource> {
  const stream = new SlotStream(options);
  await stream.open();
  return stream;
}

const mebibyte = 1024 * 1024;
/** An acknowledgement may wait this long for a later one: each status costs the walsender a wake-up. */
const acknowledgeEveryMs = 100;
/**
 * Postgres 16 to 18 now and then sleep through a commit (wait event WalSenderWaitForWal, flushed beyond sent): their walsender
 * looks at the flushed position first and lines up for the wake-up after. A status makes it look again, so that a change on
 * a quiet hub is late by this much and not by half a wal_sender_timeout.
 */
const statusEveryMsMax = 500;
/** A stopping server asks again upon each answer (F27): so often is enough. */
const answerAgainMs = 50;
/** Above this many arrivals a millisecond, wait one: fewer, larger reads cost a fraction of the CPU. */
const arrivalsPerMsMax = 4;

/** Hands the library's START_REPLICATION over to us; its parser is never reached. */
class OwnStart extends PgoutputPlugin {
  constructor(private readonly begin: (client: Client) => Promise<void>) {
    super({ protoVersion: 1, publicationNames: [] });
  }
  override start(client: Client): Promise<void> {
    return this.begin(client);
  }
  override parse(): never {
    throw new Error('rows do not pass through the library');
  }
}

interface Wait {
  readonly dueMs: number;
  readonly resolve: () => void;
}

class SlotStream implements ReplicationSource {
  private readonly clock: Clock;
  private readonly bufferBytesMax: number;
  private readonly silenceMsMax: number;
  private readonly stopped = new AbortController();
  private readonly decoder = new Decoder();
  private readonly head: FrameHead = { kind: 'other', end: 0, lsnHigh: 0, lsnLow: 0 };
  private readonly frames: Frames;
  private readonly service: LogicalReplicationService;
  private socket: Socket | null = null;
  private forward: readonly ((frame: Buffer) => void)[] = [];
  private failure: Error | null = null;
  private closing = false;
  private wait: Wait | null = null;
  /** When waits are looked at next. */
  private alarmMs = Infinity;
  private reading = false;

  /** Furthest position handed out by read(); what acknowledge() may name at most. */
  private serverLsn: Lsn;
  /** Furthest position that has arrived; only tells the server how far we have received. */
  private received: bigint;
  private durable: Lsn;
  private told: Lsn;

  private lastHeardMs: number;
  private lastStatusMs = -Infinity;
  private statusEveryMs = statusEveryMsMax;
  private statusPlanned = false;
  private takePlanned = false;
  private paused = false;
  private arrivals = { sinceMs: 0, count: 0 };
  private asks = new Asks(60_000);

  constructor(private readonly options: SlotOptions) {
    this.clock = options.clock ?? systemClock;
    this.bufferBytesMax = options.bufferBytesMax ?? 4 * mebibyte;
    this.silenceMsMax = options.silenceMsMax ?? 45_000;
    this.serverLsn = this.durable = this.told = options.from;
    this.received = options.from;
    this.lastHeardMs = this.clock.monotonic();
    this.frames = new Frames({
      other: (frame) => this.forward.forEach((listener) => listener(frame)),
      keepAlive: (position, sentMs, replyWanted) => this.keepAlive(position, sentMs, replyWanted),
    });
    this.service = new LogicalReplicationService(
      {
        connectionString: options.url,
        application_name: options.applicationName ?? 'truespoke capture',
        connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
        keepAlive: true,
        // With a mark of one byte, Node reads the socket once for each time that we ask: exact back-pressure.
        stream: () => new Socket({ highWaterMark: 1 } as ConstructorParameters<typeof Socket>[0]),
      },
      // Its timer acknowledges what was received, durable or not.
      { acknowledge: { auto: false, timeoutSeconds: 0 } },
    );
  }

  async open(): Promise<void> {
    const started = new Promise<void>((resolve, reject) => {
      this.service.on('start', () => resolve());
      this.service.on('error', (error) => {
        this.fail(error);
        reject(error);
      });
      this.service
        .subscribe(new OwnStart((client) => this.begin(client)), this.options.slot, formatLsn(this.options.from))
        .then(
          () => {
            this.fail(new Error('the server ended the stream'));
            reject(new Error('the server ended the stream'));
          },
          (error: unknown) => {
            this.fail(error);
            reject(error instanceof Error ? error : new Error(String(error)));
          },
        );
    });
    try {
      await started;
    } catch (error) {
      throw this.failure ?? sourceFailure(error, this.options.slot);
    }
    void this.watch();
  }

  private async begin(client: Client): Promise<void> {
    const { rows } = await client.query<{ timeout_ms: string }>(senderTimeoutText);
    const timeoutMs = Number(rows[0]?.timeout_ms ?? 60_000);
    this.asks = new Asks(timeoutMs);
    if (timeoutMs > 0) this.statusEveryMs = Math.min(this.statusEveryMs, Math.max(100, timeoutMs / 3));
    // The walsender writes values with its own session's settings.
    await client.query(textFormat);
    // Postgres 18 goes on without a missing publication and only warns: the changes would be missing in silence.
    client.on('notice', ({ severity, code, message }) => {
      if (severity === 'WARNING' && code === '55000' && /publication/.test(message ?? ''))
        this.fail(new Error(message));
    });
    const { connection } = client as unknown as { connection: { stream: Socket } };
    const socket = connection.stream;
    // From here on the bytes are ours; the library's client gets only what is not CopyData.
    this.forward = socket.listeners('data') as ((frame: Buffer) => void)[];
    socket.removeAllListeners('data');
    this.socket = socket;
    socket.on('readable', () => this.arrived());
    socket.once('close', () => this.fail(new Error('the connection was closed')));
    await client.query(
      startReplicationText({ slot: this.options.slot, publication: this.options.publication, from: this.options.from }),
    );
  }

  // --- arriving bytes -------------------------------------------------------------------------------------------

  private arrived(): void {
    const now = this.clock.monotonic();
    if (now - this.arrivals.sinceMs >= 1) this.arrivals = { sinceMs: now, count: 0 };
    this.arrivals.count += 1;
    if (this.arrivals.count <= arrivalsPerMsMax) return this.take();
    if (this.takePlanned) return;
    this.takePlanned = true;
    void this.clock.sleep(1).then(() => {
      this.takePlanned = false;
      this.take();
    });
  }

  /** Moves what Node holds into the queue; when the queue is full, nothing more is asked of the socket. */
  private take(): void {
    const { socket } = this;
    if (socket === null || this.failure !== null) return;
    for (;;) {
      if (this.frames.chunks.length > 0 && this.frames.heldBytes() >= this.bufferBytesMax && !this.closing) {
        this.paused = true;
        break;
      }
      const bytes = socket.read() as Buffer | null;
      if (bytes === null) break;
      this.lastHeardMs = this.clock.monotonic();
      if (this.closing) continue;
      try {
        this.frames.push(bytes);
      } catch (error) {
        return this.fail(error);
      }
    }
    if (this.frames.chunks.length > 0) this.wake();
  }

  private resume(): void {
    if (!this.paused || this.frames.heldBytes() > this.bufferBytesMax / 2) return;
    this.paused = false;
    this.lastHeardMs = this.clock.monotonic();
    this.take();
  }

  private keepAlive(position: bigint, sentMs: number, replyWanted: boolean): void {
    if (position > this.received) this.received = position;
    if (!replyWanted) return;
    const verdict = this.asks.judge({ lsn: position, sentMs, arrivedMs: this.clock.monotonic() });
    if (verdict === 'answer') return this.tell(false);
    // What we hold will be sent again, so letting go loses nothing.
    if (verdict === 'stopping') return this.fail(new Error('the server is shutting down'));
    void this.clock.sleep(answerAgainMs, this.stopped.signal).then(() => this.tell(false));
  }

  // --- reading --------------------------------------------------------------------------------------------------

  async read(limits: { readonly messagesMax: number; readonly waitMs: number }): Promise<SourceBatch> {
    assert(!this.reading, 'two reads of one stream at the same time');
    this.reading = true;
    try {
      const until = this.clock.monotonic() + limits.waitMs;
      for (;;) {
        if (this.failure !== null) throw this.failure;
        const before = this.serverLsn;
        const messages = this.drain(limits.messagesMax);
        this.resume();
        const leftMs = until - this.clock.monotonic();
        if (messages.length > 0 || this.serverLsn > before || leftMs <= 0)
          return { messages, serverLsn: this.serverLsn };
        await this.waitForFrames(leftMs);
      }
    } finally {
      this.reading = false;
    }
  }

  private waitForFrames(ms: number): Promise<void> {
    if (this.frames.chunks.length > 0 || this.failure !== null) return Promise.resolve();
    const dueMs = this.clock.monotonic() + ms;
    this.setAlarm(dueMs);
    return new Promise((resolve) => (this.wait = { dueMs, resolve }));
  }

  /**
   * One timer serves many waits: it is left alone when bytes come, and looks then who still waits. A timer with a signal for each wait,
   * cancelled at each arrival, was a third of our CPU behind the connection (an aborted signal makes an exception with its stack).
   */
  private setAlarm(dueMs: number): void {
    if (this.alarmMs <= dueMs) return;
    this.alarmMs = dueMs;
    void this.clock.sleep(dueMs - this.clock.monotonic(), this.stopped.signal).then(() => {
      if (this.alarmMs === dueMs) this.alarmMs = Infinity;
      if (this.wait === null) return;
      if (this.wait.dueMs <= dueMs) this.wake();
      else this.setAlarm(this.wait.dueMs);
    });
  }

  private wake(): void {
    const { wait } = this;
    this.wait = null;
    wait?.resolve();
  }

  private drain(messagesMax: number): SourceMessage[] {
    const messages: SourceMessage[] = [];
    const { head, frames } = this;
    let high = Number(this.serverLsn >> 32n);
    let low = Number(this.serverLsn & 0xffffffffn);
    try {
      for (
        let chunk = frames.chunks[0];
        chunk !== undefined && messages.length < messagesMax;
        chunk = frames.chunks[0]
      ) {
        while (chunk.at < chunk.end && messages.length < messagesMax) {
          readHead(chunk, head);
          if (head.kind !== 'other' && (head.lsnHigh > high || (head.lsnHigh === high && head.lsnLow > low))) {
            high = head.lsnHigh;
            low = head.lsnLow;
          }
          if (head.kind === 'row') {
            const message = this.decoder.decode(chunk.bytes, chunk.at + rowOffset, head.end);
            if (message !== null) messages.push(message);
          }
          chunk.at = head.end;
        }
        if (chunk.at >= chunk.end) frames.shift();
      }
    } catch (error) {
      // F55: what stands before the unreadable message is handed out first; then the stream is dead.
      this.fail(error);
      if (messages.length === 0) throw this.failure ?? error;
    }
    if (frames.chunks.length === 0) this.decoder.release();
    this.serverLsn = lsn((BigInt(high) << 32n) | BigInt(low));
    if (this.serverLsn > this.received) this.received = this.serverLsn;
    return messages;
  }

  // --- acknowledging --------------------------------------------------------------------------------------------

  acknowledge(position: Lsn): void {
    assert(
      position >= this.durable,
      `acknowledgement moved back: ${formatLsn(this.durable)} to ${formatLsn(position)}`,
    );
    assert(
      position <= this.serverLsn,
      `acknowledgement ahead of the server: ${formatLsn(position)} after ${formatLsn(this.serverLsn)}`,
    );
    this.durable = position;
    if (this.durable === this.told || this.statusPlanned) return;
    const waitMs = this.lastStatusMs + acknowledgeEveryMs - this.clock.monotonic();
    if (waitMs <= 0) return this.tell(false);
    this.statusPlanned = true;
    void this.clock.sleep(waitMs, this.stopped.signal).then(() => {
      this.statusPlanned = false;
      if (this.durable !== this.told) this.tell(false);
    });
  }

  private tell(replyWanted: boolean): void {
    if (this.failure !== null || this.socket?.writable !== true) return;
    this.lastStatusMs = this.clock.monotonic();
    this.told = this.durable;
    const { received, durable } = this;
    this.socket.write(statusFrame({ received, durable, nowMs: this.clock.now(), replyWanted }));
  }

  /** Keeps the server from giving us up, and notices when it is the server that is gone. */
  private async watch(): Promise<void> {
    const { signal } = this.stopped;
    const everyMs = Math.min(this.statusEveryMs, this.silenceMsMax / 4);
    while (!signal.aborted) {
      await this.clock.sleep(everyMs, signal);
      if (signal.aborted || this.failure !== null) return;
      const now = this.clock.monotonic();
      const silentMs = this.paused ? 0 : now - this.lastHeardMs;
      if (silentMs >= this.silenceMsMax) {
        return this.fail(new Error(`no sign of life from the server for ${Math.round(silentMs / 1000)} s`));
      }
      this.tell(silentMs >= this.silenceMsMax / 4);
    }
  }

  // --- ending ---------------------------------------------------------------------------------------------------

  private fail(cause: unknown): void {
    if (this.failure !== null) return;
    this.failure = this.closing
      ? sourceFailure(new Error('the stream was closed'), this.options.slot)
      : sourceFailure(cause, this.options.slot);
    this.stopped.abort();
    this.frames.clear();
    this.wake();
    this.socket?.destroy();
  }

  /** Tells the server the last durable position and leaves. The slot is free when this resolves (or after a second). */
  async close(): Promise<void> {
    if (this.closing || this.failure !== null) return;
    const { socket } = this;
    if (socket !== null && !socket.destroyed) {
      const gone = new AbortController();
      socket.once('close', () => gone.abort());
      this.tell(false);
      this.closing = true;
      this.frames.clear();
      socket.write(terminateFrame);
      // Unread rows would keep the server writing and us from seeing its end.
      this.paused = false;
      this.take();
      await this.clock.sleep(1_000, gone.signal);
    }
    this.closing = true;
    this.fail(null);
  }
}
