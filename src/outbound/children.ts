// Embedded children travel with their parent's write. Adds to each planned parent the complete list of its children where the spoke
// embeds them and something about them differs.
import type { Mapping, SpokeMapping } from '../mapping/mapping.js';
import type { EntityName, FieldName, HubId } from '../model/ids.js';
import type { HubRow, RemoteRecord } from '../model/record.js';
import type { ChildIntent, Intent } from '../model/intent.js';
import { readChildren, type HubTable } from '../store/hub.js';
import type { Pool } from '../store/pool.js';
import { diffInput, loadClaim, type ClaimContext, type Planned } from './claimed.js';
import { resembles } from '../mapping/resemble.js';
import type { Base } from '../model/link.js';
import { diff, type Difference } from './diff.js';
import { linkedChildren, type LinkedChild, type LinkWrite } from '../store/links.js';
import type { OpenSpoke } from './open-spoke.js';
import { listName } from './others.js';
import { confirmedBase, type ChildLinks } from './settle.js';

export interface ChildrenDeps {
  readonly pool: Pool;
  readonly mapping: Mapping;
  readonly tables: ReadonlyMap<EntityName, HubTable>;
}

interface ChildList {
  readonly children: readonly ChildIntent[];
  readonly differs: boolean;
  /** A child that cannot be sent yet holds its parent back. */
  readonly blocked: Extract<Difference, { kind: 'wait' | 'refuse' }> | null;
}

export async function withChildren(
  deps: ChildrenDeps,
  open: OpenSpoke,
  context: ClaimContext,
  planned: readonly Planned[],
): Promise<readonly Planned[]> {
  let result = planned;
  for (const { child, entity } of context.mapping.embeds) {
    const mapping = deps.mapping.entities.get(entity)?.spokes.get(open.name);
    const table = deps.tables.get(entity);
    const parentField = mapping?.fields.find((field) => field.fromParent)?.field.name;
    if (mapping === undefined || table === undefined || parentField === undefined || mapping.direction === 'in')
      continue;
    const carriers = result.filter(({ difference }) => ['create', 'update', 'none'].includes(difference.kind));
    const rows = await readChildren(
      deps.pool,
      table,
      parentField,
      carriers.map(({ delivery }) => delivery.hubId),
    );
    const all = [...rows.values()].flat().map((row) => ({ hubId: row.id }));
    const childContext = await loadClaim(deps.pool, deps.mapping, mapping, table, all);
    const linked = await linkedChildren(
      deps.pool,
      { spoke: open.name, entity },
      carriers.map(({ delivery }) => delivery.hubId),
    );
    result = result.map((one) => {
      const { hubId } = one.delivery;
      const list = listOf(childContext, rows.get(hubId) ?? [], linked.get(hubId) ?? [], parentField);
      const isUnseen = context.links.get(hubId)?.unseen?.[listName(child)] !== undefined;
      return isUnseen && list.differs ? without(one) : attach(one, child, list);
    });
  }
  return result;
}

function listOf(
  context: ClaimContext,
  rows: readonly HubRow[],
  linked: readonly LinkedChild[],
  parentField: FieldName,
): ChildList {
  const children: ChildIntent[] = [];
  const present = rows.filter((row) => row.deletedAt === null);
  const ids = new Set(present.map((row) => row.id));
  // A linked child without a row is gone from the hub: the spoke's list must lose it too, where deletions travel.
  const { mapping } = context;
  const travels = mapping.delete === 'propagate' || mapping.delete === 'archive';
  let differs = travels && linked.some(({ hubId }) => !ids.has(hubId));
  for (const row of present) {
    const input = diffInput(context, { hubId: row.id, observed: null }, false);
    // One that another parent embeds at the spoke is a new one here.
    const here = linked.some(({ hubId }) => hubId === row.id);
    const link = here && input.link?.state === 'live' ? input.link : null;
    // The parent's own id is implied by the embedding.
    const held = new Set([...input.held, parentField]);
    const changed = diff({ ...input, link, held });
    if (changed.kind === 'wait' || changed.kind === 'refuse') return { children: [], differs: false, blocked: changed };
    const whole = link === null ? changed : diff({ ...input, link: null, held });
    if (whole.kind !== 'create') continue;
    if (link === null || changed.kind === 'update') differs = true;
    const update = changed.kind === 'update' ? changed : null;
    children.push({
      entity: mapping.entity,
      hubId: row.id,
      externalId: link?.externalId ?? null,
      // A new one leaves out what is empty; in one that is there already it must be emptied.
      fields: { ...whole.fields, ...update?.fields },
      hub: { ...whole.hub, ...update?.hub },
    });
  }
  return { children, differs, blocked: null };
}

/** Inbound has not seen the list as it is now: the parent goes alone, and then the list is looked at. */
function without(one: Planned): Planned {
  const { difference } = one;
  if (difference.kind === 'update') return { ...one, difference: { ...difference, again: true } };
  if (difference.kind === 'none' && difference.why === 'same') return { ...one, difference: { kind: 'unseen' } };
  return one;
}

function attach(one: Planned, child: string, list: ChildList): Planned {
  const { difference } = one;
  if (list.blocked !== null) return { ...one, difference: list.blocked };
  // A parent may embed more than one list.
  const earlier = 'children' in difference ? difference.children : undefined;
  const children = { ...earlier, [child]: list.children };
  switch (difference.kind) {
    case 'create':
      return list.children.length === 0 ? one : { ...one, difference: { ...difference, children } };
    case 'update':
      return list.differs ? { ...one, difference: { ...difference, children } } : one;
    case 'none':
      return difference.why === 'same' && list.differs
        ? {
            ...one,
            difference: {
              kind: 'update',
              fields: {},
              hub: {},
              agreed: difference.agreed ?? {},
              again: false,
              children,
            },
          }
        : one;
    default:
      return one;
  }
}

/**
 * Links of the children that a confirmed write carried, paired by external id, by the key we left in them, else by position. Where the
 * record was `readBack` after an answer that was lost, somebody may have edited a child since.
 */
export function childLinks(
  whole: Mapping,
  mapping: SpokeMapping,
  parent: HubId,
  intent: Intent,
  { record, readBack }: { readonly record: RemoteRecord | null; readonly readBack: boolean },
  nowMs: number,
): readonly ChildLinks[] {
  const { children } = intent;
  if (children === undefined) return [];
  return mapping.embeds.flatMap(({ child, entity }): ChildLinks[] => {
    const sent = children[child];
    const mapped = whole.entities.get(entity)?.spokes.get(mapping.spoke);
    if (sent === undefined || mapped === undefined) return [];
    const shown = record?.children[child];
    const links = sent.flatMap((one, i): LinkWrite[] => {
      const image =
        shown?.find((candidate) => candidate.externalId === one.externalId) ??
        shown?.find((candidate) => candidate.hubKey === one.hubId) ??
        (one.externalId === null && shown?.length === sent.length ? shown[i] : undefined);
      if (image === undefined || record === null) return [];
      return [
        {
          hubId: one.hubId,
          externalId: image.externalId,
          state: 'live',
          base: readBack ? baseReadBack(mapped, one, image) : confirmedBase(mapped, one.hub, one.fields, image),
          version: record.version,
          settledAtMs: nowMs,
          parent,
        },
      ];
    });
    // Those that were sent and cannot be told apart yet keep the link they have.
    const known = sent.flatMap(({ hubId, externalId }) => (externalId === null ? [] : [{ hubId, externalId }]));
    return [
      { entity, parent, links, keep: [...known.filter((one) => !links.some((l) => l.hubId === one.hubId)), ...links] },
    ];
  });
}

/**
 * What does not look like what we sent is somebody's edit, made before our write or after it: nothing tells whether ours came at all. Of a
 * child that was known the old base stands, so that inbound sees two edits where there are two, and keeps both. One that our write has
 * made shows that it came: there the edit is made over what was sent.
 */
function baseReadBack(mapping: SpokeMapping, { hub, fields, externalId }: ChildIntent, image: RemoteRecord): Base {
  const sent = confirmedBase(mapping, hub, fields, null);
  const pairs = Object.entries(confirmedBase(mapping, hub, fields, image)).flatMap(([name, pair]) => {
    const ours = sent[name as FieldName];
    if (ours === undefined || resembles(ours.remote, pair.remote)) return [[name, pair]];
    return externalId === null ? [[name, ours]] : [];
  });
  return Object.fromEntries(pairs) as Base;
}
