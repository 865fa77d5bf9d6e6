// Owns the choice of records for a step: known in both systems, and others at each round, so that a resumed demo shows something new.
import type { Tour } from '../tour.js';

export interface ChosenCustomer {
  readonly id: string;
  readonly email: string;
  readonly salesforceId: string;
  readonly shopifyId: string;
}

/**
 * Customers known in both systems, the `place`-th and those after it in the order of their e-mail addresses. `changedBefore`: only
 * those whose Salesforce record was last changed before that time (ms).
 */
export async function chooseCustomers(
  tour: Tour,
  place: number,
  count = 1,
  changedBefore = Infinity,
): Promise<readonly ChosenCustomer[]> {
  const { rows } = await tour.world.pool.query(
    `select c.id, c.email, s.external_id as salesforce_id, h.external_id as shopify_id
       from hub.customer c
       join truespoke.link s on s.spoke = 'salesforce' and s.entity = 'customer' and s.hub_id = c.id::text and s.state = 'live'
       join truespoke.link h on h.spoke = 'shopify' and h.entity = 'customer' and h.hub_id = c.id::text and h.state = 'live'
      where c.email is not null and c.first_name is not null and c.deleted_at is null
        and ($3::text is null or s.version < $3)
      order by c.email collate "C" offset $1 limit $2`,
    [
      (place + tour.round * 37) % 300,
      count,
      Number.isFinite(changedBefore) ? new Date(changedBefore).toISOString() : null,
    ],
  );
  return rows.map((row) => ({
    id: row['id'] ?? '',
    email: row['email'] ?? '',
    salesforceId: row['salesforce_id'] ?? '',
    shopifyId: row['shopify_id'] ?? '',
  }));
}

export async function chooseCustomer(tour: Tour, place: number, changedBefore?: number): Promise<ChosenCustomer> {
  const [only] = await chooseCustomers(tour, place, 1, changedBefore);
  if (only === undefined) throw new Error('no customer is known in both systems: was the backfill complete?');
  return only;
}

export interface ChosenProduct {
  readonly id: string;
  readonly sku: string;
  readonly price: string;
  readonly salesforceId: string;
}

export async function chooseProducts(tour: Tour, place: number, count = 1): Promise<readonly ChosenProduct[]> {
  const { rows } = await tour.world.pool.query(
    `select p.id, p.sku, p.price, s.external_id as salesforce_id
       from hub.product p
       join truespoke.link s on s.spoke = 'salesforce' and s.entity = 'product' and s.hub_id = p.id::text and s.state = 'live'
       join truespoke.link h on h.spoke = 'shopify' and h.entity = 'product' and h.hub_id = p.id::text and h.state = 'live'
      where p.sku is not null and p.price > 1 and p.deleted_at is null
      order by p.sku collate "C" offset $1 limit $2`,
    [(place + tour.round * 41) % 600, count],
  );
  return rows.map((row) => ({
    id: row['id'] ?? '',
    sku: row['sku'] ?? '',
    price: Number(row['price']).toFixed(2),
    salesforceId: row['salesforce_id'] ?? '',
  }));
}

export async function chooseProduct(tour: Tour, place: number): Promise<ChosenProduct> {
  const [only] = await chooseProducts(tour, place);
  if (only === undefined) throw new Error('no product is known in both systems: was the backfill complete?');
  return only;
}
