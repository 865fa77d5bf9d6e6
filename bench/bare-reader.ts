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

export interface NumberOptions extends Pick<BareOptions, 'url' | 'slot' | 'publication'> {
  readonly column: string;
  readonly note: (number: number) => void;
}

/** Reads until the connection ends, telling the numeric `column` of every new row. */
export async function readNumbers({ column, note, ...options }: NumberOptions): Promise<void> {
  const places = new Map<number, number>();
  await readBare({
    ...options,
    onMessage: (bytes, at) => {
      if (bytes[at] === relationTag) {
        places.set(bytes.readUInt32BE(at + 1), columnNames(bytes, at + 5).indexOf(column));
        return;
      }
      if (bytes[at] !== insertTag && bytes[at] !== updateTag) return;
      const place = places.get(bytes.readUInt32BE(at + 1)) ?? -1;
      if (place >= 0) note(Number(newValue(bytes, at + 5, place)));
    },
    done: () => false,
  });
}

const relationTag = 0x52;
const newTupleTag = 0x4e;
const textTag = 0x74;

/** Of a relation message behind its oid: two names, the replica identity, the columns. */
function columnNames(bytes: Buffer, from: number): readonly string[] {
  let at = bytes.indexOf(0, bytes.indexOf(0, from) + 1) + 2;
  const count = bytes.readUInt16BE(at);
  at += 2;
  const names: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const end = bytes.indexOf(0, at + 1);
    names.push(bytes.toString('utf8', at + 1, end));
    at = end + 9;
  }
  return names;
}

/** The text of one column in the new tuple; an old one may stand before it. */
function newValue(bytes: Buffer, from: number, place: number): string {
  let at = from;
  if (bytes[at] !== newTupleTag) at = afterColumns(bytes, at + 3, bytes.readUInt16BE(at + 1));
  at = afterColumns(bytes, at + 3, place);
  return bytes[at] === textTag ? bytes.toString('latin1', at + 5, at + 5 + bytes.readUInt32BE(at + 1)) : '';
}

function afterColumns(bytes: Buffer, from: number, count: number): number {
  let at = from;
  for (let i = 0; i < count; i += 1) at += bytes[at] === textTag ? 5 + bytes.readUInt32BE(at + 1) : 1;
  return at;
}
