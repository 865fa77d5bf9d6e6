// Owns the shape of what is asked for: a tree that renders to GraphQL and knows its cost.
// Promises that text comes only from the catalogue's constants. Never takes a value: values travel as variables.

/** Field (with constant arguments, alias or `... on Type`) → true for a scalar, or what to select below it. */
export interface Selection {
  readonly [field: string]: true | Selection;
}

/** The points a mutation costs before its selection. */
export const mutationCost = 10;
/** Refused before execution above this (`MAX_COST_EXCEEDED`). */
export const costMax = 1000;
/** What one request may cost here: room for estimates that are a little low. */
export const costBudget = 600;

/** `select('variants(first:1).edges.node.price')` is the nested selection of that one scalar. */
export function select(at: string): Selection {
  const steps = at.split('.');
  let below: true | Selection = true;
  for (const step of steps.reverse()) below = { [step]: below };
  return below === true ? {} : below;
}

export function mergeSelections(parts: readonly Selection[]): Selection {
  const merged: Record<string, true | Selection> = {};
  for (const part of parts) {
    for (const [field, below] of Object.entries(part)) {
      const present = merged[field];
      merged[field] =
        present === undefined || present === true || below === true ? below : mergeSelections([present, below]);
    }
  }
  return merged;
}

export function render(selection: Selection): string {
  return Object.entries(selection)
    .map(([field, below]) => (below === true ? field : `${field} { ${render(below)} }`))
    .join(' ');
}

/**
 * The requested cost in points, as documented: scalar 0, object 1, connection 2 + first × node.
 * `edges`, `node`, `nodes` and fragments add nothing of their own. `paid`: single objects below a mutation are in its price.
 */
export function cost(selection: Selection, paid = false): number {
  let points = 0;
  for (const [field, below] of Object.entries(selection)) {
    if (below === true) continue;
    const first = /\bfirst:\s*(\d+)/.exec(field);
    if (first !== null) points += 2 + Number(first[1]) * cost(below);
    else if (/^(edges|nodes|pageInfo|\.\.\.)/.test(field)) points += cost(below, paid);
    else points += (paid ? 0 : 1) + cost(below, paid);
  }
  return points;
}
