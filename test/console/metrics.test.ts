// Owns the metrics' promises: every promised name, right numbers, nothing stale, unknown is not zero.
import { describe, expect, test } from 'vitest';
import { createMetrics } from '../../src/console/metrics.js';
import { hashToken, findToken } from '../../src/console/tokens.js';
import { healthy } from './support.js';

const text = async (metrics: ReturnType<typeof createMetrics>): Promise<string> => (await metrics.render()).body;

describe('metrics', () => {
  test('a snapshot and the counters become series per spoke', async () => {
    const metrics = createMetrics({ processMetrics: false });
    metrics.observe(healthy);
    metrics.counters.recordsIn('crm', 'thing', 5);
    metrics.counters.recordsOut('crm', 'thing', 'applied', 4);
    metrics.counters.merges('crm', 'thing', 'conflict', 1);
    metrics.counters.conflicts('crm', 'thing', 1);
    metrics.counters.parked('crm', 'in', 2);
    metrics.counters.apiCalls('crm', 'ok', 9);
    metrics.counters.webhooks('crm', 'refused', 1);
    metrics.counters.journaled(3, 30);
    const body = await text(metrics);
    for (const line of [
      'truespoke_build_info{version="0.1.0"} 1',
      'truespoke_hub_up 1',
      'truespoke_replication_up 1',
      'truespoke_replication_lag_bytes 1024',
      'truespoke_replication_lag_seconds 0.5',
      'truespoke_deliveries{spoke="crm",state="pending"} 3',
      'truespoke_deliveries{spoke="crm",state="parked"} 2',
      'truespoke_spoke_state{spoke="crm",state="live"} 1',
      'truespoke_spoke_state{spoke="crm",state="paused"} 0',
      'truespoke_links{spoke="crm"} 793',
      'truespoke_parked_open{spoke="crm"} 2',
      'truespoke_quota_remaining{spoke="crm"} 900',
      'truespoke_records_in_total{spoke="crm",entity="thing"} 5',
      'truespoke_records_out_total{spoke="crm",entity="thing",outcome="applied"} 4',
      'truespoke_merges_total{spoke="crm",entity="thing",outcome="conflict"} 1',
      'truespoke_conflicts_total{spoke="crm",entity="thing"} 1',
      'truespoke_parked_total{spoke="crm",direction="in"} 2',
      'truespoke_api_calls_total{spoke="crm",outcome="ok"} 9',
      'truespoke_webhooks_total{spoke="crm",outcome="refused"} 1',
      'truespoke_journaled_changes_total 30',
    ])
      expect(body.split('\n')).toContain(line);
  });

  test('a spoke that is gone leaves no series behind, and what is not known is no sample', async () => {
    const metrics = createMetrics({ processMetrics: false });
    metrics.observe(healthy);
    metrics.observe({
      ...healthy,
      spokes: [],
      replication: { ...healthy.replication, state: 'connecting', lagBytes: null, lagSeconds: null },
    });
    const body = await text(metrics);
    expect(body).not.toContain('spoke="crm"');
    expect(body).not.toMatch(/^truespoke_replication_lag_bytes /m);
    expect(body).toMatch(/^truespoke_replication_up 0$/m);
  });
});

describe('tokens', () => {
  const entry = { name: 'a', role: 'viewer' as const, sha256: hashToken('right') };

  test('F131 a token is found by its hash whatever the length of what is presented', () => {
    expect(findToken('Bearer right', [entry])).toBe(entry);
    for (const header of [
      undefined,
      '',
      'Bearer',
      'Bearer ',
      'Bearer wrong',
      'right',
      `Bearer ${'x'.repeat(600)}`,
      'Basic !!!',
      'Basic cmlnaHQ=',
    ]) {
      expect(findToken(header, [entry])).toBeNull();
    }
    expect(findToken('Bearer right', [{ ...entry, sha256: 'abcd' }])).toBeNull();
  });
});
