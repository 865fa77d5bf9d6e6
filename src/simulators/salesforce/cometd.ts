// Owns the CometD endpoint: the protocol is the faye package's, the engine below it (queues, replay) is ours through faye's
// engine interface, sessions and channel names are checked in a server extension.
import { createRequire } from 'node:module';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../base/clock.js';
import type { Auth } from './auth.js';
import type { ChangeEvent, ChangeEvents } from './change-events.js';

interface Message {
  channel: string;
  clientId?: string;
  subscription?: string | string[];
  ext?: { replay?: Readonly<Record<string, number>> | boolean } & Record<string, unknown>;
  data?: unknown;
  error?: string;
  advice?: Record<string, unknown>;
}

type Pass = (message: Message) => void;

interface Extension {
  incoming(message: Message, request: IncomingMessage | null, pass: Pass): void;
  outgoing(message: Message, request: IncomingMessage | null, pass: Pass): void;
}

/** What faye gives an engine. */
interface EngineHost {
  readonly timeout: number;
  generateId(): string;
  hasConnection(clientId: string): boolean;
  deliver(clientId: string, messages: readonly Message[] | undefined): boolean;
  trigger(event: string, ...details: unknown[]): void;
}

interface NodeAdapter {
  handle(request: IncomingMessage, response: ServerResponse): void;
  addExtension(extension: Extension): void;
  close(): void;
}

interface Faye {
  NodeAdapter: new (options: {
    mount: string;
    timeout: number;
    engine: { type: { create(host: EngineHost): Engine } };
  }) => NodeAdapter;
}

const faye = createRequire(import.meta.url)('faye') as Faye;

interface Client {
  readonly channels: Set<string>;
  queue: Message[];
  seenAt: number;
}

/** Replayed events wait this long, so that the client knows it is subscribed before they arrive. */
const replayDelayMs = 20;

class Engine {
  readonly clients = new Map<string, Client>();
  /** Replay positions asked for in subscribe messages that are on their way. */
  readonly asked = new Map<string, number>();

  constructor(
    private readonly host: EngineHost,
    private readonly events: ChangeEvents,
    private readonly clock: Clock,
  ) {
    events.onEvent((event) => this.spread(event));
  }

  createClient(callback: (clientId: string) => void, context: unknown): void {
    const clientId = this.host.generateId();
    this.clients.set(clientId, { channels: new Set(), queue: [], seenAt: this.clock.monotonic() });
    this.host.trigger('handshake', clientId);
    callback.call(context, clientId);
  }

  clientExists(clientId: string, callback: (exists: boolean) => void, context: unknown): void {
    callback.call(context, this.clients.has(clientId));
  }

  destroyClient(clientId: string, callback?: () => void, context?: unknown): void {
    this.clients.delete(clientId);
    this.host.trigger('disconnect', clientId);
    this.host.trigger('close', clientId);
    callback?.call(context);
  }

  ping(clientId: string): void {
    const now = this.clock.monotonic();
    const client = this.clients.get(clientId);
    if (client !== undefined) client.seenAt = now;
    for (const [id, other] of this.clients) if (now - other.seenAt > this.host.timeout * 3000) this.destroyClient(id);
  }

  subscribe(clientId: string, channel: string, callback?: (ok: boolean) => void, context?: unknown): void {
    const client = this.clients.get(clientId);
    const key = `${clientId} ${channel}`;
    const from = this.asked.get(key) ?? -1;
    this.asked.delete(key);
    if (client !== undefined) {
      client.channels.add(channel);
      const missed = (this.events.after(from) ?? []).filter((event) => this.events.carries(channel, event));
      client.queue.push(...missed.map((event) => messageOf(channel, event)));
      if (missed.length > 0) void this.clock.sleep(replayDelayMs).then(() => this.emptyQueue(clientId));
      this.host.trigger('subscribe', clientId, channel);
    }
    callback?.call(context, true);
  }

  unsubscribe(clientId: string, channel: string, callback?: (ok: boolean) => void, context?: unknown): void {
    this.clients.get(clientId)?.channels.delete(channel);
    this.host.trigger('unsubscribe', clientId, channel);
    callback?.call(context, true);
  }

  /** Clients cannot publish; events come from commits only. */
  publish(): void {}

  emptyQueue(clientId: string): void {
    const client = this.clients.get(clientId);
    if (client === undefined || client.queue.length === 0 || !this.host.hasConnection(clientId)) return;
    const { queue } = client;
    client.queue = [];
    this.host.deliver(clientId, queue);
  }

  disconnect(): void {
    this.clients.clear();
  }

  private spread(event: ChangeEvent): void {
    for (const [clientId, client] of this.clients) {
      for (const channel of client.channels) {
        if (this.events.carries(channel, event)) client.queue.push(messageOf(channel, event));
      }
      this.emptyQueue(clientId);
    }
  }
}

const messageOf = (channel: string, event: ChangeEvent): Message => ({ channel, data: structuredClone(event.data) });

export class CometD {
  private readonly adapter: NodeAdapter;
  private engine: Engine | null = null;

  constructor(
    private readonly events: ChangeEvents,
    private readonly auth: Auth,
    clock: Clock,
    timeoutMs: number,
  ) {
    const create = (host: EngineHost): Engine => (this.engine = new Engine(host, events, clock));
    this.adapter = new faye.NodeAdapter({ mount: '/cometd', timeout: timeoutMs / 1000, engine: { type: { create } } });
    this.adapter.addExtension({
      incoming: (message, request, pass) => pass(this.checked(message, request)),
      outgoing: (message, _request, pass) => pass(this.dressed(message)),
    });
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    this.adapter.handle(request, response);
  }

  /** Forgets every client: they are told that they are unknown and must shake hands again. */
  dropClients(): void {
    for (const clientId of [...(this.engine?.clients.keys() ?? [])]) this.engine?.destroyClient(clientId);
  }

  close(): void {
    this.adapter.close();
  }

  private checked(message: Message, request: IncomingMessage | null): Message {
    if (!message.channel.startsWith('/meta/'))
      return { ...message, error: '403:denied_by_security_policy:publish_denied' };
    try {
      this.auth.session(request?.headers.authorization);
    } catch {
      // A refused session is an answer in the protocol, not a failure of ours.
      return {
        ...message,
        error: message.channel === '/meta/handshake' ? '403::Handshake denied' : '401::Authentication invalid',
      };
    }
    return message.channel === '/meta/subscribe' ? this.checkedSubscription(message) : message;
  }

  private checkedSubscription(message: Message): Message {
    const replay = typeof message.ext?.replay === 'object' ? message.ext.replay : {};
    for (const channel of [message.subscription ?? []].flat()) {
      if (!this.events.knows(channel)) return { ...message, error: `403:denied_by_security_policy:create_denied` };
      const from = replay[channel] ?? -1;
      if (this.events.after(from) === null) {
        return {
          ...message,
          error: `400::The replayId {${String(from)}} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events.`,
        };
      }
      this.engine?.asked.set(`${message.clientId ?? ''} ${channel}`, from);
    }
    return message;
  }

  private dressed(message: Message): Message {
    if (message.error?.startsWith('401') === true || message.error?.startsWith('403::Handshake') === true) {
      const ext = { sfdc: { failureReason: '401::Authentication invalid' }, replay: true };
      return { ...message, ext, advice: { ...message.advice, reconnect: 'none' } };
    }
    return message.channel === '/meta/handshake'
      ? { ...message, ext: { ...message.ext, replay: true, 'payload.format': true } }
      : message;
  }
}
