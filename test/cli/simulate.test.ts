// Owns the promises of `simulate`: a real server, the faults that were asked for, an end within two seconds.
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/base/errors.js';
import { parseFault } from '../../src/cli/fault-spec.js';
import { run } from '../../src/cli/program.js';
import { fakeIo, truespoke } from './support.js';

interface Announced {
  readonly url: string;
  readonly control: string;
  readonly environment: Record<string, string>;
}

/** Runs the command until it has announced itself, hands over, then stops it. */
async function simulating(args: readonly string[], body: (announced: Announced) => Promise<void>): Promise<number> {
  const stop = new AbortController();
  const fake = fakeIo({ signal: stop.signal });
  const code = run(['simulate', ...args, '--json'], fake.io);
  await expect.poll(fake.out, { timeout: 10_000 }).toMatch(/\n$/);
  try {
    await body(JSON.parse(fake.out()) as Announced);
  } finally {
    stop.abort();
  }
  const ended = performance.now();
  const result = await code;
  expect(performance.now() - ended).toBeLessThan(2_000);
  return result;
}

describe('simulate', () => {
  test('salesforce answers, with the credentials that were printed', async () => {
    const code = await simulating(['salesforce'], async ({ url, environment }) => {
      const answer = await fetch(`${url}/services/oauth2/token`, {
        method: 'POST',
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          client_id: environment['SALESFORCE_CLIENT_ID'] ?? '',
          client_secret: environment['SALESFORCE_CLIENT_SECRET'] ?? '',
        }),
      });
      expect(answer.status).toBe(200);
      expect(await answer.json()).toHaveProperty('access_token');
    });
    expect(code).toBe(0);
  });

  test('shopify answers, and a fault that was asked for strikes', async () => {
    await simulating(['shopify', '--faults', 'status=503@1:graphql'], async ({ url, environment }) => {
      const answer = await fetch(`${url}/admin/api/2026-10/graphql.json`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-shopify-access-token': environment['SHOPIFY_ACCESS_TOKEN'] ?? '',
        },
        body: JSON.stringify({ query: '{ shop { name } }' }),
      });
      expect(answer.status).toBe(503);
    });
  });

  test('a port in use is a clear error, exit code 2', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as AddressInfo;
    try {
      for (const system of ['salesforce', 'shopify']) {
        const { code, err } = await truespoke(['simulate', system, '--port', String(port)]);
        expect([code, err]).toEqual([2, expect.stringContaining(`port ${port} is already in use`)]);
      }
    } finally {
      taken.close();
    }
  });

  test('wrong usage is exit code 2 before anything starts', async () => {
    for (const args of [['sap'], ['shopify', '--port', 'x'], ['shopify', '--faults', 'nonsense'], []]) {
      expect([args, (await truespoke(['simulate', ...args])).code]).toEqual([args, 2]);
    }
  });
});

describe('faults on the command line', () => {
  test('kind, value, probability and route', () => {
    expect(parseFault('status=503@0.1:PATCH', 0, 7)).toEqual({
      id: 'fault-1',
      kind: 'status',
      status: 503,
      probability: 0.1,
      route: 'PATCH',
      seed: 7,
    });
    expect(parseFault('delay=200', 1, 7)).toEqual({
      id: 'fault-2',
      kind: 'delay',
      ms: 200,
      probability: 1,
      route: '.',
      seed: 8,
    });
    expect(parseFault('throttle', 0, 1)).toMatchObject({ kind: 'throttle', probability: 1 });
  });

  test('a slip is named with what was meant', () => {
    expect(() => parseFault('lost-respnse', 0, 1)).toThrow(ConfigError);
    const slip = (() => {
      try {
        return parseFault('lost-respnse', 0, 1);
      } catch (error) {
        return (error as ConfigError).hint;
      }
    })();
    expect(slip).toBe("did you mean 'lost-response'?");
    for (const text of ['', 'status@2', '=5', 'Status']) expect(() => parseFault(text, 0, 1)).toThrow(ConfigError);
  });
});
