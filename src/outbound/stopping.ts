// Owns telling a server that stops (F27) from one that only asks for a sign of life. Both ask through keep-alives that want
// an answer. In service it asks once, and again no sooner than half a wal_sender_timeout after an answer has reached it; a
// stopping server asks again upon every answer, without end, until all it sent is acknowledged. The times compared are the
// server's own: asks that lay in the socket while the reader was busy count as they were sent, not as they arrived. Pure.

/** A keep-alive that wants an answer. */
export interface Ask {
  /** How far the server has sent. */
  readonly lsn: bigint;
  /** By the server's clock. */
  readonly sentMs: number;
  /** By our monotonic clock. */
  readonly arrivedMs: number;
}

/** `answer` at once; `answer later`, so that a stopping server and we do not spin; `stopping`: let go. */
export type AskVerdict = 'answer' | 'answer later' | 'stopping';

/** So many quick asks in a row; the reader has so long to read and acknowledge what is left. */
const stopping = { asks: 3, graceMs: 500 };
/** Longer than our answer takes on a busy machine; a server that asks each second out of habit is not stopping. */
const repeatMsMax = 1_000;

export class Asks {
  private readonly repeatMsMax: number;
  private last: Ask | null = null;
  private sinceMs = 0;
  private count = 0;

  /** @param senderTimeoutMs wal_sender_timeout of the session; 0: the server asks only when it stops. */
  constructor(senderTimeoutMs: number) {
    this.repeatMsMax = senderTimeoutMs > 0 ? Math.min(repeatMsMax, senderTimeoutMs / 2) : repeatMsMax;
  }

  judge(ask: Ask): AskVerdict {
    const { last } = this;
    const gapMs = last === null ? Infinity : ask.sentMs - last.sentMs;
    this.last = ask;
    // A negative gap is a stepped clock, which proves nothing.
    if (last?.lsn !== ask.lsn || gapMs < 0 || gapMs >= this.repeatMsMax) {
      this.sinceMs = ask.arrivedMs;
      this.count = 1;
      return 'answer';
    }
    this.count += 1;
    const enough = this.count >= stopping.asks && ask.arrivedMs - this.sinceMs >= stopping.graceMs;
    return enough ? 'stopping' : 'answer later';
  }
}
