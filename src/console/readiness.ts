// Owns the meaning of "ready": changes of the hub reach us. A paused spoke does not make us unready: others flow.
import type { EngineStatus } from '../model/status.js';

/** Reasons for not being ready, each with its cause; empty when ready. Pure. */
export function notReady(status: EngineStatus): string[] {
  const reasons: string[] = [];
  if (!status.hub.reachable) reasons.push('the hub does not answer');
  const { state, reason } = status.replication;
  switch (state) {
    case 'streaming':
    case 'standby': // another process streams: this one is ready to take over, and serves webhooks meanwhile
      break;
    case 'connecting':
    case 'stopped':
    case 'broken':
      reasons.push(`replication is ${state}${reason === null ? '' : `: ${reason}`}`);
      break;
    default:
      state satisfies never;
  }
  return reasons;
}
