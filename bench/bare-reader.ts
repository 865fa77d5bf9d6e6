// Owns the references that read the same WAL: a connection that looks at nothing but frame heads and throws the rest away (what
// pg_recvlogical does, with larger reads), and one that hands the raw pgoutput messages out.
import type { Socket } from 'node:net';
import pg from 'pg';
import { zeroLsn } from '../src/model/lsn.js';
import { startReplicationText } from '../src/store/slots.js';
import { statusFrame } from '../src/outbound/frames.js';

export interface BareOptions {
  readonly url: string;
  readonly slot: string;
  readonly publication: string;
  /** Called with each message's bytes; the buffer is only lent. */
  readonly onMessage: (bytes: Buffer, from: number, to: number) => void;
  /** Asked after each read of the socket. */
  readonly done: () => boolean;
}

const copyData = 0x64;
const headerBytes = 5;
const messageAt = headerBytes + 25;
const xLogData = 0x77;
const keepAlive = 0x6b;
const errorResponse = 0x45;

/** Reads until `done`, acknowledging nothing but being alive; then leaves. */
export async function readBare(options: BareOptions): Promise<void> {
  const client = new pg.Client({ connectionString: options.url, replication: 'database' } as pg.ClientConfig);
  client.on('error', () => undefined);
  await client.connect();
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
  await new Promise<void>((resolve, reject) => {
    let rest: Buffer = Buffer.alloc(0);
    const read = (chunk: Buffer): void => {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      try {
        rest = bytes.subarray(walk(bytes, options, stream));
      } catch (error) {
        return reject(error instanceof Error ? error : new Error(String(error)));
      }
      if (options.done()) finish();
    };
    const finish = (): void => {
      stream.removeListener('data', read);
      stream.destroy();
      resolve();
    };
    stream.once('close', () => reject(new Error('the server ended the stream')));
    const { slot, publication } = options;
    // From here on the bytes are ours: what the driver's parser took would be missing.
    stream.removeAllListeners('data');
    stream.on('data', read);
    client.query(startReplicationText({ slot, publication, from: zeroLsn })).catch(reject);
  });
}

/** Returns where the first unfinished frame begins. */
function walk(bytes: Buffer, options: BareOptions, stream: Socket): number {
  let at = 0;
  while (at + headerBytes <= bytes.length) {
    const end = at + 1 + bytes.readInt32BE(at + 1);
    if (end > bytes.length) break;
    if (bytes[at] === copyData && bytes[at + headerBytes] === xLogData) options.onMessage(bytes, at + messageAt, end);
    else if (bytes[at] === copyData && bytes[at + headerBytes] === keepAlive && bytes[at + 22] === 1) {
      stream.write(statusFrame({ received: 0n, durable: 0n, nowMs: Date.now(), replyWanted: false }));
    } else if (bytes[at] === errorResponse)
      throw new Error(bytes.toString('utf8', at + headerBytes, end).replaceAll('\0', ' '));
    at = end;
  }
  return at;
}

const insertTag = 0x49;
const updateTag = 0x55;
const deleteTag = 0x44;

/** True for a message that carries a row. */
export function isRow(bytes: Buffer, at: number): boolean {
  const tag = bytes[at];
  return tag === insertTag || tag === updateTag || tag === deleteTag;
}

/** Reads `rows` rows and forgets them. */
export async function discardRows(url: string, slot: string, publication: string, rows: number): Promise<number> {
  let seen = 0;
  await readBare({
    url,
    slot,
    publication,
    onMessage: (bytes, at) => {
      if (isRow(bytes, at)) seen += 1;
    },
    done: () => seen >= rows,
  });
  return seen;
}
