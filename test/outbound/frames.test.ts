import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Decoder, UnreadableMessage } from '../../src/outbound/decode.js';
import { type FrameHead, Frames, readHead, rowOffset } from '../../src/outbound/frames.js';

const frame = (type: string, payload: Buffer): Buffer => {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(4 + payload.length, 1);
  return Buffer.concat([head, payload]);
};
const u16 = (n: number): Buffer => Buffer.from([n >> 8, n & 255]);
const u32 = (n: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(n);
  return bytes;
};
const u64 = (n: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(n);
  return bytes;
};
const row = (at: bigint, message: Buffer): Buffer =>
  frame('d', Buffer.concat([Buffer.from('w'), u64(at), u64(at), u64(0n), message]));
const keepAlive = (at: bigint, reply: boolean): Buffer =>
  frame('d', Buffer.concat([Buffer.from('k'), u64(at), u64(1_500_000n), Buffer.from([reply ? 1 : 0])]));
const relation = Buffer.concat([
  Buffer.from('R'),
  u32(77),
  Buffer.from('hub\0t\0d'),
  u16(2),
  Buffer.from([1]),
  Buffer.from('id\0'),
  u32(23),
  u32(0),
  Buffer.from([0]),
  Buffer.from('v\0'),
  u32(25),
  u32(0),
]);
const value = (text: string | null | undefined): Buffer => {
  if (text === undefined) return Buffer.from('u');
  if (text === null) return Buffer.from('n');
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from('t'), u32(bytes.length), bytes]);
};
const insert = (values: readonly (string | null | undefined)[]): Buffer =>
  Buffer.concat([Buffer.from('I'), u32(77), Buffer.from('N'), u16(values.length), ...values.map(value)]);

/** Feeds the bytes in the given pieces and returns what comes out, in order. */
function run(
  bytes: Buffer,
  cuts: readonly number[],
): { rows: unknown[]; asked: bigint[]; other: string[]; lsn: bigint } {
  const asked: bigint[] = [];
  const other: string[] = [];
  const frames = new Frames({
    other: (found) => other.push(found.toString('latin1', 0, 1)),
    keepAlive: (at, sentMs, reply) => {
      expect(sentMs).toBe(Date.UTC(2000, 0, 1) + 1_500);
      if (reply) asked.push(at);
    },
  });
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let from = 0;
  for (const to of [...places, bytes.length]) {
    if (to > from) frames.push(Buffer.from(bytes.subarray(from, to)));
    from = to;
  }
  const decoder = new Decoder();
  const head: FrameHead = { kind: 'other', end: 0, lsnHigh: 0, lsnLow: 0 };
  const rows: unknown[] = [];
  let lsn = 0n;
  for (let chunk = frames.chunks[0]; chunk !== undefined; chunk = frames.chunks[0]) {
    for (; chunk.at < chunk.end; chunk.at = head.end) {
      readHead(chunk, head);
      if (head.kind === 'other') continue;
      lsn = (BigInt(head.lsnHigh) << 32n) | BigInt(head.lsnLow);
      if (head.kind !== 'row') continue;
      const message = decoder.decode(chunk.bytes, chunk.at + rowOffset, head.end);
      if (message?.kind === 'insert') rows.push(message.new);
    }
    frames.shift();
  }
  expect(frames.heldBytes()).toBe(0);
  return { rows, asked, other, lsn };
}

const tuple = fc.tuple(
  fc.oneof(fc.string({ unit: 'grapheme', maxLength: 40 }), fc.constant('\uFEFFx')),
  fc.option(fc.oneof(fc.string({ unit: 'binary' }), fc.constant(undefined)), { nil: null }),
);

test('however the network cuts the bytes, the same rows, keep-alives and other frames come out in order', () => {
  fc.assert(
    fc.property(fc.array(tuple, { maxLength: 20 }), fc.array(fc.nat(), { maxLength: 30 }), (tuples, cuts) => {
      const bytes = Buffer.concat([
        frame('N', Buffer.from('SNOTICE\0\0')),
        row(0n, relation),
        ...tuples.flatMap((values, i) => [row(BigInt(i), insert(values)), keepAlive(BigInt(i), i % 2 === 0)]),
        frame('C', Buffer.from('COPY 0\0')),
        keepAlive(0x1_8000_0001n, false),
      ]);
      const { rows, asked, other, lsn } = run(bytes, cuts);
      expect(rows).toEqual(tuples);
      expect(asked).toEqual(tuples.flatMap((_, i) => (i % 2 === 0 ? [BigInt(i)] : [])));
      expect(other).toEqual(['N', 'C']);
      expect(lsn).toBe(0x1_8000_0001n);
    }),
  );
});

test('a value of many pieces is joined once and arrives whole', () => {
  const big = 'ü'.repeat(500_000);
  const bytes = Buffer.concat([row(0n, relation), row(1n, insert(['1', big]))]);
  const { rows } = run(
    bytes,
    Array.from({ length: 500 }, (_, i) => i * 1_999),
  );
  expect(rows).toEqual([['1', big]]);
});

test('bytes that are no message throw UnreadableMessage or RangeError and nothing else, whatever they are', () => {
  const decoder = new Decoder();
  decoder.decode(relation, 0, relation.length);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 60 }), fc.constantFrom(...'BCDIMORTUY?'), (noise, kind) => {
      const bytes = Buffer.from(noise);
      bytes.write(kind, 0, 'latin1');
      try {
        decoder.decode(bytes, 0, bytes.length);
      } catch (error) {
        expect(error instanceof UnreadableMessage || error instanceof RangeError).toBe(true);
      }
    }),
  );
});

test('every message cut short anywhere is refused, never read as a shorter one', () => {
  const whole = insert(['17', 'some text']);
  for (let end = 1; end < whole.length; end += 1) {
    const decoder = new Decoder();
    decoder.decode(relation, 0, relation.length);
    // The bytes behind the cut are those of the next message, as they would be on the wire.
    expect(() => decoder.decode(whole, 0, end)).toThrow();
  }
});

test('an announcement of the same shape keeps the same object, another shape makes a new one', () => {
  const decoder = new Decoder();
  const read = (): unknown => {
    const message = decoder.decode(insert(['1', null]), 0, insert(['1', null]).length);
    return message?.kind === 'insert' ? message.relation : null;
  };
  decoder.decode(relation, 0, relation.length);
  const first = read();
  decoder.decode(relation, 0, relation.length);
  expect(read()).toBe(first);
  const renamed = Buffer.from(relation.toString('latin1').replace('v\0', 'w\0'), 'latin1');
  decoder.decode(renamed, 0, renamed.length);
  expect(read()).not.toBe(first);
});

test('a row of a relation that was not announced is refused', () => {
  const decoder = new Decoder();
  const message = insert(['1', null]);
  expect(() => decoder.decode(message, 0, message.length)).toThrow(/not announced/);
});
