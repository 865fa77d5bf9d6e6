// Webhooks as the simulated shop really delivers them, from subscription to fetched record.
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Hint, WebhookVerdict } from '../../src/connectors/connector.js';
import { remotePath } from '../../src/model/ids.js';
import { Live, customer, order, product, sale } from './shopify-live.js';
import { interactive } from './shopify-support.js';

const live = new Live();
let server: Server;
let address: string;
let verdicts: WebhookVerdict[];

beforeEach(async () => {
  verdicts = [];
  await live.start();
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const verdict = door().verify({
        headers: request.headers as Record<string, string>,
        body: Buffer.concat(chunks),
      });
      verdicts.push(verdict);
      response.writeHead(verdict.ok ? 200 : 401).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(server.address() as { port: number }).port}/webhooks/shopify`;
  await door().ensure(address, [customer, product, order]);
});

afterEach(async () => {
  await live.stop();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function door() {
  const { webhooks } = live.opened.spoke;
  if (webhooks === undefined) throw new Error('no webhook door');
  return webhooks;
}

const hints = (): Hint[] => verdicts.flatMap((verdict) => (verdict.ok ? verdict.hints : []));

test('every kind of edit in the shop becomes a hint at its record', async () => {
  const { id: buyer } = live.sim.edit({ object: 'Customer', op: 'create', fields: { email: 'buyer@example.com' } });
  const { id: desk } = live.sim.edit({
    object: 'Product',
    op: 'create',
    fields: { title: 'Desk', sku: 'D-1', price: '10.00' },
  });
  live.sim.edit({ object: 'Product', op: 'update', id: desk, fields: { price: '11.00' } });
  const placed = live.sim.placeOrder({ customer: 'buyer@example.com', lines: [{ sku: 'D-1', quantity: 2 }] });
  live.sim.edit({ object: 'Product', op: 'delete', id: desk });
  await live.sim.settled();
  expect(verdicts.every((verdict) => verdict.ok)).toBe(true);
  expect(hints()).toEqual(
    expect.arrayContaining([
      { object: customer, externalId: buyer, deleted: false },
      { object: product, externalId: desk, deleted: false },
      { object: order, externalId: placed.id, deleted: false },
      { object: product, externalId: desk, deleted: true },
    ]),
  );
  const ids = [
    ...new Set(
      hints()
        .filter((hint) => hint.object === order)
        .map((hint) => hint.externalId),
    ),
  ];
  const [record] = await live.opened.spoke.fetch(order, ids, sale, interactive);
  expect(record?.children['lineItems']?.map((line) => line.fields[remotePath('quantity')])).toEqual([2]);
});

test('F85 delivered twice: the same event id, so one effect', async () => {
  live.sim.webhooks.plan.double = 1;
  live.sim.edit({ object: 'Customer', op: 'create', fields: { email: 'a@example.com' } });
  await live.sim.settled();
  const ids = verdicts.map((verdict) => (verdict.ok ? verdict.eventId : 'refused'));
  expect(ids.length).toBe(2);
  expect(new Set(ids).size).toBe(1);
});

test('F88 forged on the way: refused', async () => {
  live.sim.webhooks.plan.forge = 1;
  live.sim.edit({ object: 'Customer', op: 'create', fields: { email: 'a@example.com' } });
  await expect.poll(() => verdicts.length).toBeGreaterThan(0);
  expect(verdicts.every((verdict) => !verdict.ok)).toBe(true);
});
