// Owns the console server's promises: who may ask, what a webhook gets, what an error shows, how it starts and ends.
// Proves: Invariant 8
import { randomBytes } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/base/errors.js';
import { hashToken, type Role } from '../../src/console/tokens.js';
import { closeAll, healthy, start } from './support.js';

afterEach(closeAll);

const token = (role: Role): { text: string; entry: { name: string; role: Role; sha256: string } } => {
  const text = randomBytes(24).toString('base64url');
  return { text, entry: { name: `${role}-token`, role, sha256: hashToken(text) } };
};
const bearer = (text: string): { headers: Record<string, string> } => ({
  headers: { authorization: `Bearer ${text}` },
});
const post = (headers: Record<string, string> = {}): RequestInit => ({ method: 'POST', headers });

/** Sends raw text over a socket and resolves with what came back until the server closed or `until` appeared. */
function raw(port: number, text: string, until: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    let seen = '';
    socket.on('data', (chunk) => {
      seen += chunk.toString('latin1');
      if (until.test(seen)) socket.destroy();
    });
    socket.on('close', () => resolve(seen));
    socket.on('error', (error) => (seen === '' ? reject(error) : resolve(seen)));
  });
}

describe('webhooks', () => {
  test('the intake gets the raw bytes, lower-case headers and the spoke of the path', async () => {
    const server = await start();
    const body = Buffer.from([0xef, 0xbb, 0xbf, 0x7b, 0x00, 0xff, 0x7d]);
    const answer = await fetch(`${server.url}/webhooks/shop-one`, {
      method: 'POST',
      body,
      headers: { 'X-Topic': 'a/b', 'content-type': 'application/json' },
    });
    expect(answer.status).toBe(200);
    expect(server.received).toEqual([
      {
        spoke: 'shop-one',
        headers: expect.objectContaining({ 'x-topic': 'a/b' }) as object,
        body: body.toString('latin1'),
      },
    ]);
  });

  test('a body without a content type and an empty body arrive as they are', async () => {
    const server = await start();
    expect(
      await raw(server.port, 'POST /webhooks/a HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi', /\r\n\r\n/),
    ).toContain(' 200 ');
    expect((await fetch(`${server.url}/webhooks/b`, post())).status).toBe(200);
    expect(server.received.map((each) => each.body)).toEqual(['hi', '']);
  });

  test('F88 forged signature: the answer of the intake, 401, goes out', async () => {
    const server = await start();
    expect((await fetch(`${server.url}/webhooks/a`, post({ 'x-signature': 'forged' }))).status).toBe(401);
  });

  test('a failing intake answers 500 without saying why, so that the provider retries', async () => {
    const server = await start({
      webhooks: { receive: () => Promise.reject(new Error('relation "secret_table" missing')) },
    });
    const answer = await fetch(`${server.url}/webhooks/a`, { method: 'POST', body: 'x' });
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toMatch(/secret_table|at .*\.ts/);
  });

  test('F91 oversized: 413 whether the length is told or not, and nothing reaches the intake', async () => {
    const server = await start({ bodyBytesMax: 1000 });
    expect((await fetch(`${server.url}/webhooks/a`, { method: 'POST', body: 'x'.repeat(1001) })).status).toBe(413);
    const chunked = await new Promise<number>((resolve, reject) => {
      const sent = httpRequest(`${server.url}/webhooks/a`, { method: 'POST' }, (answer) =>
        resolve(answer.statusCode ?? 0),
      );
      sent.on('error', reject);
      sent.write('x'.repeat(600));
      sent.end('x'.repeat(600));
    });
    expect(chunked).toBe(413);
    expect(server.received).toEqual([]);
  });

  test('F91 slow: 408 after the total deadline although bytes keep dripping', async () => {
    const server = await start({ bodyMs: 150 });
    const answer = raw(
      server.port,
      'POST /webhooks/a HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\nabc',
      /\r\n\r\n/,
    );
    expect(await answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(server.received).toEqual([]);
  });

  test('F91 odd encoding: a compressed body is refused with 415', async () => {
    const server = await start();
    const answer = await fetch(`${server.url}/webhooks/a`, {
      method: 'POST',
      body: 'x',
      headers: { 'content-encoding': 'gzip' },
    });
    expect(answer.status).toBe(415);
  });
});

describe('tokens', () => {
  test('F133 every route but health and webhooks is 401 without a token, and with a wrong one', async () => {
    const server = await start({ tokens: [token('admin').entry] });
    const open = new Set(['/healthz', '/readyz', '/webhooks/:spoke']);
    expect(server.routes.length).toBeGreaterThan(8);
    for (const route of server.routes) {
      const url = server.url + route.path.replace(':spoke', 'crm');
      for (const headers of [{}, { authorization: 'Bearer wrong' }, { authorization: 'Basic dXNlcjp3cm9uZw==' }]) {
        const { status } = await fetch(url, { method: route.method, headers });
        if (open.has(route.path)) expect([route.path, status]).toEqual([route.path, 200]);
        else expect([route.path, status]).toEqual([route.path, 401]);
      }
    }
    expect(server.orders).toEqual([]);
  });

  test('an unknown path tells nothing without a token', async () => {
    const server = await start({ tokens: [token('viewer').entry] });
    expect((await fetch(`${server.url}/api/nothing`)).status).toBe(401);
  });

  test('roles: a viewer reads, an operator pauses, the order carries the name of the token', async () => {
    const [viewer, operator] = [token('viewer'), token('operator')];
    const server = await start({ tokens: [viewer.entry, operator.entry] });
    expect((await fetch(`${server.url}/api/status`, bearer(viewer.text))).status).toBe(200);
    expect((await fetch(`${server.url}/api/spokes/crm/pause`, { ...bearer(viewer.text), method: 'POST' })).status).toBe(
      403,
    );
    expect(
      (await fetch(`${server.url}/api/spokes/crm/pause`, { ...bearer(operator.text), method: 'POST' })).status,
    ).toBe(200);
    expect(
      (await fetch(`${server.url}/api/spokes/none/resume`, { ...bearer(operator.text), method: 'POST' })).status,
    ).toBe(404);
    expect(server.orders).toEqual(['pause crm by operator-token', 'resume none by operator-token']);
  });

  test('a browser may send the token as a Basic password', async () => {
    const viewer = token('viewer');
    const server = await start({ tokens: [viewer.entry] });
    const basic = Buffer.from(`me:${viewer.text}`).toString('base64');
    expect((await fetch(`${server.url}/`, { headers: { authorization: `Basic ${basic}` } })).status).toBe(200);
  });

  test('an address that others can reach is refused without tokens and taken with one', async () => {
    const refusal = await start({ host: '0.0.0.0' }).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ConfigError);
    expect((refusal as ConfigError).hint).toMatch(/server\.tokens/);
    await start({ host: '0.0.0.0', tokens: [token('viewer').entry] });
  });
});

describe('browsers', () => {
  test('F134 a page of another site cannot give orders, with or without tokens', async () => {
    const operator = token('operator');
    const server = await start({ tokens: [operator.entry] });
    const local = await start();
    const auth = bearer(operator.text).headers;
    const from = [{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }, { origin: 'null' }];
    for (const headers of from) {
      expect((await fetch(`${server.url}/api/spokes/crm/pause`, post({ ...auth, ...headers }))).status).toBe(403);
      expect((await fetch(`${local.url}/api/spokes/crm/pause`, post(headers))).status).toBe(403);
    }
    expect((await fetch(`${local.url}/api/spokes/crm/pause`, post({ origin: local.url }))).status).toBe(200);
  });

  test('a rebound host name is refused while the loopback address is the only fence', async () => {
    const server = await start();
    const answer = await raw(server.port, 'GET /api/status HTTP/1.1\r\nhost: evil.example\r\n\r\n', /\r\n\r\n/);
    expect(answer).toMatch(/^HTTP\/1\.1 421 /);
  });

  test('the page and the API carry a content policy and no server banner', async () => {
    const server = await start();
    const html = await fetch(`${server.url}/`);
    expect(html.headers.get('content-security-policy')).toMatch(/default-src 'none'; script-src 'sha256-/);
    expect(await html.text()).not.toMatch(/innerHTML|https?:\/\/(?!www\.w3\.org)/);
    const api = await fetch(`${server.url}/api/status`);
    expect(api.headers.get('content-security-policy')).toMatch(/^default-src 'none'/);
    expect(api.headers.get('x-content-type-options')).toBe('nosniff');
    for (const name of ['server', 'x-powered-by']) expect(api.headers.get(name)).toBeNull();
  });
});

describe('health and status', () => {
  test('ready only while changes of the hub reach us, with the reasons otherwise', async () => {
    let status = healthy;
    let now = 0;
    const clock = { now: () => 0, monotonic: () => (now += 1000), sleep: () => new Promise<void>(() => undefined) };
    const server = await start({ status: () => Promise.resolve(status), clock });
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
    status = { ...healthy, replication: { ...healthy.replication, state: 'broken', reason: 'the slot is lost' } };
    const answer = await fetch(`${server.url}/readyz`);
    expect(answer.status).toBe(503);
    expect(await answer.json()).toEqual({ ready: false, reasons: ['replication is broken: the slot is lost'] });
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  });

  test('a hub that is down: not ready, the counters are still told', async () => {
    const server = await start({ status: () => Promise.reject(new Error('connect ECONNREFUSED')) });
    const ready = await fetch(`${server.url}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([503, { ready: false, reasons: ['the hub does not answer'] }]);
    expect((await fetch(`${server.url}/metrics`)).status).toBe(200);
    expect((await fetch(`${server.url}/api/status`)).status).toBe(500);
  });

  test('many questions at once are one question to the engine', async () => {
    let asked = 0;
    const server = await start({ status: () => Promise.resolve(((asked += 1), healthy)) });
    await Promise.all(Array.from({ length: 20 }, () => fetch(`${server.url}/readyz`)));
    expect(asked).toBeLessThanOrEqual(2);
  });

  test('the status is the snapshot', async () => {
    const server = await start();
    expect(await (await fetch(`${server.url}/api/status`)).json()).toEqual(healthy);
  });
});

describe('start and end', () => {
  test('a port in use is a configuration error with the next step', async () => {
    const first = await start();
    const refusal = await start({ port: first.port }).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ConfigError);
    expect(refusal).toMatchObject({
      code: 'port_in_use',
      message: `port ${first.port} on 127.0.0.1 is already in use`,
    });
  });

  test('it closes at once although a client holds its connection open', async () => {
    const server = await start();
    const socket = connect(server.port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.on('error', () => undefined);
    const from = performance.now();
    await server.close();
    expect(performance.now() - from).toBeLessThan(1_500);
    socket.destroy();
  });
});
