// Owns the metrics: their names, labels and help. Counters are fed as things happen, gauges from a status snapshot at each
// scrape. Labels are names of spokes, entities and states, so their number is bounded; a value of a record never is one.
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import type { Counters, EngineStatus, SpokeStatus } from '../model/status.js';

export interface Metrics {
  readonly counters: Counters;
  /** Sets every gauge from the snapshot; spokes that are gone lose their series. */
  observe(status: EngineStatus): void;
  /** Prometheus text format. */
  render(): Promise<{ readonly contentType: string; readonly body: string }>;
}

type Gauges = ReturnType<typeof createGauges>;

const spokeStates = ['starting', 'backfilling', 'live', 'paused', 'stopped'] as const;
const breakerStates = ['closed', 'open', 'half-open'] as const;

/** `processMetrics: false` leaves out the process' own metrics (memory, event loop), as tests want. */
export function createMetrics(options: { readonly processMetrics: boolean } = { processMetrics: true }): Metrics {
  const registry = new Registry();
  if (options.processMetrics) collectDefaultMetrics({ register: registry, prefix: 'truespoke_' });
  const gauges = createGauges(registry);
  return {
    counters: createCounters(registry),
    observe(status) {
      for (const gauge of Object.values(gauges)) gauge.reset();
      observeEngine(gauges, status);
      for (const spoke of status.spokes) observeSpoke(gauges, spoke);
    },
    async render() {
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}

function createGauges(registry: Registry) {
  const gauge = (name: string, help: string, labelNames: readonly string[] = []): Gauge =>
    new Gauge({ name: `truespoke_${name}`, help, labelNames, registers: [registry] });
  return {
    build: gauge('build_info', 'Version of the running engine, always 1.', ['version']),
    hubUp: gauge('hub_up', 'Whether the hub answers.'),
    replicationUp: gauge('replication_up', 'Whether changes of the hub are being streamed to us.'),
    lagBytes: gauge('replication_lag_bytes', 'WAL that the hub keeps for us, bytes.'),
    lagSeconds: gauge(
      'replication_lag_seconds',
      'Greatest possible age of the oldest committed transaction that is not journaled, seconds.',
    ),
    reviewsOpen: gauge('reviews_open', 'Questions that wait for a person, held deletions among them.'),
    spokeState: gauge('spoke_state', 'State of a spoke: 1 for the present one.', ['spoke', 'state']),
    breaker: gauge('breaker_state', 'State of the breaker of a spoke: 1 for the present one.', ['spoke', 'state']),
    deliveries: gauge('deliveries', 'Unsettled deliveries by state.', ['spoke', 'state']),
    oldestDelivery: gauge('oldest_delivery_seconds', 'Age of the oldest unsettled delivery, seconds.', ['spoke']),
    inboundAge: gauge('inbound_age_seconds', 'Seconds since the last complete poll.', ['spoke']),
    links: gauge('links', 'Live links.', ['spoke']),
    parkedOpen: gauge('parked_open', 'Parked records that wait for a person or a better value.', ['spoke']),
    conflictsOpen: gauge('conflicts_open', 'Conflicts that wait for a person.', ['spoke']),
    driftOpen: gauge('drift_open', 'Records in drift that are not repaired yet.', ['spoke']),
    quotaRemaining: gauge('quota_remaining', "Calls or points left, in the spoke's own units.", ['spoke']),
    quotaLimit: gauge('quota_limit', "Calls or points in all, in the spoke's own units.", ['spoke']),
    backfillRecords: gauge('backfill_records', 'Records read by the present or last backfill.', ['spoke', 'entity']),
  };
}

function createCounters(registry: Registry): Counters {
  const counter = (name: string, help: string, labelNames: readonly string[]): Counter =>
    new Counter({ name: `truespoke_${name}_total`, help, labelNames, registers: [registry] });
  const recordsIn = counter('records_in', 'Records observed at spokes.', ['spoke', 'entity']);
  const recordsOut = counter('records_out', 'Deliveries attempted, by outcome.', ['spoke', 'entity', 'outcome']);
  const merges = counter('merges', 'Observed records merged, by outcome.', ['spoke', 'entity', 'outcome']);
  const conflicts = counter('conflicts', 'Fields changed on both sides.', ['spoke', 'entity']);
  const parked = counter('parked', 'Records parked.', ['spoke', 'direction']);
  const apiCalls = counter('api_calls', 'Calls to spokes, by outcome.', ['spoke', 'outcome']);
  const webhooks = counter('webhooks', 'Webhooks received, by outcome.', ['spoke', 'outcome']);
  const transactions = counter('journaled_transactions', 'Source transactions made durable.', []);
  const changes = counter('journaled_changes', 'Source changes made durable.', []);
  return {
    recordsIn: (spoke, entity, count) => recordsIn.inc({ spoke, entity }, count),
    recordsOut: (spoke, entity, outcome, count) => recordsOut.inc({ spoke, entity, outcome }, count),
    merges: (spoke, entity, outcome, count) => merges.inc({ spoke, entity, outcome }, count),
    conflicts: (spoke, entity, count) => conflicts.inc({ spoke, entity }, count),
    parked: (spoke, direction, count) => parked.inc({ spoke, direction }, count),
    apiCalls: (spoke, outcome, count) => apiCalls.inc({ spoke, outcome }, count),
    webhooks: (spoke, outcome, count) => webhooks.inc({ spoke, outcome }, count),
    journaled(transactionCount, changeCount) {
      transactions.inc(transactionCount);
      changes.inc(changeCount);
    },
  };
}

/** Unknown is no sample, never 0: an alert on lag must not read "not known" as "none". */
function setIfKnown(gauge: Gauge, labels: Readonly<Record<string, string>>, value: number | null): void {
  if (value !== null) gauge.set({ ...labels }, value);
  else gauge.remove({ ...labels });
}

function observeEngine(gauges: Gauges, status: EngineStatus): void {
  gauges.build.set({ version: status.version }, 1);
  gauges.hubUp.set(status.hub.reachable ? 1 : 0);
  gauges.replicationUp.set(status.replication.state === 'streaming' ? 1 : 0);
  setIfKnown(gauges.lagBytes, {}, status.replication.lagBytes);
  setIfKnown(gauges.lagSeconds, {}, status.replication.lagSeconds);
  setIfKnown(gauges.reviewsOpen, {}, status.reviewsOpen ?? null);
}

function observeSpoke(gauges: Gauges, status: SpokeStatus): void {
  const spoke = status.name;
  for (const state of spokeStates) gauges.spokeState.set({ spoke, state }, state === status.state ? 1 : 0);
  for (const state of breakerStates) gauges.breaker.set({ spoke, state }, state === status.breaker ? 1 : 0);
  for (const [state, count] of Object.entries(status.deliveries)) gauges.deliveries.set({ spoke, state }, count);
  gauges.oldestDelivery.set({ spoke }, status.oldestDeliverySeconds ?? 0);
  setIfKnown(gauges.inboundAge, { spoke }, status.inboundAgeSeconds);
  gauges.links.set({ spoke }, status.links);
  gauges.parkedOpen.set({ spoke }, status.parkedOpen);
  gauges.conflictsOpen.set({ spoke }, status.conflictsOpen);
  gauges.driftOpen.set({ spoke }, status.driftOpen);
  setIfKnown(gauges.quotaRemaining, { spoke }, status.quota?.remaining ?? null);
  setIfKnown(gauges.quotaLimit, { spoke }, status.quota?.limit ?? null);
  for (const { entity, records } of status.backfill) gauges.backfillRecords.set({ spoke, entity }, records);
}
