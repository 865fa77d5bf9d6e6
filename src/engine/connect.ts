// Opens one spoke: limiter with the shared ledger, connector, pinned identity, look-ups behind the mapping's defaults. Whatever is wrong
// with it pauses this spoke only, with the reason and the next step.
import type { Clock } from '../base/clock.js';
import { ConfigError, SpokePaused } from '../base/errors.js';
import type { Http } from '../base/http.js';
import type { Log } from '../base/log.js';
import type { Random } from '../base/random.js';
import type { ConnectorState, Spoke } from '../connectors/connector.js';
import { openLimiter } from '../connectors/limiter.js';
import type { BoundLimiter } from '../connectors/limiter-gate.js';
import type { ConfiguredConnector } from '../connectors/registry.js';
import type { Mapping } from '../mapping/mapping.js';
import { objectsOf, ownMappings, selectionOf } from '../mapping/selection.js';
import type { DeletionLimits } from '../model/deletion-window.js';
import type { EntityName, RemotePath, SpokeName } from '../model/ids.js';
import type { RemoteFields, RemoteValue } from '../model/record.js';
import { connectorState } from '../store/connector-state.js';
import type { Pool } from '../store/pool.js';
import { postgresLedger, setQuotaReserve } from '../store/quota.js';
import { pinIdentity } from '../store/spokes.js';
import type { LiveSpoke } from './context.js';
import { Bell } from './service.js';

export interface SpokeSetup {
  readonly name: SpokeName;
  readonly connector: ConfiguredConnector;
  readonly concurrency: number | null;
  readonly spacingMs: number;
  /** Share of the quota left to other applications, 0–1. */
  readonly quotaReserve: number;
  /** More deletions at once than both need a person's word: records, and percent of the linked ones. */
  readonly deletions?: { readonly max: number; readonly percent: number } | undefined;
  /** Its own client, with its own address rules and call counter; `ConnectDeps.http` without one. */
  readonly http?: Http | undefined;
}

export interface ConnectDeps {
  readonly pool: Pool;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly http: Http;
  readonly mapping: Mapping;
  readonly signal: AbortSignal;
  /** Named instants at which drills kill the process. */
  readonly crashpoint?: ((name: string) => void) | undefined;
}

const concurrencyDefault = 5;

/** Opens the client; nothing is called at the spoke yet. */
export async function openSpoke(
  deps: ConnectDeps,
  setup: SpokeSetup,
): Promise<{ spoke: Spoke; limiter: BoundLimiter }> {
  const log = deps.log.child({ spoke: setup.name });
  await setQuotaReserve(deps.pool, setup.name, setup.quotaReserve, deps.clock.now());
  const limiter = openLimiter({
    spoke: setup.name,
    clock: deps.clock,
    random: deps.random,
    log,
    ledger: postgresLedger(deps.pool, deps.clock),
    signal: deps.signal,
    concurrency: setup.concurrency ?? concurrencyDefault,
    spacingMs: setup.spacingMs,
  });
  const spoke = await setup.connector.open({
    spoke: setup.name,
    clock: deps.clock,
    random: deps.random,
    signal: deps.signal,
    log,
    http: setup.http ?? deps.http,
    limiter,
    state: stateOf(deps, setup.name),
  });
  return { spoke, limiter };
}

/** The connector's memory, with the instants around what it must not forget: a bulk id (F18, F19), a rotated token (F21). */
function stateOf(deps: ConnectDeps, spoke: SpokeName): ConnectorState {
  const state = connectorState({ spoke, pool: deps.pool, clock: deps.clock, signal: deps.signal });
  return {
    ...state,
    async put(key, value) {
      if (value !== null) deps.crashpoint?.(`state_storing/${spoke}`);
      await state.put(key, value);
      if (value !== null) deps.crashpoint?.(`state_stored/${spoke}`);
    },
  };
}

/** Pins who the spoke is, or refuses another one (F105). */
export async function checkIdentity(deps: Pick<ConnectDeps, 'pool'>, name: SpokeName, spoke: Spoke): Promise<void> {
  const identity = await spoke.identity();
  const pinned = await pinIdentity(deps.pool, name, identity);
  if (pinned === identity.id) return;
  throw new SpokePaused({
    code: 'other_identity',
    spoke: name,
    message: `spoke ${name} is now ${identity.id} (${identity.label}), but its links belong to ${pinned}`,
    hint: 'point the spoke back to that organisation, or give the new one a spoke name of its own',
  });
}

/** Resolves `defaults` with look-ups: each must find exactly one record. */
export async function resolveDefaults(
  mapping: Mapping,
  name: SpokeName,
  spoke: Spoke,
): Promise<ReadonlyMap<EntityName, RemoteFields>> {
  const resolved = new Map<EntityName, RemoteFields>();
  for (const mapped of ownMappings(mapping, name)) {
    const fields: Record<RemotePath, RemoteValue> = {};
    for (const [path, value] of Object.entries(mapped.defaults) as [
      RemotePath,
      (typeof mapped.defaults)[RemotePath],
    ][]) {
      if (value.kind === 'literal') {
        fields[path] = value.value;
        continue;
      }
      const read = { paths: Object.keys(value.key) as RemotePath[], children: {} };
      const [found = []] = await spoke.find(value.object, [{ by: 'values', values: value.key }], read, {
        lane: 'interactive',
      });
      const present = found.filter((record) => !record.deleted);
      const [only, second] = present;
      if (only === undefined || second !== undefined) {
        const what = `${value.object} with ${JSON.stringify(value.key)}`;
        throw new SpokePaused({
          code: 'default_not_found',
          spoke: name,
          entity: mapped.entity,
          message: `mapping ${mapped.entity}, spoke ${name}: default ${path} needs exactly one ${what}; found ${present.length}`,
          hint: 'make that record in the spoke, or change the default in the mapping; then `truespoke resume`',
        });
      }
      fields[path] = only.externalId;
    }
    resolved.set(mapped.entity, fields);
  }
  return resolved;
}

/** Asks for every mapped object before anything moves: an object that is missing must not look like an empty one. */
export async function checkContract(mapping: Mapping, name: SpokeName, spoke: Spoke): Promise<void> {
  const objects = objectsOf(mapping, name);
  const schema = await spoke.describe(objects);
  const [missing] = schema.missing;
  if (missing !== undefined) {
    throw new SpokePaused({
      code: 'object_missing',
      spoke: name,
      message: `spoke ${name} has no object ${schema.missing.join(', ')}, or our user may not see it`,
      hint: 'grant access or change the mapping (`truespoke check --connect` lists everything); then `truespoke resume`',
    });
  }
  for (const object of schema.objects) {
    const known = new Set(object.fields.map((field) => field.path));
    const absent = selectionOf(mapping, name, object.name).paths.filter((path) => !known.has(path));
    if (absent.length > 0) {
      throw new SpokePaused({
        code: 'field_missing',
        spoke: name,
        message: `spoke ${name}: ${object.name} has no field ${absent.join(', ')}, or our user may not see it`,
        hint: 'grant access or change the mapping (`truespoke check --connect` lists everything); then `truespoke resume`',
      });
    }
  }
}

export const bells = (): Pick<LiveSpoke, 'outboundBell' | 'hintBell' | 'pollBell'> => ({
  outboundBell: new Bell(),
  hintBell: new Bell(),
  pollBell: new Bell(),
});

/** Wrong credentials and wrong configuration pause the spoke; everything else is tried again. */
export function asPause(error: unknown, name: SpokeName): SpokePaused | null {
  if (error instanceof SpokePaused) return error;
  if (!(error instanceof ConfigError)) return null;
  return new SpokePaused({ code: error.code, spoke: name, message: error.message, hint: error.hint, cause: error });
}

/** Mass-deletion limits of the spokes that have their own. */
export function deletionLimits(spokes: readonly SpokeSetup[]): ReadonlyMap<SpokeName, DeletionLimits> {
  return new Map(
    spokes.flatMap(({ name, deletions }) =>
      deletions === undefined ? [] : [[name, { absolute: deletions.max, relative: deletions.percent / 100 }] as const],
    ),
  );
}
