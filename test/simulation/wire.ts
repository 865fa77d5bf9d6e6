// Owns the judgement of what goes over the wire (law 5): one write at a time of a record, and none after an unanswered one before
// somebody has looked what became of it. Judges by calls alone.
import type { FindKey, Write, WriteResult } from '../../src/connectors/connector.js';
import { RateLimited, Retriable, SpokePaused } from '../../src/base/errors.js';
import type { SpokeId } from './world.js';

interface Sent {
  readonly externalId: string | null;
  /** Under way, or over without an answer. */
  state: 'under way' | 'unanswered';
}

export class Wire {
  private readonly sent = new Map<string, Sent>();

  constructor(private readonly violated: (message: string) => void) {}

  writing(spoke: SpokeId, writes: readonly Write[]): void {
    for (const write of writes) {
      const key = keyOf(spoke, write.object, write.hubId);
      const before = this.sent.get(key);
      if (before !== undefined)
        this.violated(
          `${spoke}: ${write.op} of ${write.object} ${write.hubId} while the write before is ${before.state}`,
        );
      this.sent.set(key, { externalId: 'externalId' in write ? write.externalId : null, state: 'under way' });
    }
  }

  answered(spoke: SpokeId, writes: readonly Write[], results: readonly WriteResult[]): void {
    for (const [i, write] of writes.entries()) {
      if (results[i]?.outcome === 'unknown') this.unanswered(spoke, write);
      else this.sent.delete(keyOf(spoke, write.object, write.hubId));
    }
  }

  /** These errors say that nothing can have happened; any other says nothing. */
  failed(spoke: SpokeId, writes: readonly Write[], error: unknown): void {
    const nothing = error instanceof SpokePaused || error instanceof RateLimited || error instanceof Retriable;
    for (const write of writes) {
      if (nothing) this.sent.delete(keyOf(spoke, write.object, write.hubId));
      else this.unanswered(spoke, write);
    }
  }

  fetched(spoke: SpokeId, object: string, ids: readonly string[]): void {
    for (const [key, { externalId, state }] of this.sent) {
      if (
        state === 'unanswered' &&
        externalId !== null &&
        ids.includes(externalId) &&
        key.startsWith(`${spoke}/${object}/`)
      )
        this.sent.delete(key);
    }
  }

  found(spoke: SpokeId, object: string, keys: readonly FindKey[]): void {
    for (const key of keys) {
      if (key.by !== 'hubId') continue;
      const name = keyOf(spoke, object, key.hubId);
      if (this.sent.get(name)?.state === 'unanswered') this.sent.delete(name);
    }
  }

  /** Whoever waited for answers is no more. */
  died(): void {
    for (const sent of this.sent.values()) sent.state = 'unanswered';
  }

  private unanswered(spoke: SpokeId, write: Write): void {
    const sent = this.sent.get(keyOf(spoke, write.object, write.hubId));
    if (sent !== undefined) sent.state = 'unanswered';
  }
}

const keyOf = (spoke: SpokeId, object: string, hubId: string): string => `${spoke}/${object}/${hubId}`;
