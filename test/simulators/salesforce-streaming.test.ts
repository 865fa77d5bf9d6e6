// Change events over CometD with jsforce's own streaming client.
import { createRequire } from 'node:module';
import { afterEach, beforeEach, expect, test } from 'vitest';
import jsforce from 'jsforce';
import { startSalesforce, type SalesforceSimulator } from '../../src/simulators/salesforce/server.js';

interface Extensions {
  readonly StreamingExtension: {
    readonly Replay: new (channel: string, replayId: number) => object;
    readonly AuthFailure: new (onFailure: (message: unknown) => void) => object;
  };
}
const { StreamingExtension } = createRequire(import.meta.url)('jsforce/lib/api/streaming') as Extensions;

interface Event {
  readonly payload: {
    readonly ChangeEventHeader: {
      readonly recordIds: string[];
      readonly changeType: string;
      readonly changedFields?: string[];
    };
  };
  readonly event: { readonly replayId: number };
}

interface FayeClient {
  subscribe(channel: string, listener: (event: Event) => void): PromiseLike<void> & { cancel(): void };
  disconnect(): void;
}

let sim: SalesforceSimulator;
let clients: FayeClient[] = [];

beforeEach(async () => {
  sim = await startSalesforce({ cometdTimeoutMs: 2_000 });
});

afterEach(async () => {
  for (const client of clients) client.disconnect();
  clients = [];
  await sim.close();
});

function client(token: string, ...extensions: object[]): FayeClient {
  const conn = new jsforce.Connection({ instanceUrl: sim.url, accessToken: token, version: '60.0' });
  const made = conn.streaming.createClient(extensions as never[]) as unknown as FayeClient;
  clients.push(made);
  return made;
}

const token = (): string => sim.auth.openSession(sim.credentials.username) ?? '';

/** Listens until `count` events have come. */
async function events(
  channel: string,
  count: number,
  replayId: number,
  then: () => Promise<unknown>,
): Promise<Event[]> {
  const seen: Event[] = [];
  let finished: () => void = () => undefined;
  const done = new Promise<void>((resolve) => (finished = resolve));
  const made = client(token(), new StreamingExtension.Replay(channel, replayId));
  await made.subscribe(channel, (event) => {
    seen.push(event);
    if (seen.length >= count) finished();
  });
  await then();
  await done;
  return seen;
}

test('create, update and delete arrive in order with what changed', async () => {
  const seen = await events('/data/ContactChangeEvent', 3, -1, async () => {
    const { id } = await sim.edit({ op: 'create', object: 'Contact', fields: { LastName: 'Stream' } });
    await sim.edit({ op: 'update', object: 'Contact', id, fields: { Phone: '123' } });
    await sim.edit({ op: 'delete', object: 'Contact', id });
  });
  expect(seen.map((event) => event.payload.ChangeEventHeader.changeType)).toEqual(['CREATE', 'UPDATE', 'DELETE']);
  expect(seen[1]?.payload.ChangeEventHeader.changedFields).toContain('Phone');
  expect(seen[1]?.payload).toMatchObject({ Phone: '123' });
});

test('a replay id gives what was missed, on the channel of all objects too', async () => {
  const [first = '', second = ''] = await Promise.all(
    ['A', 'B'].map(async (name) => (await sim.edit({ op: 'create', object: 'Account', fields: { Name: name } })).id),
  );
  const all = await events('/data/ChangeEvents', 2, -2, () => Promise.resolve());
  expect(all.map((event) => event.payload.ChangeEventHeader.recordIds[0])).toEqual([first, second]);
  const later = await events('/data/AccountChangeEvent', 1, all[0]?.event.replayId ?? 0, () => Promise.resolve());
  expect(later[0]?.payload.ChangeEventHeader.recordIds).toEqual([second]);
});

test('F100 an expired replay id is refused by name, and a gap event can be asked for', async () => {
  await sim.edit({ op: 'create', object: 'Account', fields: { Name: 'Old' } });
  sim.events.expire();
  await sim.edit({ op: 'create', object: 'Account', fields: { Name: 'New' } });
  const made = client(token(), new StreamingExtension.Replay('/data/AccountChangeEvent', 0));
  const refused = await made
    .subscribe('/data/AccountChangeEvent', () => undefined)
    .then(
      () => 'accepted',
      (error: { message: string }) => error.message,
    );
  expect(refused).toContain('The replayId {0} you provided was invalid');
  const gaps = await events('/data/ChangeEvents', 1, -1, () => {
    sim.events.gap('Account', ['001*'], 'GAP_OVERFLOW');
    return Promise.resolve();
  });
  expect(gaps[0]?.payload.ChangeEventHeader).toMatchObject({ changeType: 'GAP_OVERFLOW', recordIds: ['001*'] });
});

test('a handshake without a session is denied', async () => {
  const denied = await new Promise<{ error?: string }>((resolve) => {
    const made = client(
      'wrong',
      new StreamingExtension.AuthFailure((message) => resolve(message as { error?: string })),
    );
    void made.subscribe('/data/ChangeEvents', () => undefined).then(undefined, () => undefined);
  });
  expect(denied.error).toBe('403::Handshake denied');
});
