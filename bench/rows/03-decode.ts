// Row 3: client CPU a row of reading and decoding, ours against pg-logical-replication with its own parser; the same WAL, the same
// rows looked at. Also the two parsers alone over the same bytes, without a connection.
import { LogicalReplicationService, PgoutputPlugin } from 'pg-logical-replication';
import { zeroLsn } from '../../src/model/lsn.js';
import { Decoder } from '../../src/outbound/decode.js';
import { openSlot } from '../../src/outbound/slot.js';
import { isRow, readBare } from '../bare-reader.js';
import { compare, cpuMicros, interleave, type Bench, type Figure, type Row } from '../harness.js';
import type { BenchHub } from '../hub.js';
import { dropSlots, emptyStreamHub, insertInto, makeSlots, openStreamHub, publication } from '../stream.js';

const slots = ['bench_ours', 'bench_library', 'bench_bytes'] as const;

export const decoding: Row = {
  number: 3,
  name: '03-decode',
  title: 'decoding: client CPU a row, behind the connection and alone',
  async run(bench) {
    const hub = await openStreamHub(bench);
    try {
      const rows = bench.size(200_000, 2_000);
      return [
        ...(await measure(bench, hub, { rows, rowsPerTransaction: 1 })),
        ...(await measure(bench, hub, { rows, rowsPerTransaction: 1_000 })),
      ];
    } finally {
      await hub.drop();
    }
  },
};

async function measure(
  bench: Bench,
  hub: BenchHub,
  { rows, rowsPerTransaction }: { readonly rows: number; readonly rowsPerTransaction: number },
): Promise<readonly Figure[]> {
  const [ours, library, raw] = slots;
  let messages: readonly Message[] = [];
  const samples = await interleave(
    bench,
    {
      ours: () => readOurs(hub, ours, rows),
      library: () => readWithLibrary(hub, library, rows),
      oursAlone: () => Promise.resolve(decodeAll(messages)),
      libraryAlone: () => Promise.resolve(parseAll(messages)),
    },
    {
      async before() {
        await emptyStreamHub(hub);
        await makeSlots(hub, slots);
        await insertInto(hub, rows, rowsPerTransaction);
        messages = await collect(hub, raw, rows);
      },
      after: () => dropSlots(hub, slots),
    },
  );
  const goal = { bound: 'at most', value: 0.25 } as const;
  const against = 'PgoutputPlugin';
  const what = `${rowsPerTransaction.toLocaleString('en')}-row transactions`;
  return [
    compare({ what, unit: 'µs/row', against, goal }, samples.ours, samples.library, cpuMicros),
    compare(
      { what: `${what}, parser alone`, unit: 'µs/row', against, goal: null },
      samples.oursAlone,
      samples.libraryAlone,
      cpuMicros,
    ),
  ];
}

async function readOurs(hub: BenchHub, slot: string, rows: number): Promise<number> {
  const source = await openSlot({ url: hub.url, slot, publication, from: zeroLsn });
  let seen = 0;
  while (seen < rows) {
    const { messages } = await source.read({ messagesMax: 50_000, waitMs: 1_000 });
    for (const message of messages) if (message.kind === 'insert') seen += 1;
  }
  await source.close();
  return seen;
}

async function readWithLibrary(hub: BenchHub, slot: string, rows: number): Promise<number> {
  const service = new LogicalReplicationService(
    { connectionString: hub.url },
    { acknowledge: { auto: false, timeoutSeconds: 0 } },
  );
  const plugin = new PgoutputPlugin({ protoVersion: 1, publicationNames: [publication] });
  let seen = 0;
  await new Promise<void>((resolve, reject) => {
    service.on('data', (_lsn: string, message: { tag: string }) => {
      if (message.tag === 'insert') seen += 1;
      if (seen >= rows) resolve();
    });
    service.on('error', reject);
    service.subscribe(plugin, slot).catch(reject);
  });
  await service.stop();
  return seen;
}

/** One message and where it lies in the chunk that it arrived in. */
interface Message {
  readonly chunk: Buffer;
  readonly from: number;
  readonly to: number;
}

const chunkBytes = 64 * 1024;

/** The messages of one slot, lying in chunks as they arrive: 64 KiB each. */
async function collect(hub: BenchHub, slot: string, rows: number): Promise<readonly Message[]> {
  const messages: Message[] = [];
  let chunk = Buffer.alloc(chunkBytes);
  let at = 0;
  let seen = 0;
  await readBare({
    url: hub.url,
    slot,
    publication,
    onMessage: (bytes, from, to) => {
      if (at + to - from > chunkBytes) [chunk, at] = [Buffer.alloc(chunkBytes), 0];
      bytes.copy(chunk, at, from, to);
      messages.push({ chunk, from: at, to: at + to - from });
      at += to - from;
      if (isRow(bytes, from)) seen += 1;
    },
    done: () => seen >= rows,
  });
  return messages;
}

function decodeAll(messages: readonly Message[]): number {
  const decoder = new Decoder();
  let rows = 0;
  for (const { chunk, from, to } of messages) if (decoder.decode(chunk, from, to)?.kind === 'insert') rows += 1;
  return rows;
}

function parseAll(messages: readonly Message[]): number {
  const plugin = new PgoutputPlugin({ protoVersion: 1, publicationNames: [publication] });
  let rows = 0;
  for (const { chunk, from, to } of messages)
    if ((plugin.parse(chunk.subarray(from, to)) as { tag: string }).tag === 'insert') rows += 1;
  return rows;
}
