// Shows what a review asks: the record in question and its candidates side by side, in the hub's fields. Reads only; this is the one place
// besides the conflict log where values are shown, because a person must see them to decide.
import { ConfigError } from '../base/errors.js';
import { externalId, hubId, type EntityName, type ExternalId, type HubId } from '../model/ids.js';
import type { Mapping, SpokeMapping } from '../mapping/mapping.js';
import { normalise } from '../inbound/normalise.js';
import type { HubRow, HubValue, RemoteRecord } from '../model/record.js';
import { openHubTable, readRows } from '../store/hub.js';
import { linksByExternal, linksByHub } from '../store/links.js';
import type { Pool, Queryable } from '../store/pool.js';
import { readReview, type OpenReview, type ReviewEvidence } from '../store/reviews.js';

export interface ShownRecord {
  /** What `review link` takes. */
  readonly id: string;
  readonly title: string;
  readonly fields: Readonly<Record<string, HubValue>>;
  /** It can be linked: nothing else of that spoke is. */
  readonly free: boolean;
}

export interface ExplainedReview extends OpenReview {
  /** The record that asks where it belongs. */
  readonly record: ShownRecord | null;
  readonly candidates: readonly ShownRecord[];
  /** The rest of the evidence: counts, times, ids. */
  readonly detail: Readonly<Record<string, unknown>>;
}

interface Evidence {
  readonly record?: RemoteRecord;
  readonly candidates?: readonly { readonly hubId: string }[];
  readonly of?: { readonly hubId: string };
  readonly hubId?: string;
  readonly externalIds?: readonly string[];
}

export async function explainReview(
  deps: { readonly pool: Pool; readonly mapping: Mapping },
  id: string,
): Promise<ExplainedReview> {
  const review = await readReview(deps.pool, id);
  if (review === null) {
    throw new ConfigError({
      code: 'no_open_review',
      message: `there is no open review ${id}`,
      hint: '`truespoke review list` shows them',
    });
  }
  const { evidence, ...open } = review;
  const { record, candidates, of, ...detail } = evidence as Evidence & Record<string, unknown>;
  const entity = deps.mapping.entities.get(review.entity);
  const mapping = review.spoke === null ? undefined : entity?.spokes.get(review.spoke);
  if (mapping === undefined || (review.kind !== 'ambiguous' && review.kind !== 'duplicate'))
    return { ...open, record: null, candidates: [], detail };
  const hubIds = [...(candidates ?? []), ...(of === undefined ? [] : [of])].map((one) => hubId(one.hubId));
  if (record !== undefined) {
    const shown = shownRecord(mapping, record);
    return { ...open, record: shown, candidates: await hubRecords(deps, mapping, hubIds), detail };
  }
  const asking = hubId(detail.hubId ?? review.key);
  const [row] = await hubRecords(deps, mapping, [asking]);
  return { ...open, record: row ?? null, candidates: await atSpoke(deps.pool, mapping, review, detail), detail };
}

/** In the hub's fields where the mapping can read it; references stay as the spoke names them. */
function shownRecord(mapping: SpokeMapping, record: RemoteRecord): ShownRecord {
  const title = `${mapping.spoke} ${record.externalId}`;
  const read = normalised(mapping, record);
  const fields =
    read ?? Object.fromEntries(Object.entries(record.fields).map(([path, value]) => [path, textOf(value)]));
  return { id: record.externalId, title, fields, free: false };
}

function normalised(mapping: SpokeMapping, record: RemoteRecord): Readonly<Record<string, HubValue>> | null {
  try {
    const read = normalise(
      mapping,
      record,
      null,
      (_entity: EntityName, id: ExternalId) => id as string as HubId,
      new Set(),
    );
    if (read.kind !== 'observed') return null;
    return Object.fromEntries(Object.entries(read.fields).map(([name, { hub }]) => [name, hub]));
  } catch {
    // A record that the mapping cannot read is shown as the spoke shows it.
    return null;
  }
}

const textOf = (value: unknown): HubValue =>
  typeof value === 'string' || value === null ? value : JSON.stringify(value);

async function hubRecords(
  deps: { readonly pool: Pool; readonly mapping: Mapping },
  mapping: SpokeMapping,
  ids: readonly HubId[],
): Promise<readonly ShownRecord[]> {
  const entity = deps.mapping.entities.get(mapping.entity);
  if (entity === undefined || ids.length === 0) return [];
  const feed = { spoke: mapping.spoke, entity: mapping.entity };
  const rows: ReadonlyMap<HubId, HubRow> = await readRows(deps.pool, await openHubTable(deps.pool, entity), ids, {
    lock: false,
  });
  const links = await linksByHub(deps.pool, feed, ids);
  return ids.flatMap((id) => {
    const row = rows.get(id);
    if (row === undefined) return [];
    const link = links.get(id);
    const at = link?.state === 'live' ? `, ${mapping.spoke} ${link.externalId}` : '';
    return [{ id, title: `hub ${id}${at}`, fields: row.fields, free: link?.state !== 'live' }];
  });
}

/** Only what the hub knows of them: their values are at the spoke. */
async function atSpoke(
  db: Queryable,
  mapping: SpokeMapping,
  review: ReviewEvidence,
  evidence: Evidence,
): Promise<readonly ShownRecord[]> {
  const ids = (evidence.externalIds ?? [review.key]).map(externalId);
  const links = await linksByExternal(db, { spoke: mapping.spoke, entity: mapping.entity }, ids);
  return ids.map((id) => {
    const link = links.get(id);
    const of = link?.state === 'live' ? `, linked to hub ${link.hubId}` : '';
    const fields = Object.fromEntries(Object.entries(link?.base ?? {}).map(([name, pair]) => [name, pair.hub]));
    return { id, title: `${mapping.spoke} ${id}${of}`, fields, free: link?.state !== 'live' };
  });
}
