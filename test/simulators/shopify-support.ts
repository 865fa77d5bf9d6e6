// Calls to the simulated shop over plain fetch, and a small receiver for its webhooks.
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ShopifySimulator } from '../../src/simulators/shopify/server.js';

export interface GraphqlError {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: Readonly<Record<string, unknown>>;
}

export interface GraphqlAnswer {
  readonly status: number;
  readonly headers: Headers;
  // Answers are looked into by path; their shape is what the tests are about.
  readonly data: Readonly<Record<string, Json>>;
  readonly errors: readonly GraphqlError[];
  readonly extensions: Json;
}

export interface Json {
  readonly [key: string]: Json & string & number & boolean & Json[];
}

export interface CallOptions {
  readonly version?: string;
  readonly token?: string | null;
}

export async function call(
  sim: ShopifySimulator,
  query: string,
  variables: Readonly<Record<string, unknown>> = {},
  { version = '2026-10', token = sim.accessToken }: CallOptions = {},
): Promise<GraphqlAnswer> {
  const response = await fetch(`${sim.url}/admin/api/${version}/graphql.json`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token === null ? {} : { 'x-shopify-access-token': token }),
    },
    body: JSON.stringify({ query, variables }),
  });
  const body = (await response.json()) as Omit<GraphqlAnswer, 'status' | 'headers'>;
  return { ...body, errors: body.errors ?? [], status: response.status, headers: response.headers };
}

/** The payload of a mutation with one root field. */
export async function mutate(
  sim: ShopifySimulator,
  query: string,
  variables: Readonly<Record<string, unknown>> = {},
): Promise<Json & { readonly userErrors: readonly { field: string[] | null; message: string; code?: string }[] }> {
  const answer = await call(sim, query, variables);
  if (answer.errors.length > 0) throw new Error(JSON.stringify(answer.errors));
  return Object.values(answer.data)[0] as Awaited<ReturnType<typeof mutate>>;
}

export async function controlPost(sim: ShopifySimulator, route: string, body: unknown, method = 'POST') {
  const response = await fetch(`${sim.url}/__control/${route}`, { method, body: JSON.stringify(body) });
  const text = await response.text();
  return { status: response.status, body: (text === '' ? null : JSON.parse(text)) as Json };
}

export const hubDefinition = (ownerType: string) => ({
  definition: { namespace: 'truespoke', key: 'hub_id', name: 'Hub id', ownerType, type: 'id' },
});

export const defineHubId = `mutation($definition: MetafieldDefinitionInput!) {
  metafieldDefinitionCreate(definition: $definition) { createdDefinition { id } userErrors { field message code } }
}`;

export const hubId = (value: string) => ({ customId: { namespace: 'truespoke', key: 'hub_id', value } });

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly raw: Buffer;
  readonly body: Json;
}

export interface Receiver {
  readonly url: string;
  readonly received: Received[];
  /** Status for the next answers; 200 at first. */
  status: number;
  close(): Promise<void>;
}

export async function receive(): Promise<Receiver> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const raw = Buffer.concat(parts);
      received.push({
        path: request.url ?? '',
        headers: request.headers,
        raw,
        body: JSON.parse(raw.toString()) as Json,
      });
      response.writeHead(receiver.status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const receiver: Receiver = {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/hooks`,
    received,
    status: 200,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
  return receiver;
}

export async function subscribe(sim: ShopifySimulator, topic: string, uri: string, more: object = {}): Promise<string> {
  const made = await mutate(
    sim,
    `mutation($topic: WebhookSubscriptionTopic!, $hook: WebhookSubscriptionInput!) {
      webhookSubscriptionCreate(topic: $topic, webhookSubscription: $hook) {
        webhookSubscription { id } userErrors { field message }
      }
    }`,
    { topic, hook: { uri, ...more } },
  );
  if (made.userErrors.length > 0) throw new Error(JSON.stringify(made.userErrors));
  return String(made['webhookSubscription']?.['id']);
}
