// Planted bugs of outbound: a write is sent once, confirmed before the base moves, and looked for when its answer is lost (laws 1, 2, 5).
import type { PlantedBug } from './bug.js';
import {
  conflicts,
  crowded,
  diesAt,
  families,
  kills,
  leisurely,
  lost,
  refused,
  settled,
  slow,
  slowFamilies,
  stale,
  stalls,
  throttled,
  unapplied,
  unseenTwins,
  unsettled,
} from './plans.js';

const pipeline = 'src/outbound/pipeline.ts';
const outcome = 'src/outbound/outcome.ts';
const deliver = 'src/outbound/deliver.ts';
const settle = 'src/outbound/settle.ts';
const diff = 'src/outbound/diff.ts';
const ending = 'src/outbound/ending.ts';
const looks = 'src/outbound/looks.ts';

export const outboundBugs: readonly PlantedBug[] = [
  {
    name: 'unknown-retried-blindly',
    law: 'law 5',
    file: outcome,
    find: `      return { kind: 'unknown', reason: result.cause };`,
    replace: `      return { kind: 'later', delayMs: rules.backoffMs, reason: result.cause, counts: true };`,
    plan: lost,
    why: 'a lost answer is not a failed write',
  },
  {
    name: 'unknown-assumed-applied',
    law: 'law 5',
    file: outcome,
    find: `      return { kind: 'unknown', reason: result.cause };`,
    replace: `      return externalId === null
        ? { kind: 'unknown', reason: result.cause }
        : { kind: 'applied', externalId, version: '' as never, record: null };`,
    plan: unapplied,
    why: 'a lost answer is not a success either',
  },
  {
    name: 'read-back-never-believed',
    law: 'law 5',
    file: outcome,
    find: `  if (shows(found, intent, spelling)) return { kind: 'applied', record: found };`,
    replace: ``,
    // What is left of it in place would be agreed on all the same, where the verdict is that somebody changed the record.
    also: [
      {
        file: settle,
        find: `  if (Object.keys(shown).length === 0 && !created) return null;`,
        replace: `  if (!created) return null;`,
      },
    ],
    plan: { ...lost, actRate: 0.05, focus: 0.8, pollMs: 800, answerMs: 1_500 },
    why: 'our own write, found again, is taken for someone else',
  },
  {
    name: 'not-found-counts-as-applied',
    law: 'law 5',
    file: outcome,
    find: `  if (!moved) return { kind: 'not_applied' };`,
    replace: `  if (!moved) return { kind: 'applied', record: found };`,
    plan: unapplied,
    why: 'a write that never arrived counts as done',
  },
  {
    name: 'sent-counts-as-unsent-after-a-crash',
    law: 'law 5',
    file: 'src/store/deliveries.ts',
    find: `        set state = case d.state when 'claimed' then 'pending' else 'unknown' end, holder = null, lease_until = null,
            not_before = null`,
    replace: `        set state = 'pending', holder = null, lease_until = null,
            not_before = null`,
    plan: kills,
    why: 'F8: the request may have left before the process died',
  },
  {
    name: 'sent-counts-as-unsent-after-a-failure',
    law: 'law 5',
    file: 'src/store/deliveries.ts',
    find: `        set state = case d.state when 'claimed' then 'pending' else 'unknown' end, holder = null, lease_until = null
       from`,
    replace: `        set state = 'pending', holder = null, lease_until = null
       from`,
    plan: unsettled,
    why: 'the batch failed on our side after its request had left',
  },
  {
    name: 'base-moved-before-the-answer',
    law: 'law 2',
    file: pipeline,
    find: `  batch.deps.crashpoint('delivery_sent');`,
    replace: `  const early = going.flatMap(({ delivery: { hubId }, outgoing: { intent } }) =>
    intent.op !== 'update'
      ? []
      : [
          {
            hubId,
            externalId: intent.externalId as ExternalId,
            state: 'live' as const,
            base: confirmedBase(batch.mapping, intent.hub, intent.fields, null),
            version: '' as never,
            settledAtMs: null,
          },
        ],
  );
  await transaction(batch.deps.pool, (tx) => saveLinks(tx, batch.feed, early, batch.deps.clock.now()));
  batch.deps.crashpoint('delivery_sent');`,
    also: [
      {
        file: pipeline,
        find: `import { must } from '../base/assert.js';`,
        replace: `import { must } from '../base/assert.js';
import { confirmedBase } from './settle.js';
import { saveLinks } from '../store/links.js';
import { transaction } from '../store/pool.js';`,
      },
    ],
    plan: lost,
    why: 'a write that is refused or lost leaves a base that neither side ever held',
  },
  {
    name: 'base-is-what-we-sent',
    law: 'law 2',
    file: ending,
    find: `confirmedBase(batch.mapping, intent.hub, intent.fields, record) };`,
    replace: `confirmedBase(batch.mapping, intent.hub, intent.fields, null) };`,
    why: 'a spoke that trims or re-cases our value seems to have edited it',
  },
  {
    name: 'hub-half-of-the-base-stays',
    law: 'law 2',
    file: 'src/store/links.ts',
    find: `       base_hub = l.base_hub || excluded.base_hub,`,
    replace: `       base_hub = excluded.base_hub || l.base_hub,`,
    why: 'the hub seems to have edited what it merely took: the next edit of the spoke meets a conflict that is none',
  },
  {
    name: 'our-own-version-not-kept',
    law: 'law 4',
    file: ending,
    find: `    version: confirmedVersion(outcome.version, record),`,
    replace: `    version: confirmedVersion(outcome.version, null),`,
    plan: { ...stale, focus: 0.5 },
    why: 'a confirmed effect leaves the link at the version before it: a read that lags shows a person reverting our edit',
  },
  {
    name: 'version-goes-back',
    law: 'law 4',
    file: 'src/store/links.ts',
    find: `       version = greatest(l.version, excluded.version),`,
    replace: `       version = excluded.version,`,
    plan: stale,
    why: 'an unconfirmed effect forgets how far the spoke was seen: any older read is news again',
    escapes:
      'Two other rules hold the law: decide() ignores what is older than the link, so that nothing older is ever saved; and while a write of ours is under way nothing is judged, so that no settlement is older either. What is left is a record erased at a spoke without a bin, that a listing which lags shows once more to a process just started: by reading, not seen. `our-own-version-not-kept` breaks the same law visibly.',
  },
  {
    name: 'condition-left-out',
    law: 'no lost edit',
    file: deliver,
    find: `        children: intent.children ?? {},
        expect,`,
    replace: `        children: intent.children ?? {},
        expect: null,`,
    plan: crowded,
    why: 'a conditional write without its condition: nobody looked before, nobody checks',
  },
  {
    name: 'no-look-before-an-unconditional-write',
    law: 'no lost edit',
    file: 'src/outbound/news.ts',
    find: `  if (mapping.direction === 'out') return found;`,
    replace: `  if (mapping.direction !== 'in') return found;`,
    plan: crowded,
    why: 'what someone edited since the last poll is written over',
  },
  {
    name: 'stale-taken-for-success',
    law: 'law 5',
    file: outcome,
    find: `        : { ...observe([externalId], false, 'stale', rules), shown: result.record };`,
    replace: `        : { kind: 'applied', externalId, version: '' as never, record: result.record };`,
    plan: conflicts,
    why: 'the condition did not hold, and nobody minds',
  },
  {
    name: 'throttle-taken-for-success',
    law: 'law 5',
    file: outcome,
    find: `      return { kind: 'later', delayMs: result.retryAfterMs, reason: 'throttled', counts: false };`,
    replace: `      return externalId === null
        ? { kind: 'later', delayMs: result.retryAfterMs, reason: 'throttled', counts: false }
        : { kind: 'applied', externalId, version: '' as never, record: null };`,
    plan: throttled,
    why: 'a 429 that nobody reads: the write is dropped',
  },
  {
    name: 'throttle-parks-the-record',
    law: 'law 9',
    file: outcome,
    find: `      return { kind: 'later', delayMs: result.retryAfterMs, reason: 'throttled', counts: false };`,
    replace: `      return { kind: 'park', code: 'throttled', message: 'too many requests', field: null };`,
    plan: throttled,
    why: 'a busy spoke is no fault of the record, and no question for a person',
  },
  {
    name: 'refused-record-not-parked',
    law: 'law 9',
    file: settle,
    find: `  await park(tx, parks, nowMs);`,
    replace: ``,
    plan: refused,
    why: 'what the spoke refuses is dropped without a word',
  },
  {
    name: 'newer-edit-settled-with-the-older',
    law: 'no lost edit',
    file: 'src/store/deliveries.ts',
    find: `      where \${itsRow} and d.generation = r.generation\`,`,
    replace: `      where \${itsRow}\`,`,
    plan: lost,
    why: 'an edit that arrived while the write was under way is never sent',
  },
  {
    name: 'newer-edit-keeps-the-generation',
    law: 'no lost edit',
    file: 'src/store/deliveries.ts',
    find: `       generation = d.generation + 1, lane = least(d.lane, excluded.lane),`,
    replace: `       generation = excluded.generation, lane = least(d.lane, excluded.lane),`,
    plan: lost,
    why: 'the upsert overwrites the count: nobody can tell that something newer arrived',
  },
  {
    name: 'leases-of-the-dead-kept',
    law: 'law 5',
    file: 'src/store/deliveries.ts',
    find: `             or not exists (select 1 from pg_locks p`,
    replace: `             and not exists (select 1 from pg_locks p`,
    plan: { ...leisurely, ...diesAt(0.15, 'delivery_claimed'), leaseMs: 86_400_000 },
    why: 'what a killed process had claimed waits for its lease to run out: hours, with a lease that is safe against a slow worker',
  },
  {
    name: 'two-writes-in-flight',
    law: 'law 5',
    file: 'src/store/deliveries.ts',
    find: `where spoke = $1 and entity = $2 and state = '\${request.state}' and (not_before is null or not_before <= $4::timestamptz)
              \${`,
    replace: `where spoke = $1 and entity = $2 and state in ('\${request.state}', 'sent') and (not_before is null or not_before <= $4::timestamptz)
              \${`,
    plan: slow,
    operations: 100,
    why: 'a second lane takes a record whose write is under way',
  },
  {
    name: 'settled-without-the-fence',
    law: 'law 5',
    file: 'src/store/deliveries.ts',
    find: ` on \${itsRow} and d.fence = r.fence::bigint
      order by`,
    replace: ` on \${itsRow}
      order by`,
    plan: stalls,
    why: 'F24: a worker that slept through its lease settles what another has claimed since',
  },
  {
    name: 'sent-without-the-fence',
    law: 'law 5',
    file: 'src/store/deliveries.ts',
    // The comparison with the link goes too: it would tell what another process did since.
    find: `      where \${itsRow} and d.fence = r.fence::bigint
        and d.state = any(r.claimed)
        and r.seen is not distinct from (select l.xmin::text from truespoke.link l
                                          where l.spoke = $1 and l.entity = $2 and l.hub_id = r.hub_id and l.state = 'live')`,
    replace: `      where \${itsRow} and (r.seen is not null
             or not exists (select 1 from truespoke.link l
                             where l.spoke = $1 and l.entity = $2 and l.hub_id = r.hub_id and l.state = 'live'))`,
    plan: stalls,
    why: 'F24: a worker that slept through its lease sends an old value',
  },
  {
    name: 'deletion-not-sent',
    law: 'law 8',
    file: diff,
    find: `  if (row === null || row.deletedAt !== null) return removal(mapping, link);`,
    replace: `  if (row === null || row.deletedAt !== null) return { kind: 'none', why: 'gone' };`,
    plan: { ...leisurely, crowd: 24, deletes: true, burials: false },
    why: 'what the hub deleted lives on at the spokes',
  },
  {
    name: 'second-step-forgotten',
    law: 'no lost edit',
    file: ending,
    find: `    again: again || intent.op === 'undelete',`,
    replace: `    again: false,`,
    plan: families,
    operations: 60,
    why: 'a reference that closes a circle is never written',
  },
  {
    name: 'only-changed-children-sent',
    law: 'law 8',
    file: 'src/outbound/children.ts',
    find: `    if (link === null || changed.kind === 'update') differs = true;`,
    replace: `    if (link === null || changed.kind === 'update') differs = true;
    else continue;`,
    plan: settled,
    why: 'the list is complete by contract: the children left out are deleted',
  },
  {
    name: 'child-links-by-position',
    law: 'one live record',
    file: 'src/outbound/children.ts',
    find: `        shown?.find((candidate) => candidate.externalId === one.externalId) ??
        shown?.find((candidate) => candidate.hubKey === one.hubId) ??`,
    replace: ``,
    also: [
      {
        file: 'src/outbound/children.ts',
        find: `        (one.externalId === null && shown?.length === sent.length ? shown[i] : undefined);`,
        replace: `        shown?.[shown.length - 1 - i];`,
      },
    ],
    plan: settled,
    why: 'the spoke may list them in its own order',
  },
  {
    name: 'field-of-an-open-conflict-pushed',
    law: 'law 3',
    file: 'src/outbound/claimed.ts',
    find: `    held: context.held.get(delivery.hubId) ?? new Set(),`,
    replace: `    held: new Set(),`,
    plan: crowded,
    why: 'what a person was asked about is written over before the answer',
  },
  {
    name: 'a-twin-is-not-looked-for',
    law: 'one live record',
    file: looks,
    find: `  if (found.length === 0) return sendable;`,
    replace: `  if (found.length >= 0) return sendable;`,
    plan: unseenTwins,
    why: 'F119: the spoke holds the same person already',
  },
  {
    name: 'linked-twin-taken-twice',
    law: 'one live record',
    file: looks,
    find: `    const free = all.filter((one) => links.get(one.externalId)?.state !== 'live' && batch.mapping.accepts(one.fields));`,
    replace: `    const free = all;`,
    plan: unseenTwins,
    why: 'the record found belongs to another one of the hub',
    escapes:
      'saveLinks never moves a link to another hub record, and inbound judges a linked record by its link, whatever it was told that it belongs to: the row waits and a person is asked in the end, as without the bug.',
  },
  {
    name: 'waiting-for-a-reference-sends-without-it',
    law: 'no lost edit',
    file: diff,
    find: `    return input.mapped(field.ref) ? { kind: 'wait', entity: field.ref, hubId: hubId(value) } : { kind: 'skip' };`,
    replace: `    return { kind: 'skip' };`,
    plan: slowFamilies,
    operations: 60,
    why: 'a child is made without its parent, and nobody comes back to it',
  },
  {
    name: 'emptied-field-not-sent',
    law: 'law 3',
    file: diff,
    find: `    for (const [i, path] of mapping.writes.entries()) fields[path] = put.values[i] ?? null;`,
    replace: `    for (const [i, path] of mapping.writes.entries()) if (put.values[i] !== null) fields[path] = put.values[i] ?? null;`,
    plan: { ...leisurely, clears: true },
    why: 'null is left out of the update, as of a create: the spoke keeps the old value',
  },
];
