// What has been read of a spoke's object, and what the mapping wants of it by now: a field or entity that was mapped after the object was
// scanned would otherwise stay empty for every record that nobody edits. Pure.
import type { EntityName, FieldName, ObjectName, SpokeName } from '../model/ids.js';
import type { Mapping, SpokeMapping } from './mapping.js';

export interface EntityCoverage {
  readonly where: string | null;
  readonly when: string | null;
  readonly create: boolean;
  /** Field → which way it goes and where it is read. */
  readonly fields: Readonly<Record<string, FieldCoverage>>;
}

interface FieldCoverage {
  readonly direction: string;
  readonly reads: readonly string[];
}

/** By entity; children that the object embeds are entities too. */
export type Coverage = Readonly<Record<string, EntityCoverage>>;

/** What of one entity was not covered before. */
export interface Uncovered {
  readonly entity: EntityName;
  /** Other records may belong in the spoke or in the hub than before. */
  readonly records: boolean;
  readonly fields: readonly FieldName[];
  /** Of these: read from another place now, so that what was agreed on about them was about something else. */
  readonly moved: readonly FieldName[];
  /** The spoke's records must be read again; else the hub's rows are all that has to be looked at. */
  readonly rescan: boolean;
}

export function coverageOf(mapping: Mapping, spoke: SpokeName, object: ObjectName): Coverage {
  const covered: Record<string, EntityCoverage> = {};
  for (const entity of mapping.entities.values()) {
    const mapped = entity.spokes.get(spoke);
    if (mapped !== undefined && (mapped.embedded?.parentObject ?? mapped.object) === object)
      covered[entity.name] = entityCoverage(mapped);
  }
  return covered;
}

function entityCoverage({ fields, conditions, create }: SpokeMapping): EntityCoverage {
  return {
    ...conditions,
    create,
    fields: Object.fromEntries(
      fields.map(({ field, direction, reads, fromParent }) => [
        field.name,
        { direction, reads: fromParent ? ['@parent'] : reads },
      ]),
    ),
  };
}

/** `before` null: it is not known what was read; then nothing counts as covered. */
export function uncovered(before: Coverage | null, wanted: Coverage): readonly Uncovered[] {
  return Object.entries(wanted).flatMap(([entity, now]) => {
    const gap = entityGap(entity as EntityName, before?.[entity], now);
    return gap.records || gap.fields.length > 0 ? [gap] : [];
  });
}

function entityGap(entity: EntityName, before: EntityCoverage | undefined, now: EntityCoverage): Uncovered {
  const names = Object.keys(now.fields) as FieldName[];
  if (before === undefined) return { entity, records: true, fields: names, moved: [], rescan: true };
  const fields = names.filter((name) => !isCovered(before.fields[name], now.fields[name]));
  const moved = fields.filter((name) => {
    const known = before.fields[name];
    return known !== undefined && !sameReads(known, now.fields[name]);
  });
  const read = fields.some((name) => now.fields[name]?.direction !== 'out');
  const wider = now.where !== before.where;
  const records = wider || now.when !== before.when || (now.create && !before.create);
  return { entity, records, fields, moved, rescan: wider || read };
}

function isCovered(before: FieldCoverage | undefined, now: FieldCoverage | undefined): boolean {
  if (before === undefined || !sameReads(before, now)) return false;
  return before.direction === now?.direction || before.direction === 'both';
}

function sameReads(before: FieldCoverage, now: FieldCoverage | undefined): boolean {
  return JSON.stringify(before.reads) === JSON.stringify(now?.reads);
}

/** For people: `customer.phone`, or `customer` for all of it. */
export function describeUncovered(gaps: readonly Uncovered[]): readonly string[] {
  return gaps.flatMap(({ entity, records, fields }) =>
    records ? [entity] : fields.map((field) => `${entity}.${field}`),
  );
}
