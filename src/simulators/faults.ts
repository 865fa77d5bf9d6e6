// Owns the faults of a simulator: rules switched at run time, a pure seeded decision, and how each fault looks on the wire.
// A handler gives back a Reply instead of writing to the socket, so one place decides what really leaves the machine.
import type { ServerResponse } from 'node:http';
import { systemClock, type Clock } from '../base/clock.js';
import { seeded, type Random } from '../base/random.js';

export type FaultKind =
  | 'status' // answers `status` (with `retryAfter`, `body`); nothing is applied unless `applied`
  | 'throttle' // the API's own way of saying "too fast"; the simulator supplies the reply; nothing is applied
  | 'refuse' // connection reset before anything happens
  | 'lost-response' // applied, then the socket is destroyed
  | 'late-apply' // socket destroyed, applied `ms` later
  | 'cut-body' // applied; the full length is announced, half of the body is sent, then the socket is destroyed
  | 'html' // applied unless `applied: false`; 200 with an HTML page
  | 'slow-body' // applied; the body leaves a byte at a time, one every `ms` (default 1000)
  | 'delay' // `ms` of waiting, then everything as usual
  | 'hang' // no answer ever; applied only with `applied: true`
  | 'reorder' // applied; the list in the answer comes back to front
  | 'fewer'; // applied; the list in the answer lacks its last entry

export const faultKinds: readonly FaultKind[] = [
  'status',
  'throttle',
  'refuse',
  'lost-response',
  'late-apply',
  'cut-body',
  'html',
  'slow-body',
  'delay',
  'hang',
  'reorder',
  'fewer',
];

export interface FaultRule {
  readonly id: string;
  /** Regular expression, matched against each name of the call: `METHOD /path` and the operation name. */
  readonly route: string;
  readonly kind: FaultKind;
  /** 0..1, default 1. */
  readonly probability?: number | undefined;
  /** How often it may strike; without it there is no end. */
  readonly times?: number | undefined;
  /** Seeds this rule's own draws, so rules do not disturb each other. Default 1. */
  readonly seed?: number | undefined;
  /** For `status`; default 503. */
  readonly status?: number | undefined;
  /** For `status` and `html`. */
  readonly body?: string | undefined;
  /** For `status` and `throttle`: the Retry-After header, verbatim (seconds, a date, garbage). */
  readonly retryAfter?: string | number | undefined;
  /** For `delay`, `late-apply`, `slow-body`. */
  readonly ms?: number | undefined;
  /** For `status`, `html`, `hang`: whether the request takes effect all the same. */
  readonly applied?: boolean | undefined;
}

export interface FaultState extends FaultRule {
  /** How often this rule has struck. */
  readonly struck: number;
}

interface Armed {
  readonly rule: FaultRule;
  readonly pattern: RegExp;
  readonly random: Random;
  struck: number;
}

/** The rules that are in force. */
export class Faults {
  private armed: Armed[] = [];

  /** Adds rules; one with a known id replaces it and starts its draws and count anew. Throws RangeError on a bad rule. */
  put(...rules: readonly FaultRule[]): void {
    const checked = rules.map(arm);
    const ids = new Set(rules.map((rule) => rule.id));
    this.armed = [...this.armed.filter(({ rule }) => !ids.has(rule.id)), ...checked];
  }

  remove(id: string): boolean {
    const before = this.armed.length;
    this.armed = this.armed.filter(({ rule }) => rule.id !== id);
    return this.armed.length < before;
  }

  clear(): void {
    this.armed = [];
  }

  list(): readonly FaultState[] {
    return this.armed.map(({ rule, struck }) => ({ ...rule, struck }));
  }

  /** The first rule that strikes this call, or null. Draws only for rules whose route matches. */
  decide(names: readonly string[]): FaultRule | null {
    for (const entry of this.armed) {
      if (entry.rule.times !== undefined && entry.struck >= entry.rule.times) continue;
      if (!names.some((name) => entry.pattern.test(name))) continue;
      if (entry.random.next() >= (entry.rule.probability ?? 1)) continue;
      entry.struck += 1;
      return entry.rule;
    }
    return null;
  }
}

function arm(rule: FaultRule): Armed {
  const { id, probability = 1, times } = rule;
  // Rules also arrive as JSON, so types alone promise nothing here.
  if (typeof rule.route !== 'string') throw new RangeError(`fault ${String(id)}: route must be a regular expression`);
  if (typeof id !== 'string' || id === '') throw new RangeError('a fault rule needs an id');
  if (!faultKinds.includes(rule.kind)) {
    throw new RangeError(`fault ${id}: unknown kind ${JSON.stringify(rule.kind)}; one of ${faultKinds.join(', ')}`);
  }
  if (!(probability >= 0 && probability <= 1)) throw new RangeError(`fault ${id}: probability must be within 0..1`);
  if (times !== undefined && !(times >= 0)) throw new RangeError(`fault ${id}: times must be 0 or more`);
  try {
    return { rule, pattern: new RegExp(rule.route, 'i'), random: seeded(rule.seed ?? 1), struck: 0 };
  } catch (cause) {
    throw new RangeError(`fault ${id}: route is not a regular expression: ${rule.route}`, { cause });
  }
}

/** What a handler answers. Content-Length is added when sent. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

export interface FaultedCall {
  readonly response: ServerResponse;
  readonly fault: FaultRule | null;
  /** Does the work and says what to answer. Called at most once; must not reject. */
  readonly handle: () => Promise<Reply>;
  /** The API's own "too fast" answer. */
  readonly throttled: (rule: FaultRule) => Reply;
  readonly clock?: Clock | undefined;
  /** Aborts waiting faults when the simulator closes. */
  readonly closing?: AbortSignal | undefined;
}

/** Runs a call under its fault. Resolves with the status that was sent, or null when the connection was broken. */
export async function respond(call: FaultedCall): Promise<number | null> {
  const { response, fault, handle } = call;
  const clock = call.clock ?? systemClock;
  if (fault === null) return send(response, await handle());
  switch (fault.kind) {
    case 'status':
      if (fault.applied === true) await handle();
      return send(response, statusReply(fault));
    case 'throttle':
      return send(response, call.throttled(fault));
    case 'refuse':
      return breakOff(response);
    case 'lost-response':
      await handle();
      return breakOff(response);
    case 'late-apply':
      breakOff(response);
      await clock.sleep(fault.ms ?? 1000, call.closing);
      if (call.closing?.aborted !== true) await handle();
      return null;
    case 'cut-body':
      return cut(response, await handle());
    case 'html':
      if (fault.applied !== false) await handle();
      return send(response, htmlReply(fault));
    case 'slow-body':
      return drip(response, await handle(), fault.ms ?? 1000, clock, call.closing);
    case 'delay':
      await clock.sleep(fault.ms ?? 1000, call.closing);
      return send(response, await handle());
    case 'hang':
      if (fault.applied === true) await handle();
      return null;
    case 'reorder':
    case 'fewer':
      return send(response, withList(await handle(), fault.kind));
  }
}

/** Tampers with an answer that is a JSON list; any other answer passes as it is. */
function withList(reply: Reply, kind: 'reorder' | 'fewer'): Reply {
  if (typeof reply.body !== 'string' || !reply.body.startsWith('[')) return reply;
  const list = JSON.parse(reply.body) as unknown[];
  return { ...reply, body: JSON.stringify(kind === 'reorder' ? list.reverse() : list.slice(0, -1)) };
}

function statusReply(fault: FaultRule): Reply {
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (fault.retryAfter !== undefined) headers['retry-after'] = String(fault.retryAfter);
  const status = fault.status ?? 503;
  return { status, headers, body: fault.body ?? JSON.stringify({ errors: `simulated status ${String(status)}` }) };
}

function htmlReply(fault: FaultRule): Reply {
  const body =
    fault.body ?? '<!DOCTYPE html><html><head><title>Maintenance</title></head><body>Back soon.</body></html>';
  return { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body };
}

function head(response: ServerResponse, reply: Reply): Buffer {
  const body = typeof reply.body === 'string' ? Buffer.from(reply.body, 'utf8') : Buffer.from(reply.body);
  const bare = reply.status === 204 || reply.status === 304;
  response.writeHead(reply.status, bare ? reply.headers : { ...reply.headers, 'content-length': String(body.length) });
  return bare ? Buffer.alloc(0) : body;
}

function send(response: ServerResponse, reply: Reply): number | null {
  if (response.destroyed || response.headersSent) return null;
  response.end(head(response, reply));
  return reply.status;
}

function breakOff(response: ServerResponse): null {
  response.socket?.resetAndDestroy();
  response.destroy();
  return null;
}

/** Sends half and ends the connection in an orderly way: the reader has bytes, a length, and no more. */
function cut(response: ServerResponse, reply: Reply): Promise<null> {
  const body = head(response, reply);
  return new Promise((resolve) => {
    response.write(body.subarray(0, Math.floor(body.length / 2)), () => {
      response.socket?.end();
      response.socket?.destroySoon();
      resolve(null);
    });
  });
}

async function drip(response: ServerResponse, reply: Reply, ms: number, clock: Clock, closing?: AbortSignal) {
  const body = head(response, reply);
  for (let at = 0; at < body.length; at += 1) {
    if (response.destroyed || closing?.aborted === true) return null;
    response.write(body.subarray(at, at + 1));
    if (at + 1 < body.length) await clock.sleep(ms, closing);
  }
  response.end();
  return reply.status;
}
