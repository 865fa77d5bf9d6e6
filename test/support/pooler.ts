// Owns a stand-in for pgbouncer in transaction mode: many clients, one server connection each only from the first statement
// of a transaction to its end. Simple queries only; replication is refused, as pgbouncer does.
import { createServer, type Socket } from 'node:net';
import pg from 'pg';

export async function startTransactionPooler(url: string): Promise<{ readonly url: string; close(): Promise<void> }> {
  const idle: pg.Client[] = [];
  const all = new Set<pg.Client>();
  const borrow = async (): Promise<pg.Client> => {
    // Last in, first out, like pgbouncer.
    const known = idle.pop();
    if (known !== undefined) return known;
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    all.add(client);
    return client;
  };
  const serve = (socket: Socket): void => {
    let server: pg.Client | null = null;
    let started = false;
    let turn = Promise.resolve();
    const query = async (frame: Buffer): Promise<void> => {
      server ??= await borrow();
      const mine = server;
      const stream = (mine as unknown as { connection: { stream: Socket } }).connection.stream;
      const listeners = stream.listeners('data');
      stream.removeAllListeners('data');
      const status = await new Promise<number>((resolve) => {
        let seen = Buffer.alloc(0);
        stream.on('data', (bytes: Buffer) => {
          socket.write(bytes);
          seen = Buffer.concat([seen, bytes]);
          // ReadyForQuery is the last frame of an answer: Z, length 5, status.
          if (seen.subarray(-6, -1).equals(Buffer.from([0x5a, 0, 0, 0, 5]))) resolve(seen.at(-1) ?? 0);
        });
        stream.write(frame);
      });
      stream.removeAllListeners('data');
      for (const listener of listeners) stream.on('data', listener as (bytes: Buffer) => void);
      if (status === 0x49) {
        idle.push(mine);
        server = null;
      }
    };
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      if (!started) {
        started = true;
        if (bytes.includes('replication'))
          return void socket.end(refusal('unsupported startup parameter: replication'));
        // AuthenticationOk, then ReadyForQuery.
        return void socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49]));
      }
      // pg sends Parse/Bind/… in one write for statements with values, Q for the others; both end with one ReadyForQuery.
      if (bytes[0] === 0x58) return void socket.end();
      turn = turn.then(() => query(bytes));
    });
  };
  const listener = createServer(serve);
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('the pooler has no port');
  const through = new URL(url);
  through.port = String(address.port);
  return {
    url: through.toString(),
    async close() {
      for (const client of all) await client.end();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}

function refusal(message: string): Buffer {
  const fields = Buffer.from(`SFATAL\0C08P01\0M${message}\0\0`);
  const head = Buffer.from([0x45, 0, 0, 0, 0]);
  head.writeInt32BE(4 + fields.length, 1);
  return Buffer.concat([head, fields]);
}
