// Which counts of an unanswered write of ours may be somebody else's? Pure. People count in small steps: the number that we sent may stand
// there because somebody came to it from where we did, while our write never arrived. Any other value of that write says that it did, and so
// does a spoke that tells who wrote last. Where only the number speaks, it passes for ours, and the conflict log keeps both.
import type { FieldMapping, SpokeMapping } from '../mapping/mapping.js';
import { sameRemote } from '../mapping/values.js';
import type { HubId } from '../model/ids.js';
import type { Try } from '../model/intent.js';
import type { Link } from '../model/link.js';
import type { RemoteFields, RemoteRecord } from '../model/record.js';
import type { ConflictRow } from '../store/conflicts.js';
import { samePaths } from './diff.js';
import { stillShown } from './outcome.js';

/** `stood`: what each path showed when both sides last agreed. */
export function countsInDoubt(
  mapping: SpokeMapping,
  {
    hubId,
    intent,
    link,
    stood,
  }: { readonly hubId: HubId; readonly intent: Try; readonly link: Link | undefined; readonly stood: RemoteFields },
  record: RemoteRecord | null,
): readonly ConflictRow[] {
  if (record === null || link === undefined || intent.op !== 'update' || record.modifiedBySelf === true) return [];
  const shown = stillShown(mapping, intent, record, stood);
  // Only what was not there before has come since.
  const come = mapping.fields.filter(({ field: { name }, writes }) => {
    const isNew = writes.some((path) => !sameRemote(stood[path] ?? null, record.fields[path] ?? null));
    return shown[name] !== undefined && isNew;
  });
  const { spoke, entity } = mapping;
  const counts = come.filter(isCount);
  if (counts.length < come.length) return [];
  return counts.map(({ field, writes }): ConflictRow => {
    const value = intent.hub[field.name] ?? null;
    const remote = writes.map((path) => record.fields[path] ?? null)[0] ?? null;
    const values = { base: link.base[field.name]?.hub ?? null, hub: value, spokeValue: value, remote };
    const at = { hubAtMs: intent.sentAtMs, spokeAtMs: null, trace: null };
    return { spoke, entity, hubId, field: field.name, policy: 'delta', winner: 'hub', ...values, ...at };
  });
}

const isCount = (mapping: FieldMapping): boolean =>
  mapping.field.policy.kind === 'delta' && mapping.writes.length === 1 && samePaths(mapping);
