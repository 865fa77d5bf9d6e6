// Owns opening the configured spokes with everything a connector needs: one HTTP client, limiter and memory each, nothing shared
// between them, so that one spoke's trouble stays its own. Opening makes no call to the remote.
import { undiciHttp, type UndiciHttp } from '../base/http-undici.js';
import type { Http } from '../base/http.js';
import type { Log } from '../base/log.js';
import { systemRandom } from '../base/random.js';
import type { Config, SpokeConfig } from '../config/config.js';
import type { Limiter, Spoke } from '../connectors/connector.js';
import type { BoundLimiter } from '../connectors/limiter-gate.js';
import { openLimiter } from '../connectors/limiter.js';
import type { SpokeName } from '../model/ids.js';
import type { Counters } from '../model/status.js';
import { connectorState } from '../store/connector-state.js';
import type { Pool } from '../store/pool.js';
import { postgresLedger, setQuotaReserve } from '../store/quota.js';
import type { Io } from './io.js';
import { configured } from './project.js';

export interface OpenSpoke {
  readonly name: SpokeName;
  readonly connector: string;
  readonly spoke: Spoke;
  readonly limiter: BoundLimiter;
  readonly config: SpokeConfig;
}

export interface OpenSpokes {
  readonly spokes: ReadonlyMap<SpokeName, OpenSpoke>;
  close(): Promise<void>;
}

export interface SpokesOptions {
  readonly config: Config;
  readonly pool: Pool;
  readonly log: Log;
  readonly counters: Counters;
  readonly signal: AbortSignal;
}

/** Opens every enabled spoke. The hub must be migrated: quota and connector memory live there. */
export async function openSpokes(options: SpokesOptions, io: Io): Promise<OpenSpokes> {
  const opened: { readonly entry: OpenSpoke; readonly http: UndiciHttp }[] = [];
  const close = async (): Promise<void> => {
    await Promise.allSettled(opened.map(({ entry }) => entry.spoke.close()));
    await Promise.allSettled(opened.map(({ entry }) => entry.limiter.close()));
    await Promise.allSettled(opened.map(({ http }) => http.close()));
  };
  try {
    for (const config of options.config.spokes.values()) {
      if (config.enabled) opened.push(await openSpoke(config, options, io));
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { spokes: new Map(opened.map(({ entry }) => [entry.name, entry])), close };
}

async function openSpoke(
  config: SpokeConfig,
  options: SpokesOptions,
  io: Io,
): Promise<{ readonly entry: OpenSpoke; readonly http: UndiciHttp }> {
  const { pool, counters, signal } = options;
  const { clock } = io;
  const log = options.log.child({ spoke: config.name });
  await setQuotaReserve(pool, config.name, config.quotaReservePercent / 100, clock.now());
  const http = undiciHttp({ clock, ...addressRules(config) });
  // How many calls may be under way is the connector's to say, and it says it once it is open.
  const late: { limiter: BoundLimiter | null } = { limiter: null };
  const spoke = await configured(options.config, config.name).open({
    spoke: config.name,
    clock,
    random: systemRandom,
    signal,
    log,
    http: counted(http, config.name, counters),
    limiter: whenBound(late),
    state: connectorState({ spoke: config.name, pool, clock, signal }),
  });
  const limiter = openLimiter({
    spoke: config.name,
    clock,
    random: systemRandom,
    log,
    ledger: postgresLedger(pool, clock),
    signal,
    concurrency: config.limits.concurrency ?? spoke.capabilities.lanes,
    spacingMs: config.limits.spacingMs,
  });
  late.limiter = limiter;
  return { entry: { name: config.name, connector: config.connector, spoke, limiter, config }, http };
}

function whenBound(late: { readonly limiter: BoundLimiter | null }): Limiter {
  const bound = (): BoundLimiter => {
    if (late.limiter === null) throw new Error('a connector called its remote while it was being opened');
    return late.limiter;
  };
  return {
    run: (request, call) => bound().run(request, call),
    observe: (budget) => bound().observe(budget),
    backOff: (ms, reason) => bound().backOff(ms, reason),
  };
}

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
function addressRules(config: SpokeConfig): { readonly allowLoopback: boolean; readonly allowPrivate: boolean } {
  const hosts = [...addressesIn(config.options)].map((url) => url.hostname.replace(/^\[|\]$/g, ''));
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
