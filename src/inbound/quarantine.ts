// Stops ping-pong: two spokes whose automations rewrite one field in turn, for ever. A value that this spoke has put into the hub
// twice within the hour, each time taken away by another spoke and by no application, is not taken a third time: the
// field is set aside as an open conflict with both values, nothing more of it is pushed to this spoke, a person decides. So is one that
// never repeats itself (each round adds a letter) once the spokes have taken it from each other faster than people do.
import type { FieldName, HubId } from '../model/ids.js';
import type { HubValue } from '../model/record.js';
import { findPingPong, type Rewrite } from '../store/journals.js';
import type { Policy } from '../mapping/mapping.js';
import type { Tx } from '../store/pool.js';
import type { BatchContext } from './batch.js';
import type { Decision } from './decision.js';

const windowMs = 3_600_000;
/** A circle of two automations takes seconds a round; people who answer each other in two systems take minutes. */
const turns = { max: 10, withinMs: 600_000 };
const accumulating: ReadonlySet<Policy['kind']> = new Set(['delta', 'max', 'min', 'union']);

export async function quarantine(
  tx: Tx,
  context: BatchContext,
  decisions: readonly Decision[],
  nowMs: number,
): Promise<readonly Decision[]> {
  const rewrites: Rewrite[] = [];
  const policies = new Map(context.entity.fields.map(({ name, policy }) => [name, policy.kind]));
  for (const decision of decisions) {
    if (decision.kind !== 'upsert' || decision.link !== 'keep') continue;
    for (const [field, value] of Object.entries(decision.set) as [FieldName, HubValue][]) {
      const accumulates = accumulating.has(policies.get(field) ?? 'review');
      rewrites.push({ hubId: decision.hubId, field, value, accumulates });
    }
  }
  if (rewrites.length === 0) return decisions;
  const { spoke, entity } = context.mapping;
  const caught = await findPingPong(
    tx,
    { spoke, entity, sinceMs: nowMs - windowMs, turns: { max: turns.max, sinceMs: nowMs - turns.withinMs } },
    rewrites,
  );
  if (caught.size === 0) return decisions;
  return decisions.map((decision) => (decision.kind === 'upsert' ? without(context, decision, caught) : decision));
}

function without(
  context: BatchContext,
  decision: Extract<Decision, { kind: 'upsert' }>,
  caught: ReadonlyMap<HubId, ReadonlySet<string>>,
): Decision {
  const fields = caught.get(decision.hubId);
  if (fields === undefined) return decision;
  const keep = <T>(all: Readonly<Record<FieldName, T>>): Record<FieldName, T> =>
    Object.fromEntries(Object.entries(all).filter(([field]) => !fields.has(field))) as Record<FieldName, T>;
  const row = context.rows.get(decision.hubId);
  const link = context.links.get(decision.incoming.record.externalId);
  const conflicts = [...fields].map((name) => {
    const field = name as FieldName;
    return {
      field,
      policy: 'ping_pong' as const,
      winner: 'open' as const,
      base: link?.base[field]?.hub ?? null,
      hub: row?.fields[field] ?? null,
      spoke: decision.set[field] ?? null,
      remote: decision.base[field]?.remote ?? null,
    };
  });
  return {
    ...decision,
    set: keep(decision.set),
    base: keep(decision.base),
    conflicts: [...decision.conflicts, ...conflicts],
  };
}
