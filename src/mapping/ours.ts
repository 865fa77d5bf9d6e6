// What of a record comes from a write of ours that nobody answered (F65)? Pure. Such a write may show late, may have made the record, and
// may have come whole while the spoke hides a part of it from us (F78): none of that is anybody else's edit.
import type { Base, BasePair } from '../model/link.js';
import type { HubFields, HubValue } from '../model/record.js';
import type { FieldMapping } from './mapping.js';
import { resembles } from './resemble.js';
import { sameHub, sameRemote } from './values.js';

export interface Tries {
  readonly fields: readonly FieldMapping[];
  readonly base: Base;
  /** What writes of ours carried that were not answered, oldest first. */
  readonly tried?: readonly HubFields[] | undefined;
  /** This record was made by one of `tried`. */
  readonly madeByUs?: boolean | undefined;
  /** The spoke tells that the last to write was us. */
  readonly lastByUs?: boolean | undefined;
  /** What the record shows, as the hub would hold it and as the spoke does. */
  readonly observed: Base;
}

/**
 * A write of ours that nobody answered shows at last (F65). The hub may have moved on since: then its value goes out, and what it had
 * before does not come back as an edit of the spoke.
 */
export function lateOf({ tried }: Tries, mapping: FieldMapping, observed: BasePair): HubValue | undefined {
  return tried?.findLast((fields) => isShown(fields, mapping, observed))?.[mapping.field.name];
}

/**
 * A count that shows what a write of ours carried may be somebody else's: people count in small steps, and our write may never have come.
 * Where nothing else of it has come, it passes for ours, and both are kept.
 */
export function isCountInDoubt(tries: Tries, mapping: FieldMapping, observed: BasePair): boolean {
  if (!isCount(mapping) || tries.lastByUs === true || tries.base[mapping.field.name] === undefined) return false;
  const ours = tries.tried?.findLast((one) => isShown(one, mapping, observed));
  return ours !== undefined && !hasCome(tries, ours);
}

/** A write is done whole or not at all. What the last of ours that has come carried: what others did to the record since, they did to that. */
export function landedOf(tries: Tries): HubFields | undefined {
  const { tried = [], madeByUs } = tries;
  return madeByUs === true ? makerOf(tries) : tried.findLast((one) => hasCome(tries, one));
}

/** Something of it shows that did not before. A number that people count up proves nothing. */
function hasCome({ fields, base, observed }: Tries, ours: HubFields): boolean {
  return fields.some((mapping) => {
    const { name } = mapping.field;
    const shown = observed[name];
    if (shown === undefined || isCount(mapping) || sameRemote(base[name]?.remote ?? null, shown.remote)) return false;
    return isShown(ours, mapping, shown);
  });
}

/** Of several the one of which most shows, the last of those. */
function makerOf({ fields, tried = [], observed }: Tries): HubFields | undefined {
  let maker: HubFields | undefined;
  let most = 0;
  for (const one of tried) {
    const seen = fields.filter((mapping) => {
      const shown = observed[mapping.field.name];
      return shown !== undefined && isShown(one, mapping, shown);
    });
    if (seen.length < most) continue;
    [maker, most] = [one, seen.length];
  }
  return maker;
}

/** What has come stands also in a field that is not shown, as far as anybody knows. */
export function hiddenPair(
  landed: HubFields | undefined,
  { field, direction, reads, writes, put }: FieldMapping,
): BasePair | undefined {
  const value = landed?.[field.name];
  const [path] = reads;
  const isSimple = field.ref === null && reads.length === 1 && writes.length === 1 && path === writes[0];
  if (value === undefined || direction !== 'both' || !isSimple) return undefined;
  return { hub: value, remote: put(value)[0] ?? null };
}

const isCount = ({ field, direction, writes }: FieldMapping): boolean =>
  field.policy.kind === 'delta' && direction === 'both' && writes.length < 2;

function isShown(fields: HubFields, mapping: FieldMapping, observed: BasePair): boolean {
  const { name, type, ref } = mapping.field;
  const ours = fields[name];
  if (ours === undefined) return false;
  if (sameHub(type, ours, observed.hub)) return true;
  return ref === null && mapping.writes.length === 1 && resembles(mapping.put(ours)[0] ?? null, observed.remote);
}
