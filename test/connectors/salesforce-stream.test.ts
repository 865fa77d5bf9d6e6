// The stream of change events: hints, and word of a gap whenever something may have been missed.
import { afterEach, expect, test } from 'vitest';
import type { Clock } from '../../src/base/clock.js';
import { systemClock } from '../../src/base/clock.js';
import type { StreamEvent } from '../../src/connectors/connector.js';
import { channelOf } from '../../src/connectors/salesforce/stream.js';
import { objectName } from '../../src/model/ids.js';
import {
  answerToken,
  clientCredentials,
  create,
  interactive,
  json,
  openOrg,
  openSpoke,
  scripted,
} from './salesforce-support.js';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Listens in the background; `until` waits for an event. */
function listening(events: AsyncIterable<StreamEvent> | undefined) {
  const seen: StreamEvent[] = [];
  const done = (async () => {
    for await (const event of events ?? []) seen.push(event);
  })();
  return {
    seen,
    done,
    until: (test: (event: StreamEvent) => boolean) =>
      expect.poll(() => seen.some(test), { timeout: 5_000, interval: 10 }).toBe(true),
  };
}

test('channels are named after their objects', () => {
  expect(channelOf('Contact')).toBe('/data/ContactChangeEvent');
  expect(channelOf('Thing__c')).toBe('/data/Thing__ChangeEvent');
});

test('an edit arrives as a hint, a price as a hint for its product, and the opening as a gap', async () => {
  const bench = await openOrg();
  closers.push(() => bench.close());
  const [product] = await bench.spoke.write(
    [create('Product2', 'p1', { Name: 'Chair', 'PricebookEntry.UnitPrice': 1 })],
    interactive,
  );
  const stop = new AbortController();
  const listener = listening(bench.spoke.listen?.([objectName('Contact'), objectName('Product2')], stop.signal));
  closers.push(async () => {
    stop.abort();
    await listener.done;
  });
  await listener.until((event) => event.kind === 'gap');
  const { id } = await bench.org.edit({ op: 'create', object: 'Contact', fields: { LastName: 'New' } });
  await listener.until((event) => event.kind === 'hint' && event.hint.externalId === id && !event.hint.deleted);
  await bench.org.edit({ op: 'delete', object: 'Contact', id });
  await listener.until((event) => event.kind === 'hint' && event.hint.externalId === id && event.hint.deleted);
  const entry = bench.org.records('PricebookEntry')[0]?.['Id'];
  await bench.org.edit({ op: 'update', object: 'PricebookEntry', id: String(entry), fields: { UnitPrice: 2 } });
  const productId = product?.outcome === 'applied' ? product.externalId : '';
  await listener.until(
    (event) => event.kind === 'hint' && event.hint.object === 'Product2' && event.hint.externalId === productId,
  );
});

/** Waiting takes no time, so a broken stream comes back at once. */
const impatient: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms > 5_000 ? ms : 5, signal) };

test('F100 a lost position, an overflow and a broken connection are all told as gaps, and listening goes on', async () => {
  let connects = 0;
  let subscribed: unknown[] = [];
  const server = await scripted((request, response) => {
    if (answerToken(request, response, server.url)) return;
    const [message] = JSON.parse(request.body) as [{ channel: string; ext?: { replay?: Record<string, number> } }];
    const answer = (more: object, ...others: object[]) =>
      json(response, 200, [{ channel: message.channel, successful: true, clientId: 'c', ...more }, ...others]);
    if (message.channel === '/meta/handshake') return answer({ version: '1.0' });
    if (message.channel === '/meta/subscribe') {
      const replay = message.ext?.replay?.['/data/ContactChangeEvent'];
      subscribed = [...subscribed, replay];
      if (replay === 7) return answer({ successful: false, error: '400::The replayId {7} you provided was invalid.' });
      return answer({});
    }
    connects += 1;
    const event = (type: string, ids: string[]) => ({
      channel: '/data/ContactChangeEvent',
      data: {
        event: { replayId: 7 },
        payload: { ChangeEventHeader: { entityName: 'Contact', changeType: type, recordIds: ids } },
      },
    });
    if (connects === 1) return answer({}, event('UPDATE', ['003000000000001']));
    if (connects === 2) return answer({}, event('GAP_OVERFLOW', []));
    if (connects === 3) return void response.destroy();
    if (connects === 4) return answer({}, event('GAP_UPDATE', ['003000000000002AAA']));
    setTimeout(() => answer({}), 50);
  });
  closers.push(() => server.close());
  const bench = await openSpoke(server.url, clientCredentials, { clock: impatient });
  closers.push(() => bench.close());
  const stop = new AbortController();
  const listener = listening(bench.spoke.listen?.([objectName('Contact')], stop.signal));
  await listener.until((event) => event.kind === 'hint' && event.hint.externalId.startsWith('003000000000002'));
  stop.abort();
  await listener.done;
  expect(listener.seen[0]).toEqual({ kind: 'gap', reason: 'the stream was opened' });
  expect(listener.seen[1]).toEqual({
    kind: 'hint',
    hint: { object: 'Contact', externalId: '003000000000001AAA', deleted: false },
  });
  const gaps = listener.seen.filter((event) => event.kind === 'gap').map((event) => event.reason);
  expect(gaps).toContain('GAP_OVERFLOW');
  expect(gaps.some((reason) => reason.includes('expired'))).toBe(true);
  expect(subscribed).toEqual([-1, 7, -1]);
});
