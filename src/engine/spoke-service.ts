// Runs everything of one spoke: connect, then intake, inbox, stream and deliveries side by side. A failure of one of them restarts that
// one; a paused spoke waits; other spokes never notice (law 9).
import type { OutboundLimits } from '../outbound/batch.js';
import { objectsOf } from '../mapping/selection.js';
import type { SpokeName } from '../model/ids.js';
import {
  asPause,
  bells,
  checkContract,
  checkIdentity,
  openSpoke,
  resolveDefaults,
  type ConnectDeps,
  type SpokeSetup,
} from './connect.js';
import type { EngineContext, LiveSpoke } from './context.js';
import { pollSpoke, type InboundSchedule } from './inbound-service.js';
import { listenSpoke, workInbox } from './inbox-service.js';
import { deliverSpoke } from './outbound-service.js';
import { reconcileSpoke } from './schedule.js';
import { superviseAll, type Service } from './service.js';
import { watchUnseen } from './unseen.js';

export interface SpokeServiceSetup {
  readonly spoke: SpokeSetup;
  readonly connect: ConnectDeps;
  readonly schedule: InboundSchedule;
  readonly outbound: OutboundLimits;
  readonly reconcileCron: string | null;
  readonly roles: ReadonlySet<string>;
  /** Where the world reaches our webhooks, without a trailing slash; null = webhooks are not asked for. */
  readonly webhookBase: string | null;
  readonly webhookCheckMs: number;
}

export async function runSpoke(
  context: EngineContext,
  setup: SpokeServiceSetup,
  registry: Map<SpokeName, LiveSpoke>,
  signal: AbortSignal,
): Promise<void> {
  const { name } = setup.spoke;
  const log = context.log.child({ spoke: name });
  const gate = context.pauses.gateOf(name);
  while (!signal.aborted) {
    await gate.whenOpen(signal);
    if (signal.aborted) return;
    // Everything below ends with this scope: a reconnect leaves nothing of the old connection behind.
    const scope = new AbortController();
    const inner = AbortSignal.any([signal, scope.signal]);
    const { spoke, limiter } = await openSpoke({ ...setup.connect, signal: inner }, setup.spoke);
    try {
      await checkIdentity({ pool: context.pool }, name, spoke);
      await checkContract(context.mapping, name, spoke);
      const live: LiveSpoke = {
        name,
        connector: setup.spoke.connector.name,
        spoke,
        limiter,
        objects: objectsOf(context.mapping, name),
        defaults: await resolveDefaults(context.mapping, name, spoke),
        log,
        ready: new Set(),
        ...bells(),
        ...gate,
      };
      registry.set(name, live);
      log.info({ objects: live.objects }, 'connected');
      await runServices(context, setup, live, inner);
    } catch (error) {
      const pause = asPause(error, name);
      if (pause === null) throw error;
      await gate.pause(pause);
    } finally {
      registry.delete(name);
      scope.abort();
      await limiter.close();
      await spoke.close();
    }
  }
}

/** What runs beside each other while a spoke is connected. */
export async function runServices(
  context: EngineContext,
  setup: Omit<SpokeServiceSetup, 'spoke' | 'connect'>,
  live: LiveSpoke,
  signal: AbortSignal,
): Promise<void> {
  const onFailure = async (error: unknown): Promise<boolean> => {
    const pause = asPause(error, live.name);
    if (pause === null) return false;
    await live.pause(pause);
    return true;
  };
  const named = (role: string, run: Service['run']): Service => ({ name: `${live.name} ${role}`, run, onFailure });
  const services: Service[] = [];
  if (setup.roles.has('inbound')) {
    services.push(
      named('poll', (stop) => pollSpoke(context, live, setup.schedule, stop)),
      named('inbox', (stop) => workInbox(context, live, stop)),
      named('unseen', (stop) => watchUnseen(context, live, setup.schedule.unseenMs, stop)),
    );
    if (live.spoke.capabilities.stream) services.push(named('stream', (stop) => listenSpoke(context, live, stop)));
    if (live.spoke.webhooks !== undefined && setup.webhookBase !== null) {
      services.push(named('webhooks', (stop) => keepWebhooks(context, setup, live, stop)));
    }
  }
  if (setup.roles.has('reconcile')) {
    services.push(named('reconcile', (stop) => reconcileSpoke(context, live, setup.reconcileCron, stop)));
  }
  if (setup.roles.has('outbound')) {
    const deps = {
      pool: context.pool,
      clock: context.clock,
      random: context.random,
      log: live.log,
      mapping: context.mapping,
      tables: context.tables,
      worker: context.session.worker,
      limits: setup.outbound,
      crashpoint: (point: string) => context.crashpoint(`${point}/${live.name}`),
      inbound: async (observed: Parameters<Parameters<typeof deliverSpoke>[2]['inbound']>[0]) => {
        await context.inbound.accept({ ...observed, evidence: 'fetched', lane: 'interactive' });
      },
    };
    services.push(named('deliveries', (stop) => deliverSpoke(context, live, deps, stop)));
  }
  await superviseAll(context, services, signal);
}

/** Subscriptions vanish when deliveries fail for long: they are looked at again and again, and a gap is polled (F92). */
async function keepWebhooks(
  context: EngineContext,
  setup: Pick<SpokeServiceSetup, 'webhookBase' | 'webhookCheckMs'>,
  live: LiveSpoke,
  signal: AbortSignal,
): Promise<void> {
  const address = `${setup.webhookBase ?? ''}/webhooks/${live.name}`;
  while (!signal.aborted) {
    await live.whenOpen(signal);
    if (signal.aborted) return;
    const { created } = (await live.spoke.webhooks?.ensure(address, live.objects)) ?? { created: [] };
    if (created.length > 0) {
      live.log.info({ topics: created }, 'webhook subscriptions made');
      live.pollBell.ring();
    }
    await context.clock.sleep(setup.webhookCheckMs, signal);
  }
}
