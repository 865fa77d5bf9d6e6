// A remote system on a loopback port: takes writes, notes when each arrived, answers after a while. Refuses more calls at once than it
// has lanes, as a rate-limited API does, and counts the refusals.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve, sharedMs } from './child.js';

export interface RemoteSetup {
  readonly answerAfterMs: number;
  readonly lanesMax: number;
  /** The remote path whose number tells one write from another. */
  readonly noted: string;
}

export interface RemoteTold {
  /** Calls that wrote. */
  readonly calls: number;
  /** Calls that only looked. */
  readonly looks: number;
  readonly records: number;
  readonly refused: number;
  readonly atOnce: number;
  readonly firstAtMs: number;
  /** When the last answer went out. */
  readonly lastAtMs: number;
  /** Noted number and time of arrival, in pairs. */
  readonly seen: Float64Array;
}

export interface RemoteCall {
  /** Empty: a look. */
  readonly writes: readonly { readonly fields?: Readonly<Record<string, unknown>> }[];
}

let setup: RemoteSetup = { answerAfterMs: 0, lanesMax: 1, noted: '' };
let told = nothingYet();
let running = 0;

function nothingYet(): Omit<RemoteTold, 'seen'> & { seen: number[] } {
  return { calls: 0, looks: 0, records: 0, refused: 0, atOnce: 0, firstAtMs: 0, lastAtMs: 0, seen: [] };
}

function take(call: RemoteCall, atMs: number): void {
  const { calls, looks, seen } = told;
  if (calls + looks === 0) told = { ...told, firstAtMs: atMs };
  if (call.writes.length === 0) told = { ...told, looks: looks + 1 };
  else told = { ...told, calls: calls + 1, records: told.records + call.writes.length };
  for (const { fields } of call.writes) {
    const number = Number(fields?.[setup.noted]);
    if (Number.isFinite(number)) seen.push(number, atMs);
  }
}

function onRequest(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const atMs = sharedMs();
    if (running >= setup.lanesMax) {
      told = { ...told, refused: told.refused + 1 };
      response.writeHead(429).end();
      return;
    }
    running += 1;
    told = { ...told, atOnce: Math.max(told.atOnce, running) };
    take(JSON.parse(Buffer.concat(chunks).toString('utf8')) as RemoteCall, atMs);
    const answer = (): void => {
      running -= 1;
      told = { ...told, lastAtMs: sharedMs() };
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    };
    if (setup.answerAfterMs > 0) setTimeout(answer, setup.answerAfterMs);
    else answer();
  });
}

const server = createServer({ keepAliveTimeout: 60_000 }, onRequest);

const door = {
  async listen(wanted: RemoteSetup): Promise<string> {
    setup = wanted;
    if (!server.listening) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  },
  /** Everything since the last time. */
  told(_: null): RemoteTold {
    const all = told;
    told = nothingYet();
    return { ...all, seen: Float64Array.from(all.seen) };
  },
};

export type RemoteDoor = typeof door;
serve(door);
