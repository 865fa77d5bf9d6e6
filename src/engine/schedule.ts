// Owns the timetable. node-cron only wakes us to look: who does the work, and whether it is still to do, is decided in Postgres.
import { schedule } from 'node-cron';
import type { EngineContext, LiveSpoke } from './context.js';
import { sweep } from '../reconcile/sweep.js';
import { Bell } from './service.js';

/** Rings at every time of the cron expression (UTC) until the signal aborts. */
function ringOn(expression: string, bell: Bell, signal: AbortSignal): void {
  const task = schedule(expression, () => bell.ring(), { timezone: 'UTC' });
  signal.addEventListener('abort', () => void task.destroy(), { once: true });
}

const dayMs = 86_400_000;

/** Reconciles one spoke at its times, in one process of the installation. */
export async function reconcileSpoke(
  context: EngineContext,
  live: LiveSpoke,
  cron: string | null,
  signal: AbortSignal,
): Promise<void> {
  if (cron === null) return;
  const bell = new Bell();
  ringOn(cron, bell, signal);
  while (!signal.aborted) {
    const rang = await bell.wait(context.clock, dayMs, signal);
    if (signal.aborted) return;
    if (!rang || !(await context.session.tryLock(`reconcile/${live.name}`))) continue;
    await live.whenOpen(signal);
    const reports = await sweep(context, live.name, live.spoke, signal);
    for (const report of reports) live.log.info({ ...report }, 'reconciled');
    live.outboundBell.ring();
    live.hintBell.ring();
  }
}
