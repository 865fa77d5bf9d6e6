// Ten thousand lost answers, some applied and some not, over creates, updates and deletes: no effect twice, none only claimed.
import { expect, test } from 'vitest';
import { startTestCluster } from '../../support/global-setup.js';
import { loseAnswers } from '../lost-answers.js';
import './death.js';

test('F64 ten thousand lost answers', { timeout: 1_800_000 }, async (context) => {
  // Vacuumed as in service: half a million updates of a few hundred deliveries would otherwise be measured as dead rows.
  const own = await startTestCluster({ autovacuum: 'on', autovacuum_naptime: '5s' });
  try {
    const { lost, ...effects } = await loseAnswers(5_000, 600, own.url);
    const all = lost.applied + lost.unapplied;
    expect(all).toBeGreaterThanOrEqual(10_000);
    const point = `${all} writes unanswered, ${lost.applied} of them applied; ${effects.creates} + ${effects.updates} + ${effects.deletes} effects a spoke`;
    context.task.meta.drill = { fault: 'F64', point, spoke: 'both', hit: 1, recovery: null };
  } finally {
    await own.stop();
  }
});
