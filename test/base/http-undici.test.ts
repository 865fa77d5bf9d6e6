// Proves: Invariant 8
import { createServer as createHttp, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTcp, type AddressInfo, type Server as TcpServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { HttpFailure, type HttpRequest } from '../../src/base/http.js';
import { undiciHttp, type UndiciHttp } from '../../src/base/http-undici.js';

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

const listen = async (server: Server | TcpServer): Promise<string> => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

const web = (answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> =>
  listen(createHttp(answer));

/** A server that speaks raw bytes; sockets are destroyed at the end. */
const raw = async (onData: (socket: Socket, text: string, connection: number) => void): Promise<string> => {
  const sockets: Socket[] = [];
  const server = createTcp((socket) => {
    const connection = sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => onData(socket, bytes.toString(), connection));
  });
  const url = await listen(server);
  cleanups.push(() => sockets.forEach((socket) => socket.destroy()));
  return url;
};

const client = (options: Partial<Parameters<typeof undiciHttp>[0]> = {}): UndiciHttp => {
  const http = undiciHttp({ clock: systemClock, allowLoopback: true, ...options });
  cleanups.push(() => http.close());
  return http;
};

const get = (url: string, more: Partial<HttpRequest> = {}): HttpRequest => ({
  method: 'GET',
  url,
  headers: {},
  deadlineMs: 5_000,
  ...more,
});

const failure = async (promise: Promise<unknown>): Promise<HttpFailure> => {
  const outcome = await promise.then(
    () => 'resolved',
    (error: unknown) => error,
  );
  expect(outcome).toBeInstanceOf(HttpFailure);
  return outcome as HttpFailure;
};

test('a response arrives with status, joined lower-case headers and exact bytes', async () => {
  const url = await web((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      response.writeHead(418, [
        ['X-Seen', `${request.method} ${body}`],
        ['X-Many', 'a'],
        ['X-Many', 'b'],
      ] as never);
      response.end(Buffer.from([0, 255, 13, 10]));
    });
  });
  const response = await client().request({ ...get(`${url}/x?y=1`), method: 'POST', body: 'hello' });
  expect(response.status).toBe(418);
  expect(response.headers['x-seen']).toBe('POST hello');
  expect(response.headers['x-many']).toBe('a, b');
  expect([...response.body]).toEqual([0, 255, 13, 10]);
});

test('F63 connection refused: certain that nothing was sent', async () => {
  const url = await web((_request, response) => response.end());
  await cleanups.pop()?.();
  const error = await failure(client().request(get(url)));
  expect(error.sent).toBe(false);
  expect(error.message).toMatch(/ECONNREFUSED.*before sending/);
});

test('a name that does not resolve: nothing was sent', async () => {
  expect((await failure(client().request(get('http://no-such-host.invalid/')))).sent).toBe(false);
});

test('F64 no answer within the deadline: the effect is unknown', async () => {
  let arrived = 0;
  const url = await web(() => void arrived++);
  const error = await failure(client().request({ ...get(url, { deadlineMs: 150 }), method: 'POST', body: '{}' }));
  expect(arrived).toBe(1);
  expect(error.sent).toBe(true);
  expect(error.message).toContain('deadline of 150 ms passed');
});

test('F66 a body cut before its content-length is a failure after sending', async () => {
  const url = await raw((socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"half":');
    socket.end();
  });
  expect((await failure(client().request(get(url)))).sent).toBe(true);
});

test('F66 a chunked body cut before its end is a failure after sending', async () => {
  const url = await raw((socket) => {
    socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n');
    socket.end();
  });
  expect((await failure(client().request(get(url)))).sent).toBe(true);
});

test('F81 a byte-per-moment body ends at the total deadline', async () => {
  const url = await web((_request, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write('x'), 20);
    response.on('close', () => clearInterval(timer));
  });
  const before = performance.now();
  const error = await failure(client().request(get(url, { deadlineMs: 300 })));
  expect(error.sent).toBe(true);
  expect(performance.now() - before).toBeLessThan(2_000);
});

test('a request still waiting for a socket at its deadline was not sent, and is never sent later', async () => {
  const bodies: string[] = [];
  const answers: ServerResponse[] = [];
  const url = await web((request, response) => {
    bodies.push(request.url ?? '');
    answers.push(response);
  });
  const http = client({ connectionsMax: 1 });
  const first = http.request(get(`${url}/first`));
  await expect.poll(() => bodies.length).toBe(1);
  const second = await failure(
    http.request({ ...get(`${url}/second`, { deadlineMs: 80 }), method: 'POST', body: '{}' }),
  );
  expect(second.sent).toBe(false);
  answers[0]?.end();
  await first;
  const third = http.request(get(`${url}/third`));
  await expect.poll(() => bodies.length).toBe(2);
  answers[1]?.end();
  await third;
  expect(bodies).toEqual(['/first', '/third']);
});

test('a kept-alive socket that dies under a request is not retried behind our back', async () => {
  const seen: number[] = [];
  const url = await raw((socket, _text, connection) => {
    seen.push(connection);
    if (seen.length === 1) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    else socket.destroy();
  });
  const http = client({ connectionsMax: 1 });
  await http.request(get(url));
  for (const method of ['GET', 'PUT', 'DELETE'] as const) {
    const count = seen.length;
    const error = await failure(http.request({ ...get(url), method }));
    expect(error.sent).toBe(true);
    expect(seen.length).toBe(count + 1);
  }
});

test('sockets are kept alive between requests and bounded in number', async () => {
  const sockets = new Set<unknown>();
  const url = await web((request, response) => {
    sockets.add(request.socket);
    response.end('ok');
  });
  const http = client({ connectionsMax: 3 });
  await Promise.all(Array.from({ length: 30 }, () => http.request(get(url))));
  expect(sockets.size).toBeLessThanOrEqual(3);
});

test('F80 a redirect is handed back, not followed', async () => {
  let calls = 0;
  const url = await web((_request, response) => {
    calls++;
    response.writeHead(302, { location: 'http://127.0.0.1:1/steal' }).end();
  });
  expect((await client().request(get(url))).status).toBe(302);
  expect(calls).toBe(1);
});

test('a body beyond its bound is refused while it streams', async () => {
  const url = await web((_request, response) => response.end(Buffer.alloc(200_000)));
  const error = await failure(client().request(get(url, { bodyBytesMax: 1_000 })));
  expect(error.message).toContain('more than 1000 bytes');
  expect(error.sent).toBe(true);
});

test("the caller's signal stops the call at once, also when it was aborted before", async () => {
  const url = await web(() => undefined);
  const stop = new AbortController();
  const pending = failure(client().request(get(url, { signal: stop.signal })));
  stop.abort(new Error('shutting down'));
  expect((await pending).message).toContain('shutting down');
  const late = await failure(client().request(get(url, { signal: AbortSignal.abort(new Error('gone')) })));
  expect(late.sent).toBe(false);
});

test('no header, body or query of a request shows in an error', async () => {
  const url = await raw((socket) => socket.destroy());
  const error = await failure(
    client().request({
      ...get(`${url}/path?access_token=CANARY`),
      headers: { authorization: 'Bearer CANARY' },
      method: 'POST',
      body: 'CANARY',
    }),
  );
  expect(`${error.message} ${error.stack}`).not.toContain('CANARY');
});

test('F129 loopback, private and link-local addresses are refused by default', async () => {
  const http = client({ allowLoopback: false });
  for (const host of [
    '127.0.0.1',
    '[::1]',
    '10.0.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '[::ffff:169.254.169.254]',
    '2130706433',
    '0x7f.1',
    'localhost',
  ]) {
    const error = await failure(http.request(get(`http://${host}:9/`)));
    expect(error.sent, host).toBe(false);
    expect(`${error.message} ${String(error.cause)}`, host).toMatch(/loopback|private|link-local/);
  }
});

test('F129 an allow-list of hosts refuses everything else', async () => {
  const url = await web((_request, response) => response.end('ok'));
  const { host } = new URL(url);
  expect((await client({ hosts: [host] }).request(get(url))).status).toBe(200);
  const error = await failure(client({ hosts: ['*.example.com'] }).request(get(url)));
  expect(error.message).toContain('not on the list of allowed hosts');
});
