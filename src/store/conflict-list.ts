// Owns reading truespoke.conflict for people: what was decided and what waits, newest first, both values kept.
import type { Queryable } from './pool.js';

export interface ListedConflict {
  readonly id: string;
  readonly at: string;
  readonly spoke: string;
  readonly entity: string;
  readonly hubId: string;
  readonly field: string;
  readonly base: string | null;
  readonly hubValue: string | null;
  readonly spokeValue: string | null;
  readonly policy: string;
  readonly winner: 'hub' | 'spoke' | 'both' | 'open';
  readonly state: 'decided' | 'open' | 'resolved';
}

export interface ConflictFilter {
  readonly spoke?: string | undefined;
  readonly entity?: string | undefined;
  /** Hub id. */
  readonly record?: string | undefined;
  readonly policy?: string | undefined;
  readonly openOnly: boolean;
  readonly limit: number;
}

export async function listConflicts(db: Queryable, filter: ConflictFilter): Promise<readonly ListedConflict[]> {
  const { rows } = await db.query(
    `select id, at, spoke, entity, hub_id, field, base, hub_value, spoke_value, policy, winner, state
       from truespoke.conflict
      where ($1::text is null or spoke = $1) and (not $2::boolean or state = 'open')
        and ($4::text is null or entity = $4) and ($5::text is null or hub_id = $5) and ($6::text is null or policy = $6)
      order by id desc limit $3`,
    [
      filter.spoke ?? null,
      filter.openOnly,
      filter.limit,
      filter.entity ?? null,
      filter.record ?? null,
      filter.policy ?? null,
    ],
  );
  return rows.map((row) => ({
    id: row['id'] ?? '',
    at: row['at'] ?? '',
    spoke: row['spoke'] ?? '',
    entity: row['entity'] ?? '',
    hubId: row['hub_id'] ?? '',
    field: row['field'] ?? '',
    base: row['base'] ?? null,
    hubValue: row['hub_value'] ?? null,
    spokeValue: row['spoke_value'] ?? null,
    policy: row['policy'] ?? '',
    winner: (row['winner'] ?? 'open') as ListedConflict['winner'],
    state: (row['state'] ?? 'open') as ListedConflict['state'],
  }));
}
