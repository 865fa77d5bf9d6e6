// Which spokes may care about a change of a hub row? Pure. A wrong yes costs a local diff, a wrong no would lose an edit:
// so in doubt the answer is yes.
import type { Entity, Mapping } from '../mapping/mapping.js';
import type { EntityName, FieldName, SpokeName } from '../model/ids.js';

export interface Route {
  readonly spoke: SpokeName;
  /** The entity whose delivery is marked: itself, or the parent that embeds it at this spoke. */
  readonly target: EntityName;
  /** For an embedded child: the reference that names the parent. */
  readonly parentField: FieldName | null;
  /** Fields that this spoke gets; a change of others does not concern it. */
  readonly fields: ReadonlySet<FieldName>;
}

/** All routes of an entity, computed once per mapping. */
export function routesOf(mapping: Mapping, entity: Entity): readonly Route[] {
  const routes: Route[] = [];
  for (const [spoke, mapped] of entity.spokes) {
    if (mapped.direction === 'in') continue;
    const out = mapped.fields.filter((field) => field.direction !== 'in');
    const fields = new Set(out.map((field) => field.field.name));
    if (mapped.embedded === null) {
      routes.push({ spoke, target: entity.name, parentField: null, fields });
      continue;
    }
    const parent = mapping.entities.get(mapped.embedded.parentEntity)?.spokes.get(spoke);
    const parentField = mapped.fields.find((field) => field.fromParent)?.field.name;
    if (parent !== undefined && parent.direction !== 'in' && parentField !== undefined) {
      routes.push({
        spoke,
        target: mapped.embedded.parentEntity,
        parentField,
        fields: new Set([...fields, parentField]),
      });
    }
  }
  return routes;
}

/** Does the change concern the route? `changed` null = not known (insert, delete, or no old row in the WAL). */
export function concerns(route: Route, changed: ReadonlySet<FieldName> | null): boolean {
  if (changed === null) return true;
  for (const field of changed) if (route.fields.has(field)) return true;
  return false;
}
