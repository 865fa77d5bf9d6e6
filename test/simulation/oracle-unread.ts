// Owns one judgement between rest and the first look of the reconciler: what people made at a spoke has come in by itself. The reconciler's
// inventory would bring it in without a word, so that a poller that skips records, or an intake that forgets them, would never show.
// Law 7: none is skipped. The promise: no edit vanishes, it is in place or an open parked item.
import { remotePath } from '../../src/model/ids.js';
import { keyOf } from './model.js';
import type { RestPorts } from './rest.js';
import { followedEntities, hubEntities, spokeNames, type EntityId } from './world.js';

export async function unreadProblems({ db, model, remotes }: RestPorts): Promise<readonly string[]> {
  const asked = await questions({ db });
  const problems: string[] = [];
  for (const entity of hubEntities) {
    const known = await keysOf({ db }, entity);
    for (const spoke of spokeNames) {
      const place = followedEntities[entity].keys[spoke];
      if (place === undefined) continue;
      const { child, object, path } = place;
      for (const row of remotes[spoke].list(object)) {
        // An embedded child comes with its parent, or waits with it.
        if (child !== undefined && asked.has(row.id)) continue;
        for (const { id, fields } of child === undefined ? [row] : (row.children[child] ?? [])) {
          const key = keyOf(fields[remotePath(path)]) ?? '';
          // Deleted somewhere, or merged into another: which of its records come in is decided elsewhere.
          if (known.has(key) || model.isDestroyed(key) || model.merged.has(key) || asked.has(id)) continue;
          problems.push(`${key} ${id} of ${spoke} did not come in by itself`);
        }
      }
    }
  }
  return problems;
}

/** External ids that a person is asked about, or that wait for another record. */
async function questions({ db }: Pick<RestPorts, 'db'>): Promise<ReadonlySet<string>> {
  const { rows } = await db.query(
    `select key, '' as evidence from truespoke.parked where state in ('open', 'waiting')
      union all select key, evidence::text from truespoke.review where state = 'open'`,
  );
  const ids = rows.flatMap((row) => [
    row['key'] ?? '',
    ...[...(row['evidence'] ?? '').matchAll(/"([a-z]-\d{8})"/g)].map((match) => match[1] ?? ''),
  ]);
  return new Set(ids);
}

async function keysOf({ db }: Pick<RestPorts, 'db'>, entity: EntityId): Promise<ReadonlySet<string>> {
  const { rows } = await db.query(`select key from hub.${entity} order by id`);
  return new Set(rows.map((row) => keyOf(row['key'] ?? null) ?? ''));
}
