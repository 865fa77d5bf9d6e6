// Owns cutting the server's byte stream into protocol frames. Row frames queue here as whole chunks, uncopied; everything
// else (errors, notices, end of copy) is handed on at once. Bounded by its owner, who stops feeding it.
import { UnreadableMessage } from './decode.js';

/** Frame types of the Postgres protocol, and of the replication protocol within CopyData. */
const copyData = 0x64;
const keepAlive = 0x6b;
const headerBytes = 5;
/** Its clocks count microseconds from 2000. */
const postgresEpochMs = 946_684_800_000;
/** CopyData header, then: type, start, end, clock. */
export const rowOffset = headerBytes + 25;

export interface FrameEvents {
  /** A frame that is not CopyData, header included. */
  other(frame: Buffer): void;
  /** A keep-alive has arrived; it also stays in the queue, in its place. `sentMs` is the server's wall clock, in Unix ms. */
  keepAlive(serverLsn: bigint, sentMs: number, replyWanted: boolean): void;
}

export interface Chunk {
  readonly bytes: Buffer;
  /** Start of the next frame; moved by the reader. */
  at: number;
  readonly end: number;
}

export class Frames {
  /** Whole frames in order of arrival. The reader removes what it has read. */
  readonly chunks: Chunk[] = [];
  /** Bytes held, read frames of a half-read chunk included. */
  bytes = 0;
  private parts: Buffer[] = [];
  private partBytes = 0;
  private wanted = 0;

  constructor(private readonly events: FrameEvents) {}

  push(arrived: Buffer): void {
    let bytes = arrived;
    if (this.parts.length > 0) {
      this.parts.push(arrived);
      this.partBytes += arrived.length;
      // A large value arrives in thousands of pieces: join them once, not each time.
      if (this.partBytes < this.wanted) return;
      bytes = Buffer.concat(this.parts);
      this.parts = [];
      this.partBytes = 0;
    }
    const end = this.walk(bytes);
    if (end < bytes.length) this.keepPart(bytes.subarray(end));
  }

  /** Drops the first chunk: all of it was read. */
  shift(): void {
    this.bytes -= this.chunks.shift()?.bytes.length ?? 0;
  }

  clear(): void {
    this.chunks.length = 0;
    this.parts = [];
    this.partBytes = 0;
    this.bytes = 0;
  }

  /** Held in all, the unfinished frame too. */
  heldBytes(): number {
    return this.bytes + this.partBytes;
  }

  private walk(bytes: Buffer): number {
    let at = 0;
    let rows = false;
    while (at + headerBytes <= bytes.length) {
      const length = bytes.readInt32BE(at + 1);
      if (length < 4) throw new UnreadableMessage(`a frame of ${length} bytes`);
      const end = at + 1 + length;
      if (end > bytes.length) break;
      if (bytes[at] !== copyData) this.events.other(bytes.subarray(at, end));
      else {
        rows = true;
        if (bytes[at + headerBytes] === keepAlive) {
          const sentMs = postgresEpochMs + Number(bytes.readBigInt64BE(at + 14)) / 1000;
          this.events.keepAlive(bytes.readBigUInt64BE(at + 6), sentMs, bytes[at + 22] === 1);
        }
      }
      at = end;
    }
    if (rows) {
      this.chunks.push({ bytes, at: 0, end: at });
      this.bytes += bytes.length;
    }
    return at;
  }

  private keepPart(part: Buffer): void {
    this.parts = [part];
    this.partBytes = part.length;
    this.wanted = part.length < headerBytes ? headerBytes : 1 + part.readInt32BE(1);
  }
}

const xLogData = 0x77;

/** What stands at the head of a chunk. `kind` is row, keepAlive or other; the fields say where. Reused, never kept. */
export interface FrameHead {
  kind: 'row' | 'keepAlive' | 'other';
  end: number;
  lsnHigh: number;
  lsnLow: number;
}

/** Reads the frame at `chunk.at` into `head`, without an allocation a frame. */
export function readHead(chunk: Chunk, head: FrameHead): void {
  const { bytes, at } = chunk;
  head.end = at + 1 + bytes.readInt32BE(at + 1);
  const type = bytes[at] === copyData ? bytes[at + headerBytes] : 0;
  head.kind = type === xLogData ? 'row' : type === keepAlive ? 'keepAlive' : 'other';
  if (head.kind === 'other') return;
  // Of a row: the position of this change. Of a keep-alive: how far the server has read.
  head.lsnHigh = bytes.readUInt32BE(at + 6);
  head.lsnLow = bytes.readUInt32BE(at + 10);
}

/** The 34-byte standby status in its CopyData frame: exact positions, nothing added to them. */
export function statusFrame(status: {
  readonly received: bigint;
  readonly durable: bigint;
  readonly nowMs: number;
  readonly replyWanted: boolean;
}): Buffer {
  const frame = Buffer.alloc(39);
  frame[0] = copyData;
  frame.writeInt32BE(38, 1);
  frame[5] = 0x72; // r
  frame.writeBigUInt64BE(status.received, 6);
  frame.writeBigUInt64BE(status.durable, 14);
  frame.writeBigUInt64BE(status.durable, 22);
  frame.writeBigInt64BE(BigInt(Math.round(status.nowMs) - postgresEpochMs) * 1000n, 30);
  frame[38] = status.replyWanted ? 1 : 0;
  return frame;
}

/** Polite end of the protocol session. */
export const terminateFrame = Buffer.from([0x58, 0, 0, 0, 4]);
