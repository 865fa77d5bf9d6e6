// Owns the snapshot and server that the console tests share.
import { systemClock } from '../../src/base/clock.js';
import { silentLog } from '../../src/base/log.js';
import { createMetrics } from '../../src/console/metrics.js';
import { startConsole, type ConsoleOptions, type ConsoleServer } from '../../src/console/server.js';
import { spokeName } from '../../src/model/ids.js';
import type { EngineStatus } from '../../src/model/status.js';

export const healthy: EngineStatus = {
  at: '2026-11-21T10:00:00.000Z',
  version: '0.1.0',
  startedAt: '2026-11-21T09:00:00.000Z',
  roles: ['inbound', 'outbound'],
  hub: { reachable: true, embedded: true, serverVersion: '18.4' },
  replication: {
    state: 'streaming',
    reason: null,
    slot: 'truespoke',
    slotHealth: 'healthy',
    lagBytes: 1024,
    lagSeconds: 0.5,
    acknowledgedLsn: '0/15D68C8',
  },
  spokes: [
    {
      name: spokeName('crm'),
      connector: 'memory',
      state: 'live',
      reason: null,
      breaker: 'closed',
      deliveries: { pending: 3, sent: 1, unknown: 0, parked: 2 },
      oldestDeliverySeconds: 4,
      inboundAgeSeconds: 7,
      links: 793,
      parkedOpen: 2,
      conflictsOpen: 1,
      driftOpen: 0,
      quota: { remaining: 900, limit: 1000, resetAt: null },
      backfill: [{ entity: 'thing', state: 'done', records: 793, total: 793 }],
    },
  ],
};

export type Started = ConsoleServer & {
  readonly received: { spoke: string; headers: Readonly<Record<string, string>>; body: string }[];
  readonly orders: string[];
};

const open: ConsoleServer[] = [];

export async function start(options: Partial<ConsoleOptions> = {}): Promise<Started> {
  const received: Started['received'] = [];
  const orders: string[] = [];
  const server = await startConsole({
    host: '127.0.0.1',
    port: 0,
    tokens: [],
    webhooks: {
      receive(spoke, headers, body) {
        received.push({ spoke, headers, body: Buffer.from(body).toString('latin1') });
        return Promise.resolve({ status: headers['x-signature'] === 'forged' ? 401 : 200 });
      },
    },
    control: {
      pause: (spoke, by) => Promise.resolve(orders.push(`pause ${spoke} by ${by}`) > 0 && spoke === 'crm'),
      resume: (spoke, by) => Promise.resolve(orders.push(`resume ${spoke} by ${by}`) > 0 && spoke === 'crm'),
    },
    status: () => Promise.resolve(healthy),
    metrics: createMetrics({ processMetrics: false }),
    clock: systemClock,
    log: silentLog,
    ...options,
  });
  open.push(server);
  return { ...server, received, orders };
}

export async function closeAll(): Promise<void> {
  await Promise.all(open.splice(0).map((server) => server.close()));
}
