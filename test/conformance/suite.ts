// Owns the promises of the connector contract as one suite. A connector that passes keeps them; what its capabilities do not
// claim is left out by its traits, which the suite compares with the capabilities themselves.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Traits, Harness, MakeHarness } from './harness.js';
import { readPromises } from './reads.js';
import { writePromises } from './writes.js';

export interface Current {
  readonly harness: Harness;
}

export function conformance(name: string, traits: Traits, make: MakeHarness): void {
  describe(`${name}: the connector contract`, () => {
    let harness: Harness | null = null;
    const current: Current = {
      get harness() {
        if (harness === null) throw new Error('no harness outside of a test');
        return harness;
      },
    };
    beforeEach(async () => {
      harness = await make();
    });
    afterEach(async () => {
      await harness?.close();
      harness = null;
    });

    test('the capabilities are what the traits say', () => {
      const { capabilities } = current.harness.spoke;
      const { conditionalWrite, idempotentCreate, deleteFeed, undelete, stream } = traits;
      expect(capabilities).toMatchObject({ conditionalWrite, idempotentCreate, deleteFeed, undelete, stream });
      for (const bound of ['writeBatch', 'fetchBatch', 'findBatch', 'lanes'] as const) {
        expect(capabilities[bound], bound).toBeGreaterThan(0);
      }
      expect(current.harness.spoke.listen !== undefined).toBe(stream);
      expect(current.harness.spoke.webhooks !== undefined).toBe(capabilities.webhooks);
    });

    readPromises(current, traits);
    writePromises(current, traits);
  });
}
