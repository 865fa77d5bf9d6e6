// Owns the order of entities: parents before children. A circle of references is broken at an optional reference (F121).

export interface Reference {
  readonly from: string;
  readonly field: string;
  readonly to: string;
  /** Cannot be filled in later: NOT NULL, or the parent that embeds the child. */
  readonly firm: boolean;
}

export interface Ordered {
  readonly order: readonly string[];
  readonly deferred: readonly Reference[];
  /** A circle in which no reference can wait. */
  readonly knot: readonly Reference[] | null;
}

/** Stable: entities without a reason to move keep the given order. */
export function orderEntities(entities: readonly string[], references: readonly Reference[]): Ordered {
  const deferred = references.filter((reference) => reference.from === reference.to && !reference.firm);
  for (;;) {
    const open = references.filter((reference) => !deferred.includes(reference));
    const circle = findCircle(entities, open);
    if (circle === null) return { order: sorted(entities, open), deferred, knot: null };
    const loose = circle.filter((reference) => !reference.firm);
    const cheapest = loose.sort((a, b) => inDegree(a, open) - inDegree(b, open))[0];
    if (cheapest === undefined) return { order: entities, deferred, knot: circle };
    deferred.push(cheapest);
  }
}

/** Breaking the reference that fewest others run parallel to keeps the most order. */
function inDegree(reference: Reference, all: readonly Reference[]): number {
  return all.filter((other) => other.to === reference.to).length;
}

function findCircle(entities: readonly string[], references: readonly Reference[]): Reference[] | null {
  const done = new Set<string>();
  const walk = (entity: string, trail: readonly Reference[]): Reference[] | null => {
    for (const reference of references.filter((candidate) => candidate.from === entity)) {
      const start = trail.findIndex((step) => step.from === reference.to);
      if (reference.to === entity) return [reference];
      if (start >= 0) return [...trail.slice(start), reference];
      if (done.has(reference.to)) continue;
      const found = walk(reference.to, [...trail, reference]);
      if (found !== null) return found;
    }
    done.add(entity);
    return null;
  };
  for (const entity of entities) {
    const circle = done.has(entity) ? null : walk(entity, []);
    if (circle !== null) return circle;
  }
  return null;
}

function sorted(entities: readonly string[], references: readonly Reference[]): string[] {
  const order: string[] = [];
  const visit = (entity: string): void => {
    if (order.includes(entity)) return;
    for (const reference of references) if (reference.from === entity) visit(reference.to);
    order.push(entity);
  };
  entities.forEach(visit);
  return order;
}
