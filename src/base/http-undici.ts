// Owns the one real HTTP client. Promises what base/http.ts says: one attempt, one deadline over connect → last byte, a
// bounded body, no redirects, no hidden retry. Never decides whether to try again and never logs a header or a body.
import { Agent, type Dispatcher } from 'undici';
import { addressGuard, type AddressGuard, type AddressRules } from './address-guard.js';
import { deadline, type Clock } from './clock.js';
import { HttpFailure, type Http, type HttpRequest, type HttpResponse } from './http.js';

export interface UndiciHttpOptions extends AddressRules {
  readonly clock: Clock;
  /** Sockets per origin; further requests wait for one, within their deadline. Default 16. */
  readonly connectionsMax?: number | undefined;
  /** For requests that name no bound of their own. Default 64 MiB. */
  readonly bodyBytesMax?: number | undefined;
  /** Idle time after which a socket is closed. Default 4 s, below what load balancers use. */
  readonly keepAliveMs?: number | undefined;
}

export interface UndiciHttp extends Http {
  /** Ends idle sockets at once and fails what is under way. Safe to call twice. */
  close(): Promise<void>;
}

const connectMsMax = 10_000;
const headerBytesMax = 64 * 1024;

export function undiciHttp(options: UndiciHttpOptions): UndiciHttp {
  const guard = addressGuard(options);
  const agent = new Agent({
    connections: options.connectionsMax ?? 16,
    pipelining: 1, // a second request behind a first would be retried by undici when the first one's socket dies
    keepAliveTimeout: options.keepAliveMs ?? 4_000,
    maxHeaderSize: headerBytesMax,
    // The total deadline is ours; undici's own timers measure gaps and would let a byte a second go on for ever (F81).
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: connectMsMax, lookup: guard.lookup },
  });
  let closed: Promise<void> | null = null;
  return {
    request: (request) => exchange({ agent, guard, options, request }),
    close: () => (closed ??= agent.destroy()),
  };
}

interface Exchange {
  readonly agent: Agent;
  readonly guard: AddressGuard;
  readonly options: UndiciHttpOptions;
  readonly request: HttpRequest;
}

async function exchange({ agent, guard, options, request }: Exchange): Promise<HttpResponse> {
  const url = parseUrl(request.url);
  const place = `${request.method} ${url.origin}${url.pathname}`; // never the query: it may hold a token
  const refusal = guard.refusal(url);
  if (refusal !== null) throw new HttpFailure(`${place} refused: ${refusal}`, false);
  const limit = deadline(options.clock, request.deadlineMs, request.signal);
  let onAbort = (): void => undefined;
  try {
    return await new Promise<HttpResponse>((resolve, reject) => {
      const bytesMax = request.bodyBytesMax ?? options.bodyBytesMax ?? 64 * 1024 * 1024;
      const collector = new Collector(place, bytesMax, { resolve, reject });
      onAbort = () => collector.stop(limit.signal.reason);
      if (limit.signal.aborted) return onAbort();
      limit.signal.addEventListener('abort', onAbort, { once: true });
      agent.dispatch(
        {
          origin: url.origin,
          path: `${url.pathname}${url.search}`,
          method: request.method,
          headers: { ...request.headers },
          body: request.body ?? null,
          // undici may repeat a request that it believes idempotent; nothing here may be sent twice.
          idempotent: false,
        },
        collector,
      );
    });
  } finally {
    // A composed signal with a listener is kept alive by its long-lived parent.
    limit.signal.removeEventListener('abort', onAbort);
    limit.cancel();
  }
}

function parseUrl(text: string): URL {
  if (!URL.canParse(text)) throw new HttpFailure('the address of a request is not a URL', false);
  return new URL(text);
}

interface Settle {
  resolve(response: HttpResponse): void;
  reject(error: HttpFailure): void;
}

/** Gathers one response. `sent` turns true when undici is about to write the request to a connected socket. */
class Collector implements Dispatcher.DispatchHandler {
  private sent = false;
  private stopped: HttpFailure | null = null;
  private controller: Dispatcher.DispatchController | null = null;
  private status = 0;
  private headers: Record<string, string> = {};
  private readonly chunks: Buffer[] = [];
  private bytes = 0;

  constructor(
    private readonly place: string,
    private readonly bytesMax: number,
    private readonly settle: Settle,
  ) {}

  /** Deadline or caller's abort: the promise settles now, the socket is torn down with it. */
  stop(reason: unknown): void {
    this.fail(`stopped: ${reason instanceof Error ? reason.message : 'aborted by the caller'}`, reason);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    // Stopped while waiting for a socket: undici checks for this abort before it writes a byte.
    if (this.stopped !== null) return controller.abort(this.stopped);
    this.sent = true;
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHeaders): void {
    this.status = status;
    this.headers = {};
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined) this.headers[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value;
    }
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.bytes > this.bytesMax) return this.fail(`answered with more than ${this.bytesMax} bytes`, undefined);
    this.chunks.push(chunk);
  }

  onResponseEnd(): void {
    const body = this.chunks.length === 1 && this.chunks[0] !== undefined ? this.chunks[0] : Buffer.concat(this.chunks);
    this.settle.resolve({ status: this.status, headers: this.headers, body });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const detail = 'code' in error && typeof error.code === 'string' ? `${error.code} ${error.message}` : error.message;
    this.fail(`failed: ${detail}`, error);
  }

  private fail(what: string, cause: unknown): void {
    if (this.stopped !== null) return;
    const when = this.sent ? 'after sending' : 'before sending';
    this.stopped = new HttpFailure(`${this.place} ${what} (${when})`, this.sent, { cause });
    this.settle.reject(this.stopped);
    this.controller?.abort(this.stopped);
  }
}

type IncomingHeaders = Readonly<Record<string, string | string[] | undefined>>;
