// Owns the control endpoint of a simulator: everything under /__control/, which no simulated API uses. Tests, the demo and
// people at a terminal switch faults, seed and edit records and read the ledger here. Never reachable from another machine:
// the simulators bind to loopback and requests with a foreign Host header are refused.
import type { IncomingMessage } from 'node:http';
import type { Faults, FaultRule, Reply } from './faults.js';
import type { Ledger, LedgerOperation, LedgerQuery } from './ledger.js';
import type { CallCounter } from './stats.js';

export const controlPrefix = '/__control/';

export type EditOperation = 'create' | 'update' | 'delete' | 'undelete';

/** What a person does behind the engine's back. */
export interface Edit {
  readonly op: EditOperation;
  readonly object: string;
  /** Absent for `create`. */
  readonly id?: string | undefined;
  readonly fields?: Readonly<Record<string, unknown>> | undefined;
  /** Default `person`. */
  readonly actor?: string | undefined;
}

export interface EditResult {
  readonly id: string;
}

/** What a simulator lends to its control endpoint. */
export interface Controlled {
  readonly name: string;
  readonly ledger: Ledger;
  readonly faults: Faults;
  readonly calls: CallCounter;
  /** Seeds records without ledger noise; gives back their ids in order. */
  load(object: string, rows: readonly Readonly<Record<string, unknown>>[]): readonly string[];
  edit(edit: Edit): EditResult | Promise<EditResult>;
  records(object: string): readonly unknown[];
  /** Anything particular to one simulator: POST /__control/<name> with a JSON body; the result is answered as JSON. */
  readonly actions: Readonly<Record<string, (body: unknown) => unknown>>;
}

/** A mistake in a control request; answered as 400 with its message. */
export class ControlError extends Error {
  override readonly name = 'ControlError';
}

const bodyBytesMax = 512 * 1024 * 1024;

/** Reads a whole request body; throws RangeError past the bound. */
export async function readBody(request: IncomingMessage, bytesMax = bodyBytesMax): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > bytesMax) throw new RangeError(`request body above ${String(bytesMax)} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

export function isControl(path: string): boolean {
  return path.startsWith(controlPrefix);
}

/** Answers one control request. Never rejects. */
export async function control(sim: Controlled, request: IncomingMessage): Promise<Reply> {
  try {
    if (!fromLoopback(request)) return json(403, { error: 'the control endpoint answers on loopback only' });
    const url = new URL(request.url ?? '/', 'http://localhost');
    const text = (await readBody(request)).toString('utf8');
    const body: unknown = text === '' ? undefined : JSON.parse(text);
    const path = url.pathname.slice(controlPrefix.length);
    return await route(sim, request.method ?? 'GET', path, url.searchParams, body);
  } catch (error) {
    return json(400, { error: error instanceof Error ? error.message : String(error) });
  }
}

async function route(
  sim: Controlled,
  method: string,
  path: string,
  query: URLSearchParams,
  body: unknown,
): Promise<Reply> {
  const [head = '', ...rest] = path.split('/').map(decodeURIComponent);
  const name = rest.join('/');
  switch (`${method} ${head}`) {
    case 'GET ':
      return json(200, { name: sim.name, actions: Object.keys(sim.actions) });
    case 'GET ledger':
      return json(200, sim.ledger.entries(ledgerQuery(query)));
    case 'DELETE ledger':
      sim.ledger.clear();
      return nothing;
    case 'GET stats':
      return json(200, sim.calls.read());
    case 'DELETE stats':
      sim.calls.reset();
      return nothing;
    case 'GET faults':
      return json(200, sim.faults.list());
    case 'PUT faults':
      sim.faults.put(...((Array.isArray(body) ? body : [body]) as FaultRule[]));
      return json(200, sim.faults.list());
    case 'DELETE faults':
      if (name === '') sim.faults.clear();
      else sim.faults.remove(name);
      return nothing;
    case 'POST load': {
      const { object, rows } = record(body, 'load');
      if (typeof object !== 'string' || !Array.isArray(rows)) throw new ControlError('load wants { object, rows: [] }');
      return json(200, { ids: sim.load(object, rows as Record<string, unknown>[]) });
    }
    case 'POST edit':
      return json(200, await sim.edit(record(body, 'edit') as unknown as Edit));
    case 'GET records':
      return json(200, sim.records(name));
    default:
      return action(sim, method, path, body);
  }
}

async function action(sim: Controlled, method: string, path: string, body: unknown): Promise<Reply> {
  const act = Object.hasOwn(sim.actions, path) ? sim.actions[path] : undefined;
  if (method !== 'POST' || act === undefined) {
    const known = `ledger, stats, faults, load, edit, records/:object, ${Object.keys(sim.actions).join(', ')}`;
    return json(404, { error: `no control route ${method} ${path}; there are ${known}` });
  }
  return json(200, (await act(body)) ?? {});
}

function ledgerQuery(query: URLSearchParams): LedgerQuery {
  const after = query.get('after');
  return {
    object: query.get('object') ?? undefined,
    id: query.get('id') ?? undefined,
    op: (query.get('op') as LedgerOperation | null) ?? undefined,
    actor: query.get('actor') ?? undefined,
    after: after === null ? undefined : Number(after),
  };
}

/** A browser page elsewhere must not reach the endpoint through DNS rebinding. */
function fromLoopback(request: IncomingMessage): boolean {
  const address = request.socket.remoteAddress ?? '';
  const host = (request.headers.host ?? '').replace(/:\d+$/, '');
  const near = address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
  return near && ['localhost', '127.0.0.1', '[::1]'].includes(host);
}

export function record(body: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new ControlError(`${what} wants a JSON object`);
  }
  return body as Record<string, unknown>;
}

export function json(status: number, value: unknown): Reply {
  return { status, headers: { 'content-type': 'application/json;charset=UTF-8' }, body: JSON.stringify(value) };
}

const nothing: Reply = { status: 204, headers: {}, body: '' };
