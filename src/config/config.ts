// Owns the shape of the parsed configuration: what the rest works with once truespoke.yaml and the environment have been read.
// Immutable, complete, references resolved. Nothing after this reads YAML or the environment.
import type { ConfigPlace } from '../connectors/connector.js';
import type { SpokeName } from '../model/ids.js';

export interface Config {
  /** Absolute path of truespoke.yaml. */
  readonly file: string;
  readonly hub: HubConfig;
  /** Absolute path of the folder of mappings. */
  readonly mappings: string;
  readonly spokes: ReadonlyMap<SpokeName, SpokeConfig>;
  readonly server: ServerConfig;
  readonly schedule: ScheduleConfig;
  readonly log: { readonly level: LogLevel };
  /** Every secret's text that a reference yielded, for the canary check and for scrubbing. Never printed. */
  readonly secrets: readonly string[];
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

export interface HubConfig {
  /** null: the embedded Postgres in `dataDir`. */
  readonly url: string | null;
  /** Absolute path. */
  readonly dataDir: string;
  /** Connections of one process. */
  readonly poolSize: number;
}

export interface SpokeConfig {
  readonly name: SpokeName;
  readonly connector: string;
  /** false: known, but left alone. */
  readonly enabled: boolean;
  /** The connector's own keys, references resolved. */
  readonly options: Readonly<Record<string, unknown>>;
  /** What `Connector.parseConfig` made of `options`; null when no connectors were given to `loadConfig`. */
  readonly parsed: unknown;
  readonly limits: LimitsConfig;
  /** Share of the spoke's quota, 0–90 %, that is left to other applications. */
  readonly quotaReservePercent: number;
  /** More deletions than both in one run stop and wait for a person. */
  readonly deletions: { readonly max: number; readonly percent: number };
  /** Where a key of `options` stands. */
  readonly place: ConfigPlace;
}

export interface LimitsConfig {
  /** Calls under way at once; null = what the connector offers. */
  readonly concurrency: number | null;
  /** Least time between two calls. */
  readonly spacingMs: number;
}

export interface ServerConfig {
  readonly host: string;
  readonly port: number;
  /** Where the world reaches us, for webhooks. */
  readonly publicUrl: string | null;
  readonly tokens: readonly {
    readonly name: string;
    readonly role: 'viewer' | 'operator' | 'admin';
    readonly sha256: string;
  }[];
}

export interface ScheduleConfig {
  /** Between two polls of a spoke's changes. */
  readonly pollSeconds: number;
  /** Cron in UTC; null = only on command. */
  readonly reconcile: string | null;
  /** Between two looks at slot, publication and replica identity. */
  readonly catalogueSeconds: number;
  /** Settled deliveries, journal and inbox are kept this long. */
  readonly retentionDays: number;
}
