// Owns the questions that the demo asks the hub: how far reading and writing are, and what an application sees. Plain SQL over plain tables, as
// any client would write it.
import type { Pool } from '../../store/pool.js';

export interface ScanProgress {
  readonly spoke: string;
  readonly object: string;
  readonly records: number;
  readonly total: number | null;
  readonly done: boolean;
}

export interface HubProgress {
  readonly scans: readonly ScanProgress[];
  /** Writes by spoke: confirmed ones, and what is still to be sent. */
  readonly writes: readonly { readonly spoke: string; readonly confirmed: number; readonly open: number }[];
  /** Hub records that a spoke should have and has not. */
  readonly unlinked: number;
}

/** Records of the hub that have no live link where the starter mappings want one. Twins wait for a person and do not count. */
const unlinkedSql = `
  select count(*) as count
    from (select id, 'customer' as entity, 'salesforce' as spoke from hub.customer where deleted_at is null
          union all select id, 'customer', 'shopify' from hub.customer
           where deleted_at is null and (email is not null or phone is not null or last_name is not null)
          union all select id, 'product', 'salesforce' from hub.product where deleted_at is null
          union all select id, 'product', 'shopify' from hub.product where deleted_at is null
          union all select id, 'sales_order', 'salesforce' from hub.sales_order where deleted_at is null
          union all select id, 'sales_order_line', 'salesforce' from hub.sales_order_line where product is not null) wanted
   where not exists (select 1 from truespoke.link l where l.entity = wanted.entity and l.spoke = wanted.spoke
                        and l.hub_id = wanted.id::text and l.state = 'live')
     and not exists (select 1 from truespoke.review r where r.entity = wanted.entity and r.key = wanted.id::text)`;

export async function readProgress(pool: Pool): Promise<HubProgress> {
  const [scans, writes, unlinked] = await Promise.all([
    pool.query(`select spoke, object, records, total, finished_at is not null as done from truespoke.cursor
                 where kind = 'scan' order by spoke, object`),
    pool.query(`select s.name as spoke,
                       (select count(*) from truespoke.link l where l.spoke = s.name and l.settled_at is not null) as confirmed,
                       (select count(*) from truespoke.delivery d where d.spoke = s.name) as open
                  from truespoke.spoke s order by s.name`),
    pool.query(unlinkedSql),
  ]);
  return {
    scans: scans.rows.map((row) => ({
      spoke: row['spoke'] ?? '',
      object: row['object'] ?? '',
      records: Number(row['records']),
      total: row['total'] === null ? null : Number(row['total']),
      done: row['done'] === 't',
    })),
    writes: writes.rows.map((row) => ({
      spoke: row['spoke'] ?? '',
      confirmed: Number(row['confirmed']),
      open: Number(row['open']),
    })),
    unlinked: Number(unlinked.rows[0]?.['count'] ?? 0),
  };
}
