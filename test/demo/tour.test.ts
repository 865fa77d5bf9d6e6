// Owns the promise that the tour cannot claim what did not happen: a statement that fails, a step that breaks off and a step that states nothing
// are not ok; a record that was made twice or differs is seen.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { compareAll } from '../../src/cli/demo/agreement.js';
import { callsSince, createsSince, engineWrites, openBooks } from '../../src/cli/demo/ledgers.js';
import { callsText, Screen } from '../../src/cli/demo/screen.js';
import { canonical } from '../../src/cli/demo/sides.js';
import { runStep, Tour, type Step } from '../../src/cli/demo/tour.js';
import type { World } from '../../src/cli/demo/world.js';
import { startSalesforce, type SalesforceSimulator } from '../../src/simulators/salesforce/server.js';
import { startShopify, type ShopifySimulator } from '../../src/simulators/shopify/server.js';
import type { Row } from '../../src/store/pool.js';
import { fakeIo } from '../cli/support.js';

let salesforce: SalesforceSimulator;
let shopify: ShopifySimulator;
let hub: Record<string, Row[]>;
let world: World;

beforeEach(async () => {
  [salesforce, shopify] = await Promise.all([startSalesforce(), startShopify()]);
  hub = {};
  // Stands for the hub: rows by the table that a statement names first.
  const query = (text: string): Promise<{ rows: Row[] }> => {
    const table = /from (\S+)/.exec(text)?.[1] ?? '';
    return Promise.resolve({ rows: hub[table] ?? [] });
  };
  world = { salesforce, shopify, clock: systemClock, pool: { query } } as unknown as World;
});
afterEach(() => Promise.all([salesforce.close(), shopify.close()]));

function tourWith(json = false): { readonly tour: Tour; readonly out: () => string } {
  const fake = fakeIo();
  return { tour: new Tour(world, new Screen(fake.io, json), 0, new AbortController().signal), out: fake.out };
}

const step = (run: Step['run']): Step => ({ name: 'probe', title: 'A probe', run });

describe('a step', () => {
  test('is ok when every statement held', async () => {
    const { tour, out } = tourWith();
    const result = await runStep(
      step((on) => (on.expect('sum', 2, 1 + 1), Promise.resolve(12))),
      'a',
      tour,
    );
    expect(result).toEqual({ name: 'probe', ok: true, ms: 12, apiCalls: 0, failed: [] });
    expect(out()).toContain('✓ 12 ms');
  });

  test('that states something wrong is shown with what was expected and what was found', async () => {
    const { tour, out } = tourWith();
    const result = await runStep(
      step((on) => (on.expect('price', '5.00', '6.00'), Promise.resolve(1))),
      'a',
      tour,
    );
    expect(result).toMatchObject({ ok: false, failed: [{ what: 'price', expected: '5.00', actual: '6.00' }] });
    expect(out()).toContain('✗ price: expected 5.00, got 6.00');
  });

  test('that breaks off or states nothing is not ok', async () => {
    const broken = await runStep(
      step(() => Promise.reject(new Error('no such record'))),
      'a',
      tourWith().tour,
    );
    expect(broken).toMatchObject({ ok: false, failed: [{ actual: 'no such record' }] });
    expect(
      (
        await runStep(
          step(() => Promise.resolve(1)),
          'a',
          tourWith().tour,
        )
      ).ok,
    ).toBe(false);
  });

  test('prints nothing where a program listens', async () => {
    const { tour, out } = tourWith(true);
    await runStep(
      step((on) => (on.expect('sum', 2, 2), Promise.resolve(1))),
      'a',
      tour,
    );
    expect(out()).toBe('');
  });

  test('waits for an effect only so long', async () => {
    const { tour } = tourWith();
    expect(await tour.until(() => false, 30)).toBeNull();
    expect(await tour.until(() => true)).not.toBeNull();
  });
});

describe('the ledgers', () => {
  test('tell a record that was made twice, whatever the case of its key', async () => {
    const books = openBooks(world);
    for (const Email of ['ann@example.com', 'ANN@example.com', 'bob@example.com']) {
      await salesforce.edit({ op: 'create', object: 'Contact', fields: { LastName: 'X', Email } });
    }
    shopify.edit({ op: 'create', object: 'Customer', fields: { email: 'ann@example.com' } });
    expect(createsSince(world, books)).toEqual({
      total: 4,
      duplicates: ['salesforce Contact ann@example.com: made 2 times'],
    });
    expect(engineWrites(world, books)).toBe(0);
    expect(createsSince(world, openBooks(world)).total).toBe(0);
  });

  test('count the calls by route since a moment', async () => {
    await fetch(`${shopify.url}/bulk/1.jsonl`);
    const books = openBooks(world);
    await fetch(`${shopify.url}/bulk/2.jsonl`);
    await fetch(`${shopify.url}/bulk/3.jsonl`);
    const calls = callsSince(world, books);
    expect(calls).toMatchObject({ total: 2, shopify: { 'GET /bulk/:id.jsonl': 2 } });
    expect(callsText(calls)).toBe('shopify: GET /bulk/:id.jsonl ×2');
  });
});

describe('agreement', () => {
  test('compares values as each system writes them', async () => {
    const [contactId = ''] = salesforce.load('Contact', [
      { LastName: 'Lee', Email: 'ANN@example.com', Phone: '(212) 555-0101' },
    ]);
    const [customerId = ''] = shopify.load('Customer', [
      { lastName: 'Lee', email: 'ann@example.com', phone: '+12125550101' },
    ]);
    hub['hub.customer'] = [
      {
        id: 'h1',
        email: 'ann@example.com',
        first_name: null,
        last_name: 'Lee',
        phone: '+12125550101',
        tier: null,
        city: null,
      },
    ];
    hub['truespoke.link'] = [
      { spoke: 'salesforce', entity: 'customer', hub_id: 'h1', external_id: contactId },
      { spoke: 'shopify', entity: 'customer', hub_id: 'h1', external_id: customerId },
    ];
    expect(await compareAll(world)).toMatchObject({ compared: 2, differences: [] });
    salesforce.org.damage('Contact', contactId, { LastName: 'Li' });
    shopify.edit({ op: 'delete', object: 'Customer', id: customerId });
    expect((await compareAll(world)).differences).toEqual([
      'customer ann@example.com: last_name is Lee in the hub, Li in salesforce',
      'customer ann@example.com: gone from shopify',
    ]);
    expect(canonical('last_name', 'LEE')).not.toBe(canonical('last_name', 'Lee'));
  });
});
