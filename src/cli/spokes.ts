// Owns what the engine is told of each spoke: its connector, its limits, and an HTTP client of its own, which may call only where the
// configuration points and counts its calls. Nothing is shared between spokes, so one spoke's trouble stays its own.
import { undiciHttp } from '../base/http-undici.js';
import { HttpFailure, type Http } from '../base/http.js';
import type { SpokeConfig } from '../config/config.js';
import type { ConfiguredConnector } from '../connectors/registry.js';
import type { SpokeSetup } from '../engine/connect.js';
import type { SpokeName } from '../model/ids.js';
import type { Counters } from '../model/status.js';
import type { Io } from './io.js';

export function spokeSetup(spoke: SpokeConfig, counters: Counters, io: Io): SpokeSetup {
  return {
    name: spoke.name,
    connector: spoke.parsed as ConfiguredConnector,
    concurrency: spoke.limits.concurrency,
    spacingMs: spoke.limits.spacingMs,
    quotaReserve: spoke.quotaReservePercent / 100,
    deletions: spoke.deletions,
    http: counted(undiciHttp({ clock: io.clock, ...addressRules(spoke) }), spoke.name, counters),
  };
}

/** Stands where a client is asked for and each spoke has its own. */
export const noHttp: Http = {
  request: () => Promise.reject(new HttpFailure('no HTTP client was configured for this spoke', false)),
};

function counted(http: Http, spoke: SpokeName, counters: Counters): Http {
  return {
    async request(request) {
      try {
        const response = await http.request(request);
        counters.apiCalls(spoke, response.status === 429 ? 'throttled' : response.status >= 500 ? 'failed' : 'ok', 1);
        return response;
      } catch (error) {
        counters.apiCalls(spoke, 'failed', 1);
        throw error;
      }
    },
  };
}

/** A loopback or private address may be called only where the configuration itself names one (F129). */
function addressRules(spoke: SpokeConfig): { readonly allowLoopback: boolean; readonly allowPrivate: boolean } {
  const hosts = [...addressesIn(spoke.options)].map((url) => url.hostname.replace(/^\[|\]$/g, ''));
  const loopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127\./.test(host);
  const local = (host: string): boolean => /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|f[cd])/i.test(host);
  return { allowLoopback: hosts.some(loopback), allowPrivate: hosts.some(local) };
}

function* addressesIn(value: unknown): Generator<URL> {
  if (typeof value === 'string') {
    if (/^https?:\/\//.test(value) && URL.canParse(value)) yield new URL(value);
  } else if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) yield* addressesIn(inner);
  }
}
