// What must be read of a spoke's object so that every entity mapped to it can be fed. Pure.
import type { FieldName, ObjectName, RemotePath, SpokeName } from '../model/ids.js';
import type { RemoteRecord } from '../model/record.js';
import type { Mapping, SpokeMapping } from './mapping.js';

/** Same shape as the connector contract's `Fields`. */
export interface Selection {
  readonly paths: readonly RemotePath[];
  readonly children: Readonly<Record<string, readonly RemotePath[]>>;
}

/** Several entities may share one object by `where`; embedded children travel with their parent's object. */
export function selectionOf(mapping: Mapping, spoke: SpokeName, object: ObjectName): Selection {
  const paths = new Set<RemotePath>();
  const children = new Map<string, Set<RemotePath>>();
  for (const entity of mapping.entities.values()) {
    const mapped = entity.spokes.get(spoke);
    if (mapped === undefined) continue;
    if (mapped.embedded === null && mapped.object === object) for (const path of mapped.paths) paths.add(path);
    if (mapped.embedded?.parentObject === object) {
      const child = children.get(mapped.embedded.child) ?? new Set();
      for (const path of mapped.paths) child.add(path);
      children.set(mapped.embedded.child, child);
    }
  }
  return {
    paths: [...paths],
    children: Object.fromEntries([...children].map(([name, set]) => [name, [...set]])),
  };
}

/** Fields that go both ways, were asked for and are not shown, as where our user may no longer read them (F78). */
export function unseenOf(mapping: SpokeMapping, record: Pick<RemoteRecord, 'fields'>): readonly FieldName[] {
  if (mapping.embedded !== null || mapping.direction !== 'both') return [];
  const unseen: FieldName[] = [];
  for (const { direction, fromParent, reads, field } of mapping.fields) {
    if (direction !== 'both' || fromParent) continue;
    for (const path of reads) {
      if (record.fields[path] !== undefined) continue;
      unseen.push(field.name);
      break;
    }
  }
  return unseen;
}

/** The objects of a spoke that are read on their own, parents before children. */
export function objectsOf(mapping: Mapping, spoke: SpokeName): readonly ObjectName[] {
  const objects = new Set<ObjectName>();
  for (const entity of mapping.entities.values()) {
    const mapped = entity.spokes.get(spoke);
    if (mapped !== undefined) objects.add(mapped.embedded?.parentObject ?? mapped.object);
  }
  return [...objects];
}

/** Mappings of one spoke that have an object of their own, parents before children. */
export function ownMappings(mapping: Mapping, spoke: SpokeName): readonly SpokeMapping[] {
  return [...mapping.entities.values()]
    .map((entity) => entity.spokes.get(spoke))
    .filter((mapped) => mapped !== undefined)
    .filter((mapped) => mapped.embedded === null);
}
