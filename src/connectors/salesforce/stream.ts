// Owns the change events of the org (CometD long polling) as hints. They may come late, twice or never: polling stands behind
// them, and every doubt (a new subscription, a gap or overflow event, an expired replay position, silence) is told as a gap.
import { backoffMs } from '../../base/backoff.js';
import type { Clock } from '../../base/clock.js';
import { TruespokeError } from '../../base/errors.js';
import type { Log } from '../../base/log.js';
import type { Random } from '../../base/random.js';
import { externalId, objectName, type ObjectName } from '../../model/ids.js';
import type { CallOptions, StreamEvent } from '../connector.js';
import type { Catalogue } from './catalogue.js';
import type { SalesforceClient } from './client.js';
import { companionFor, companionOf } from './companions.js';
import type { SalesforceConfig } from './config.js';
import { id18, isId } from './errors.js';
import type { Query } from './query.js';
import { quoted } from './soql.js';

export interface StreamParts {
  readonly spoke: string;
  readonly config: SalesforceConfig;
  readonly client: SalesforceClient;
  readonly query: Query;
  readonly catalogue: Catalogue;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

type Message = Readonly<Record<string, unknown>>;

/** Longer than the server holds a poll (110 s): a poll that outlives it is dead. */
const pollDeadlineMs = 130_000;
const retry = { firstMs: 1_000, maxMs: 60_000 };

export async function* listenTo(
  parts: StreamParts,
  objects: readonly ObjectName[],
  signal: AbortSignal,
): AsyncGenerator<StreamEvent> {
  const channels = new Map<string, number>();
  for (const name of objects)
    for (const event of [name, companionOf(name)?.companion])
      if (event !== undefined) channels.set(channelOf(event), -1);
  for (let failures = 0; !signal.aborted;) {
    const stream = new CometStream(parts, channels, signal);
    try {
      const { user: ownUser } = await parts.client.session({ lane: 'interactive', signal });
      await stream.open();
      // What happened while nobody listened is found by polling.
      yield { kind: 'gap', reason: 'the stream was opened' };
      failures = 0;
      while (!signal.aborted) {
        const messages = await stream.next();
        for (const message of messages) yield* eventsOf(parts, message, channels, ownUser, signal);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof TruespokeError && error.recovery === 'pause') throw error;
      failures += 1;
      const reason = error instanceof Error ? error.message : 'unknown failure';
      parts.log.info({ spoke: parts.spoke, failures, reason }, 'the stream of change events broke off');
      yield { kind: 'gap', reason };
      await parts.clock.sleep(backoffMs(retry, failures, parts.random), signal);
    }
  }
}

/** `Contact` → `/data/ContactChangeEvent`, `Thing__c` → `/data/Thing__ChangeEvent`. */
export function channelOf(object: string): string {
  return `/data/${object.endsWith('__c') ? `${object.slice(0, -3)}__ChangeEvent` : `${object}ChangeEvent`}`;
}

class Broken extends Error {
  override readonly name = 'Broken';
}

/** One Bayeux session over long polling. Dead after its first failure. */
class CometStream {
  #clientId = '';
  #cookies = '';
  #sent = 0;
  #early: Message[] = [];

  constructor(
    private readonly parts: StreamParts,
    private readonly channels: Map<string, number>,
    private readonly signal: AbortSignal,
  ) {}

  async open(): Promise<void> {
    const ext = { replay: true, 'payload.format': true };
    const hello = await this.#exchange({
      channel: '/meta/handshake',
      version: '1.0',
      minimumVersion: '1.0',
      supportedConnectionTypes: ['long-polling'],
      ext,
    });
    const answer = only(hello, '/meta/handshake');
    if (typeof answer['clientId'] !== 'string') throw new Broken('the handshake gave no client id');
    this.#clientId = answer['clientId'];
    for (const [channel, replay] of this.channels) {
      const messages = await this.#exchange({
        channel: '/meta/subscribe',
        subscription: channel,
        ext: { replay: { [channel]: replay } },
      });
      const answered = messages.find((message) => message['channel'] === '/meta/subscribe');
      if (answered?.['successful'] !== true) this.#refused(channel, answered);
      this.#early.push(...messages.filter((message) => String(message['channel']).startsWith('/data/')));
    }
  }

  async next(): Promise<readonly Message[]> {
    if (this.#early.length > 0) return this.#early.splice(0);
    const messages = await this.#exchange({ channel: '/meta/connect', connectionType: 'long-polling' });
    only(messages, '/meta/connect');
    return messages.filter((message) => String(message['channel']).startsWith('/data/'));
  }

  /** A position that the server no longer keeps is given up; an object without change events is left to polling. */
  #refused(channel: string, answer: Message | undefined): void {
    const why = String(answer?.['error'] ?? 'no answer').slice(0, 200);
    if (/replay/i.test(why) && this.channels.get(channel) !== -1) {
      this.channels.set(channel, -1);
      throw new Broken(`the replay position of ${channel} has expired`);
    }
    if (answer === undefined || /^401|402|unknown client/i.test(why))
      throw new Broken(`subscribing to ${channel} failed: ${why}`);
    this.channels.delete(channel);
    this.parts.log.warn(
      { spoke: this.parts.spoke, channel, why },
      'no change events for this object: it is polled only',
    );
    if (this.channels.size === 0) throw new Broken('no object has change events');
  }

  async #exchange(message: Message): Promise<readonly Message[]> {
    this.#sent += 1;
    const body = { ...message, id: String(this.#sent), ...(this.#clientId === '' ? {} : { clientId: this.#clientId }) };
    const reply = await this.parts.client.call({
      method: 'POST',
      path: `/cometd/${this.parts.config.apiVersion}`,
      headers: this.#cookies === '' ? {} : { cookie: this.#cookies },
      json: [body],
      accept: 'json',
      effect: false,
      limited: false,
      lane: 'interactive',
      deadlineMs: pollDeadlineMs,
      signal: this.signal,
    });
    if (reply.status !== 200 || !Array.isArray(reply.json)) throw new Broken(`the stream answered ${reply.status}`);
    this.#keepCookies(reply.headers['set-cookie']);
    return reply.json as Message[];
  }

  /** Load balancers want their cookie back. Attributes are dropped; the host is pinned anyway. */
  #keepCookies(header: string | undefined): void {
    const pairs = (header ?? '').split(/, (?=[^ ;=]+=)/).flatMap((one) => /^([^ ;=]+=[^;]*)/.exec(one)?.[1] ?? []);
    if (pairs.length > 0)
      this.#cookies = [
        ...new Map(
          [...this.#cookies.split('; '), ...pairs]
            .filter((pair) => pair !== '')
            .map((pair) => [pair.split('=')[0], pair]),
        ).values(),
      ].join('; ');
  }
}

function only(messages: readonly Message[], channel: string): Message {
  const answer = messages.find((message) => message['channel'] === channel);
  if (answer?.['successful'] === true) return answer;
  throw new Broken(`${channel} failed: ${String(answer?.['error'] ?? 'no answer').slice(0, 200)}`);
}

async function* eventsOf(
  parts: StreamParts,
  message: Message,
  channels: Map<string, number>,
  ownUser: string | null,
  signal: AbortSignal,
): AsyncGenerator<StreamEvent> {
  const channel = String(message['channel']);
  const data = (message['data'] ?? {}) as { payload?: Message; event?: { replayId?: unknown } };
  const replay = data.event?.replayId;
  if (typeof replay === 'number' && channels.has(channel)) channels.set(channel, replay);
  const header = (data.payload?.['ChangeEventHeader'] ?? {}) as Message;
  const type = String(header['changeType'] ?? '');
  const entity = String(header['entityName'] ?? '');
  if (type === 'GAP_OVERFLOW' || type === '' || entity === '') {
    yield { kind: 'gap', reason: type === '' ? 'an event without a header' : type };
    return;
  }
  // Our own writes were read back when they were made, and the poll shows them again: fetching each would double every call.
  if (header['commitUser'] !== undefined && header['commitUser'] === ownUser) return;
  const ids = (Array.isArray(header['recordIds']) ? header['recordIds'] : [])
    .filter((id): id is string => typeof id === 'string' && isId(id))
    .map(id18);
  const companion = companionFor(entity);
  if (companion === null) {
    const deleted = type === 'DELETE' || type === 'GAP_DELETE';
    for (const id of ids)
      yield { kind: 'hint', hint: { object: objectName(entity), externalId: externalId(id), deleted } };
    return;
  }
  for (const id of await parentsOf(parts, companion, ids, { lane: 'interactive', signal })) {
    yield { kind: 'hint', hint: { object: objectName(companion.object), externalId: externalId(id), deleted: false } };
  }
}

/** The event of a companion names the companion only. */
async function parentsOf(
  parts: StreamParts,
  companion: { companion: string; parentField: string },
  ids: readonly string[],
  options: CallOptions,
): Promise<readonly string[]> {
  if (ids.length === 0) return [];
  const soql = `SELECT ${companion.parentField} FROM ${companion.companion} WHERE Id IN (${ids.slice(0, 400).map(quoted).join(',')})`;
  const rows = await parts.query.all(soql, { ...options, deleted: true });
  return [
    ...new Set(
      rows
        .map((row) => row[companion.parentField])
        .filter((id) => typeof id === 'string')
        .map(id18),
    ),
  ];
}
