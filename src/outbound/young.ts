// Records that have just come to be or been written, for which an absence proves nothing: a read by id may lag behind (F102, law 8).
import { youngMs } from '../model/young.js';
import type { ExternalId } from '../model/ids.js';
import { knownSince } from '../store/link-images.js';
import type { Batch } from './batch.js';

/** Those of `ids` that are too young to be believed gone. */
export function youngOf(batch: Batch, ids: readonly ExternalId[]): Promise<ReadonlySet<ExternalId>> {
  const { deps, feed } = batch;
  return knownSince(deps.pool, feed.spoke, [feed.entity], ids, deps.clock.now() - youngMs);
}
