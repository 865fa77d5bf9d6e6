// Owns: one list a key, keys and values in the order in which they came. `Map.groupBy` where Node 20 has none.
export function groupBy<T, K>(all: readonly T[], key: (one: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const one of all) {
    const own = key(one);
    const list = groups.get(own);
    if (list === undefined) groups.set(own, [one]);
    else list.push(one);
  }
  return groups;
}
