// Owns one judgement at rest: what was deleted comes back to the hub only where somebody brought it back. A read or a listing that lags behind
// a deletion makes nothing anew (law 4); a later page that tells of the deletion once more would hide that it did.
import { remotePath } from '../../src/model/ids.js';
import { keyOf } from './model.js';
import type { RestPorts } from './rest.js';
import { followedEntities, spokeNames, type SpokeId } from './world.js';

/** People only: an embedded child comes back with its parent's list, a parcel is archived. */
export async function revivedProblems({ db, model, remotes }: RestPorts): Promise<readonly string[]> {
  const { rows } = await db.query(
    `select hub_id, op, origin, before ->> 'key' as gone, after ->> 'key' as made
       from truespoke.journal where entity = 'person' and op in ('insert', 'delete') order by epoch, commit_lsn, seq`,
  );
  const deleted = new Set<string>();
  const problems: string[] = [];
  for (const row of rows) {
    const [id, origin] = [row['hub_id'] ?? '', row['origin'] ?? ''];
    if (row['op'] === 'delete') {
      deleted.add(id);
      continue;
    }
    const key = keyOf(row['made'] ?? null) ?? '';
    if (!deleted.has(id) || model.merged.has(key) || !isSpoke(origin)) continue;
    const { object = '', path = '' } = followedEntities.person.keys[origin] ?? {};
    const isBack = remotes[origin].ledger.some(
      (entry) => entry.op === 'undelete' && entry.object === object && keyOf(entry.after?.[remotePath(path)]) === key,
    );
    if (!isBack) problems.push(`${key} was deleted and is made again from ${origin}, where nobody brought it back`);
  }
  return problems;
}

const isSpoke = (name: string): name is SpokeId => (spokeNames as readonly string[]).includes(name);
