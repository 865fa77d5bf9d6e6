// Owns how one delivery of a batch ends or waits: pure words for settle.ts, made from what was decided or answered. Sends nothing.
import { must } from '../base/assert.js';
import { backoffMs } from '../base/backoff.js';
import type { Claimed } from '../store/deliveries.js';
import type { Batch, Sendable } from './batch.js';
import { childLinks } from './children.js';
import type { ClaimContext, Planned } from './claimed.js';
import type { Outgoing } from './deliver.js';
import { listsReadBack, othersEdits, unseenAfter } from './others.js';
import type { Outcome } from './outcome.js';
import { confirmedBase, confirmedVersion, type Settlement } from './settle.js';

const referenceWaitMsDefault = 24 * 3_600_000;

/** Settlements that need no call. */
export function settleQuietly(batch: Batch, context: ClaimContext, { delivery, difference }: Planned): Settlement {
  switch (difference.kind) {
    case 'unlink': {
      const link = must(context.links.get(delivery.hubId), 'link');
      return { delivery, kind: 'removed', externalId: link.externalId, version: link.version };
    }
    case 'none': {
      const { agreed = {} } = difference;
      const link = context.links.get(delivery.hubId);
      if (link === undefined || Object.keys(agreed).length === 0) return { delivery, kind: 'done' };
      return { delivery, kind: 'agreed', agreement: { externalId: link.externalId, base: agreed } };
    }
    case 'wait': {
      const waitsFor = `${difference.entity}/${difference.hubId}`;
      const { referenceWaitMs = referenceWaitMsDefault } = batch.deps.limits;
      if (batch.deps.clock.now() - delivery.dirtyAtMs > referenceWaitMs) {
        const message = `refers to ${waitsFor}, which did not come to be at the spoke in time`;
        return { delivery, kind: 'park', code: 'reference_missing', message, field: null, waitsFor };
      }
      // Its link wakes it; the clock is only for a wake-up that raced with this look.
      const delayMs = Math.min(30_000, 500 * 2 ** Math.min(delivery.attempt, 10));
      return later(batch, delivery, delayMs, 'waits_for_reference', true, waitsFor);
    }
    case 'refuse':
      return { delivery, kind: 'park', code: difference.code, message: difference.message, field: difference.field };
    default:
      return { delivery, kind: 'done' };
  }
}

export function held(delivery: Claimed): Settlement {
  const release = { state: 'held', notBeforeMs: null, reason: 'truncate', waitsFor: null, counts: false } as const;
  return { delivery, kind: 'release', release };
}

export function later(
  batch: Batch,
  delivery: Claimed,
  delayMs: number,
  reason: string,
  counts: boolean,
  waitsFor: string | null = null,
): Settlement {
  const notBeforeMs = delayMs <= 0 ? null : batch.deps.clock.now() + delayMs;
  return { delivery, kind: 'release', release: { state: 'pending', notBeforeMs, reason, waitsFor, counts } };
}

export function unknownAgain(batch: Batch, delivery: Claimed, reason: string): Settlement {
  const notBeforeMs = batch.deps.clock.now() + backoff(batch, delivery);
  return {
    delivery,
    kind: 'release',
    release: { state: 'unknown', notBeforeMs, reason, waitsFor: null, counts: true },
  };
}

export function backoff(batch: Batch, delivery: Claimed): number {
  return backoffMs(batch.deps.limits.backoff, delivery.attempt, batch.deps.random);
}

/** Inbound was shown a record; then this is diffed again. If inbound cannot take it, ever more rarely, and in the end a person is asked. */
export function afterLooking(batch: Batch, delivery: Claimed, reason: string): Settlement {
  if (delivery.attempt >= batch.deps.limits.attemptsMax) {
    const message = 'the spoke shows a record that must be taken in first, and it cannot be: see what is parked of it';
    return { delivery, kind: 'park', code: reason, message, field: null };
  }
  return later(batch, delivery, delivery.attempt <= 2 ? 0 : backoff(batch, delivery), reason, true);
}

/**
 * Can nobody else have been at the record between what the link knows and this answer? By our condition, or because the write has made it.
 * A read-back comes too late for either.
 */
function isOursAlone({ intent, expect }: Outgoing, delivery: Claimed): boolean {
  return delivery.intent === null && (intent.op === 'create' || expect !== null);
}

export function applied(
  batch: Batch,
  { delivery, outgoing, again, difference }: Omit<Sendable, 'difference'> & Partial<Pick<Sendable, 'difference'>>,
  context: Pick<ClaimContext, 'links'>,
  outcome: Extract<Outcome, { kind: 'applied' }>,
): Settlement {
  const { intent } = outgoing;
  if (intent.op === 'delete')
    return { delivery, kind: 'removed', externalId: outcome.externalId, version: outcome.version };
  const { record } = outcome;
  const agreed = difference?.kind === 'update' ? difference.agreed : {};
  const base = { ...agreed, ...confirmedBase(batch.mapping, intent.hub, intent.fields, record) };
  const before = context.links.get(delivery.hubId);
  const alone = record === null || isOursAlone(outgoing, delivery);
  const edits = alone ? [] : othersEdits(batch.mapping, { ...before?.base, ...base }, before?.overruled ?? {}, record);
  const others = alone || delivery.intent === null ? edits : [...edits, ...listsReadBack(batch.mapping)];
  const link = {
    hubId: delivery.hubId,
    externalId: outcome.externalId,
    state: 'live' as const,
    base,
    version: confirmedVersion(outcome.version, record),
    unseen: unseenAfter(batch.mapping, before, record, { others, wrote: intent.hub, base, alone }),
    settledAtMs: batch.deps.clock.now(),
  };
  const fresh = before?.state !== 'live';
  // After an undelete the fields are compared once more; a reference that closed a circle is written now.
  const look = { record, readBack: delivery.intent !== null };
  const children = childLinks(batch.deps.mapping, batch.mapping, delivery.hubId, intent, look, link.settledAtMs);
  return {
    delivery,
    kind: 'applied',
    link,
    children,
    fresh,
    again: again || intent.op === 'undelete',
    recheck: record === null || others.length > 0,
  };
}
