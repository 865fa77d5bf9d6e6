// Reading by cursor never skips: whatever the stamps, pages, lags and restarts, the newest state of every record is seen in the end.
// Proves: Law 7
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Clock } from '../../src/base/clock.js';
import { silentLog } from '../../src/base/log.js';
import { seeded } from '../../src/base/random.js';
import type { Spoke } from '../../src/connectors/connector.js';
import { unlimited } from '../../src/connectors/limiter-plain.js';
import { openMemory } from '../../src/connectors/memory/index.js';
import { MemoryRemote } from '../../src/connectors/memory/remote.js';
import { objectName, spokeName, type Cursor } from '../../src/model/ids.js';

const object = objectName('Thing');
const fields = { paths: ['Value' as never], children: {} };
const overlapMs = 4_000;
/** `npm run properties` asks for ten times as many. */
const runs = 150 * Math.max(1, Number(process.env['TRIPLES'] ?? 0) / 1_000_000);

type Step =
  | { readonly kind: 'create' }
  | { readonly kind: 'edit'; readonly which: number }
  | { readonly kind: 'together'; readonly lateMs: number }
  | { readonly kind: 'wait'; readonly ms: number }
  /** Reads so many pages; what it read is kept or lost with the process. */
  | { readonly kind: 'read'; readonly pages: number; readonly kept: boolean };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.constant<Step>({ kind: 'create' }),
  fc.nat(9).map((which): Step => ({ kind: 'edit', which })),
  fc.nat(1_500).map((lateMs): Step => ({ kind: 'together', lateMs })),
  fc.nat(1_200).map((ms): Step => ({ kind: 'wait', ms })),
  fc.record({ kind: fc.constant('read' as const), pages: fc.integer({ min: 1, max: 3 }), kept: fc.boolean() }),
);

test.each(['counter', 'clock'] as const)(
  'the newest state of every record is seen, with %s versions',
  async (versions) => {
    const property = fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40 }),
      fc.nat(1_500),
      fc.constantFrom(1, 700),
      async (steps, indexLagMs, versionStepMs) => {
        let nowMs = 1_000_000;
        const clock: Clock = { now: () => nowMs, monotonic: () => nowMs, sleep: () => Promise.resolve() };
        const remote = new MemoryRemote(
          { versions, versionStepMs, overlapMs, pageRows: 2, objects: { Thing: { fields: { Value: {} } } } },
          { clock, random: seeded(1) },
        );
        remote.faults.indexLagMs = indexLagMs;
        const connect = (): Spoke =>
          openMemory(remote, {
            spoke: spokeName('s'),
            clock,
            random: seeded(nowMs),
            signal: new AbortController().signal,
            log: silentLog,
            http: { request: () => Promise.reject(new Error('no HTTP')) },
            limiter: unlimited,
            state: {
              get: () => Promise.resolve(null),
              put: () => Promise.resolve(),
              exclusive: (_key, body) => body(),
            },
          });
        let spoke = connect();
        let cursor: Cursor = await spoke.now(object);
        const seen = new Map<string, string>();
        let value = 0;
        const edit = (which: number): void => {
          const rows = remote.list('Thing');
          const row = rows[which % Math.max(1, rows.length)];
          value += 1;
          if (row === undefined) remote.create('Thing', { Value: `v${value}` });
          else remote.edit('Thing', row.id, { Value: `v${value}` });
        };
        const read = async (pages: number, kept: boolean): Promise<void> => {
          let left = pages;
          for await (const page of spoke.changes(object, fields, cursor, { lane: 'interactive' })) {
            if (!kept) break;
            for (const record of page.records) seen.set(record.externalId, String(record.fields['Value' as never]));
            cursor = page.cursor;
            left -= 1;
            if (page.last || left <= 0) return;
          }
          // Whoever loses a page has died: the next one starts from the kept cursor.
          if (!kept) spoke = connect();
        };
        for (const one of steps) {
          nowMs += 1;
          if (one.kind === 'create') remote.create('Thing', { Value: `v${(value += 1)}` });
          else if (one.kind === 'edit') edit(one.which);
          else if (one.kind === 'together') remote.together(() => [0, 1, 2].forEach(edit), one.lateMs);
          else if (one.kind === 'wait') nowMs += one.ms;
          else await read(one.pages, one.kept);
        }
        nowMs += 3_000;
        for (let round = 0; round < 30; round += 1) await read(50, true);
        const shown = remote.list('Thing').map((row): [string, unknown] => [row.id, row.fields['Value' as never]]);
        expect([...seen].sort()).toEqual(shown.sort());
      },
    );
    await fc.assert(property, { numRuns: runs });
  },
);
