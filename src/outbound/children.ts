// Embedded children travel with their parent's write. Adds to each planned parent the complete list of its children where the spoke
// embeds them and something about them differs.
import type { Mapping } from '../mapping/mapping.js';
import type { EntityName, FieldName, SpokeName } from '../model/ids.js';
import type { HubRow, RemoteRecord } from '../model/record.js';
import type { ChildIntent, Intent } from '../model/intent.js';
import { readChildren, type HubTable } from '../store/hub.js';
import type { Pool } from '../store/pool.js';
import { diffInput, loadClaim, type ClaimContext, type Planned } from './claimed.js';
import { diff, type Difference } from './diff.js';
import type { LinkWrite } from '../store/links.js';
import type { OpenSpoke } from './open-spoke.js';
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
    result = result.map((one) =>
      attach(one, child, listOf(open, childContext, rows.get(one.delivery.hubId) ?? [], parentField)),
    );
  }
  return result;
}

function listOf(open: OpenSpoke, context: ClaimContext, rows: readonly HubRow[], parentField: FieldName): ChildList {
  const children: ChildIntent[] = [];
  let differs = false;
  for (const row of rows) {
    if (row.deletedAt !== null) continue;
    const input = diffInput(context, { hubId: row.id, observed: null }, open.spoke.capabilities.undelete);
    const link = input.link?.state === 'live' ? input.link : null;
    // The parent's own id is implied by the embedding.
    const held = new Set([...input.held, parentField]);
    const changed = diff({ ...input, held });
    if (changed.kind === 'wait' || changed.kind === 'refuse') return { children: [], differs: false, blocked: changed };
    const whole = link === null ? changed : diff({ ...input, link: null, held });
    if (whole.kind !== 'create') continue;
    if (link === null || changed.kind === 'update') differs = true;
    children.push({
      entity: context.mapping.entity,
      hubId: row.id,
      externalId: link?.externalId ?? null,
      fields: whole.fields,
      hub: whole.hub,
    });
  }
  return { children, differs, blocked: null };
}

function attach(one: Planned, child: string, list: ChildList): Planned {
  const { difference } = one;
  if (list.blocked !== null) return { ...one, difference: list.blocked };
  const children = { [child]: list.children };
  switch (difference.kind) {
    case 'create':
      return list.children.length === 0 ? one : { ...one, difference: { ...difference, children } };
    case 'update':
      return list.differs ? { ...one, difference: { ...difference, children } } : one;
    case 'none':
      return difference.why === 'same' && list.differs
        ? { ...one, difference: { kind: 'update', fields: {}, hub: {}, children } }
        : one;
    default:
      return one;
  }
}

/** Links of the children that a confirmed write carried, paired by external id, by the key we left in them, else by position. */
export function childLinks(
  mapping: Mapping,
  spoke: SpokeName,
  intent: Intent,
  record: RemoteRecord | null,
  nowMs: number,
): readonly ChildLinks[] {
  if (record === null || intent.children === undefined) return [];
  const found: ChildLinks[] = [];
  for (const [child, sent] of Object.entries(intent.children)) {
    const shown = record.children[child];
    const entity = sent[0]?.entity;
    const mapped = entity === undefined ? undefined : mapping.entities.get(entity)?.spokes.get(spoke);
    if (shown === undefined || entity === undefined || mapped === undefined) continue;
    const links = sent.flatMap((one, i): LinkWrite[] => {
      const image =
        shown.find((candidate) => candidate.externalId === one.externalId) ??
        shown.find((candidate) => candidate.hubKey === one.hubId) ??
        (one.externalId === null && shown.length === sent.length ? shown[i] : undefined);
      if (image === undefined) return [];
      return [
        {
          hubId: one.hubId,
          externalId: image.externalId,
          state: 'live',
          base: confirmedBase(mapped, one.hub, one.fields, image),
          version: record.version,
          settledAtMs: nowMs,
        },
      ];
    });
    found.push({ entity, links });
  }
  return found;
}
