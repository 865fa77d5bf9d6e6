// What the engine's process is told, and what it tells.
import type { EngineRole } from '../../src/engine/engine.js';

export interface BenchSpoke {
  readonly name: string;
  readonly lanes: number;
  readonly writeBatch: number;
  /** Address of a remote; null = applied here. */
  readonly remote: string | null;
  /** Of what is applied here. */
  readonly answerAfterMs: number;
  /** Refuses every call. */
  readonly down: boolean;
  /** Contacts in its listing. */
  readonly listed: number;
}

export interface EngineSetup {
  readonly url: string;
  readonly yaml: string;
  readonly spokes: readonly BenchSpoke[];
  readonly roles: readonly EngineRole[];
  /** What a POST to `/webhooks/bare` does instead of everything: `$1` is the number in it. */
  readonly bareStatement: string | null;
}

export interface Memory {
  readonly peakMb: number;
  /** A value every tenth of a second since the last time. */
  readonly seriesMb: readonly number[];
}

export const webhookSecret = 'bench';
