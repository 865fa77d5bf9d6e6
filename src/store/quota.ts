// Owns truespoke.quota: the call budget of each spoke, shared by every process and both directions. One statement takes, so two
// processes can never both have the last token. The rules are model/quota.ts; the SQL of `take` says the same in set form, and
// a test holds the two against each other. The wall clock comes in; a step back restores nothing, a pause never grows by one.
import type { Clock } from '../base/clock.js';
import {
  floorOf,
  laneShare,
  observed,
  pauseLeftMs,
  skewMsMax,
  waitFor,
  type Budget,
  type Grant,
  type Quota,
  type QuotaLedger,
  type TakeRequest,
} from '../model/quota.js';
import type { Queryable, Row } from './pool.js';

/** The ledger as a person set it up and as the remote last described it. */
export interface QuotaRow extends Quota {
  readonly spoke: string;
  readonly pausedReason: string | null;
}

const columns = `spoke, remaining, token_limit, restore_per_second, reserve,
  extract(epoch from reset_at) * 1000 as reset_ms, extract(epoch from updated_at) * 1000 as updated_ms,
  extract(epoch from paused_at) * 1000 as paused_ms, extract(epoch from paused_until) * 1000 as until_ms, paused_reason`;

const take = {
  name: 'quota_take',
  text: `
    with seen as (
      select spoke, token_limit, reset_at <= $2::timestamptz as was_reset,
        case when reset_at <= $2::timestamptz then token_limit
          else least(token_limit,
            remaining + restore_per_second * greatest(0, extract(epoch from $2::timestamptz - updated_at))) end as available,
        token_limit * (reserve + (1 - reserve) * $5::float8) as floor,
        coalesce(paused_until > $2::timestamptz and paused_at - $6::interval <= $2::timestamptz, false) as paused
      from truespoke.quota where spoke = $1 for update
    ), priced as (
      select *, least($3::float8, token_limit - floor) as cost, floor(available - floor) as spare from seen
    ), decided as (
      select *, case when paused or available - floor < cost then 0
        else greatest(cost, least($4::float8, spare)) end as granted from priced
    )
    update truespoke.quota q set
      remaining = d.available - d.granted, updated_at = $2::timestamptz,
      reset_at = case when d.was_reset then null else q.reset_at end
    from decided d where q.spoke = d.spoke
    returning d.granted, q.spoke, q.remaining, q.token_limit, q.restore_per_second, q.reserve, q.paused_reason,
      extract(epoch from q.reset_at) * 1000 as reset_ms, extract(epoch from q.updated_at) * 1000 as updated_ms,
      extract(epoch from q.paused_at) * 1000 as paused_ms, extract(epoch from q.paused_until) * 1000 as until_ms`,
};

const skew = `${skewMsMax} milliseconds`;

export function postgresLedger(db: Queryable, clock: Clock): QuotaLedger {
  const at = (): string => new Date(clock.now()).toISOString();
  return {
    async take(spoke: string, request: TakeRequest): Promise<Grant> {
      const nowMs = clock.now();
      const values = [
        spoke,
        new Date(nowMs).toISOString(),
        request.cost,
        request.wanted,
        laneShare[request.lane],
        skew,
      ];
      const { rows } = await db.query({ ...take, values });
      return rows[0] === undefined ? granted(request.wanted) : toGrant(rows[0], request, nowMs);
    },
    async refund(spoke, tokens) {
      await db.query(
        'update truespoke.quota set remaining = least(token_limit, remaining + $2::float8) where spoke = $1',
        [spoke, tokens],
      );
    },
    async observe(spoke: string, budget: Budget) {
      const next = observed(null, budget, clock.now());
      const resetAt = budget.resetAtMs === undefined ? null : new Date(budget.resetAtMs).toISOString();
      await db.query(
        `insert into truespoke.quota as q (spoke, remaining, token_limit, restore_per_second, reset_at, updated_at)
         values ($1, $2, $3, coalesce($4::float8, 0), $5::timestamptz, $6::timestamptz)
         on conflict (spoke) do update set
           remaining = excluded.remaining, token_limit = excluded.token_limit,
           restore_per_second = coalesce($4::float8, q.restore_per_second),
           reset_at = coalesce(excluded.reset_at, case when q.reset_at > excluded.updated_at then q.reset_at end),
           updated_at = excluded.updated_at`,
        [spoke, next.remaining, next.limit, budget.restorePerSecond ?? null, resetAt, at()],
      );
    },
    async pause(spoke: string, ms: number, reason: string) {
      const nowMs = clock.now();
      await db.query(
        `insert into truespoke.quota as q (spoke, paused_at, paused_until, paused_reason, updated_at)
         values ($1, $2::timestamptz, $3::timestamptz, $4, $2::timestamptz)
         on conflict (spoke) do update set
           paused_at = excluded.paused_at, paused_until = excluded.paused_until, paused_reason = excluded.paused_reason
         -- The lengths that are left are compared, as pauseLeftMs says them: after a step back two ends say nothing.
         where q.paused_until is null or excluded.paused_at < q.paused_at - $5::interval
           or least(q.paused_until - excluded.paused_at, q.paused_until - q.paused_at)
             < excluded.paused_until - excluded.paused_at`,
        [spoke, new Date(nowMs).toISOString(), new Date(nowMs + ms).toISOString(), reason, skew],
      );
    },
  };
}

/** The share that is left to other applications, from the configuration; every start sets it anew. */
export async function setQuotaReserve(db: Queryable, spoke: string, reserve: number, atMs: number): Promise<void> {
  await db.query(
    `insert into truespoke.quota (spoke, reserve, updated_at) values ($1, $2, $3::timestamptz)
     on conflict (spoke) do update set reserve = excluded.reserve`,
    [spoke, reserve, new Date(atMs).toISOString()],
  );
}

/** Budgets that are known, for status and metrics. */
export async function loadQuotas(db: Queryable): Promise<readonly QuotaRow[]> {
  const { rows } = await db.query(`select ${columns} from truespoke.quota where remaining is not null order by spoke`);
  return rows.map((row) => ({
    ...toQuota(row),
    spoke: row['spoke'] ?? '',
    pausedReason: row['paused_reason'] ?? null,
  }));
}

function granted(tokens: number): Grant {
  return { granted: tokens, waitMs: 0, reason: null };
}

function toGrant(row: Row, request: TakeRequest, nowMs: number): Grant {
  const quota = toQuota(row);
  const pausedMs = pauseLeftMs(quota, nowMs);
  if (pausedMs > 0) return { granted: 0, waitMs: pausedMs, reason: 'paused' };
  if (row['remaining'] === null) return granted(request.wanted); // paused once, but its budget was never told
  const taken = Number(row['granted']);
  if (taken > 0) return granted(Math.max(taken, request.cost));
  const spare = quota.remaining - floorOf(quota, request.lane);
  const cost = Math.min(request.cost, quota.limit - floorOf(quota, request.lane));
  return { granted: 0, waitMs: waitFor(quota, cost - spare, nowMs), reason: 'empty' };
}

function toQuota(row: Row): Quota {
  const number = (name: string): number | null =>
    row[name] === null || row[name] === undefined ? null : Number(row[name]);
  return {
    remaining: number('remaining') ?? 0,
    limit: number('token_limit') ?? 0,
    restorePerSecond: number('restore_per_second') ?? 0,
    resetAtMs: number('reset_ms'),
    reserve: number('reserve') ?? 0,
    updatedAtMs: number('updated_ms') ?? 0,
    pausedAtMs: number('paused_ms'),
    pausedUntilMs: number('until_ms'),
  };
}
