// Owns a TCP proxy that breaks connections on command: reset, cut after a number of bytes, latency, black hole. For drills
// of the network between engine and hub, or engine and spoke. Every switch acts on open and on later connections.
import { createServer, Socket } from 'node:net';

export interface Proxy {
  readonly port: number;
  /** The same URL through the proxy. */
  through(url: string): string;
  /** Resets (RST) every open connection. */
  reset(): void;
  /** Resets each connection once the server has sent this many bytes over it; null = never. */
  cutAfter(bytes: number | null): void;
  /** Holds each piece back for this long, in both directions. */
  latency(ms: number): void;
  /** Swallows every byte both ways, without FIN or RST. */
  blackHole(on: boolean): void;
  /** Refuses new connections. */
  refuse(on: boolean): void;
  /** Bytes from the server that were passed on so far. */
  readonly bytesDown: () => number;
  close(): Promise<void>;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  down: number;
}

export async function startProxy(target: { readonly host: string; readonly port: number }): Promise<Proxy> {
  const pairs = new Set<Pair>();
  const timers = new Set<NodeJS.Timeout>();
  const state = { cutAfter: null as number | null, latencyMs: 0, hole: false, refuse: false, down: 0 };
  const drop = (pair: Pair): void => {
    pairs.delete(pair);
    pair.client.resetAndDestroy();
    pair.server.resetAndDestroy();
  };
  const pass = (pair: Pair, to: Socket, bytes: Buffer, down: boolean): void => {
    if (state.hole || to.destroyed) return;
    if (!down) return void to.write(bytes);
    const left = state.cutAfter === null ? bytes.length : state.cutAfter - pair.down;
    pair.down += bytes.length;
    state.down += bytes.length;
    if (bytes.length < left || state.cutAfter === null) return void to.write(bytes);
    to.write(bytes.subarray(0, Math.max(0, left)), () => drop(pair));
  };
  const link = (pair: Pair, from: Socket, to: Socket, down: boolean): void => {
    from.on('data', (bytes) => {
      if (state.latencyMs === 0) {
        pass(pair, to, bytes, down);
        // Without this the proxy would buffer what a slow reader leaves, and hide its back-pressure.
        if (to.writableNeedDrain && !state.hole) {
          from.pause();
          to.once('drain', () => from.resume());
        }
        return;
      }
      const timer = setTimeout(() => {
        timers.delete(timer);
        pass(pair, to, bytes, down);
      }, state.latencyMs);
      timers.add(timer);
    });
    from.on('error', () => undefined);
    from.on('end', () => !state.hole && to.end());
    from.on('close', () => {
      if (state.hole) return;
      pairs.delete(pair);
      to.destroy();
    });
  };
  const listener = createServer((client) => {
    if (state.refuse) return void client.resetAndDestroy();
    const server = new Socket();
    const pair: Pair = { client, server, down: 0 };
    pairs.add(pair);
    link(pair, client, server, false);
    link(pair, server, client, true);
    client.setNoDelay(true);
    server.setNoDelay(true);
    server.connect(target.port, target.host);
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  const { port } = address;
  return {
    port,
    through(url) {
      const parsed = new URL(url);
      parsed.hostname = '127.0.0.1';
      parsed.port = String(port);
      return parsed.toString();
    },
    reset: () => [...pairs].forEach(drop),
    cutAfter: (bytes) => (state.cutAfter = bytes),
    latency: (ms) => (state.latencyMs = ms),
    blackHole: (on) => (state.hole = on),
    refuse: (on) => (state.refuse = on),
    bytesDown: () => state.down,
    async close() {
      timers.forEach(clearTimeout);
      [...pairs].forEach(drop);
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
