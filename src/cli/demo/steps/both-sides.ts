// Step d: one customer is edited on both sides at the same moment. Different fields: both survive. The same field: the mapping's policy
// decides, and the value that lost is kept in the conflict log.
import { customerSides, type Sides } from '../sides.js';
import type { Step, Tour } from '../tour.js';
import { chooseCustomers, type ChosenCustomer } from './chosen.js';

export const bothSides: Step = {
  name: 'both-sides',
  title: 'The same customer is edited in both systems at the same moment',
  async run(tour) {
    const [first, second] = await chooseCustomers(tour, 100, 2);
    if (first === undefined || second === undefined) throw new Error('too few customers are known in both systems');
    const apart = await differentFields(tour, first);
    const clash = await sameField(tour, second);
    return apart + clash;
  },
};

/** Both edits are made before the engine can have seen either. */
async function editBoth(
  tour: Tour,
  { salesforceId, shopifyId }: ChosenCustomer,
  contact: object,
  customer: object,
): Promise<void> {
  const { salesforce, shopify } = tour.world;
  const inCrm = salesforce.edit({ op: 'update', object: 'Contact', id: salesforceId, fields: { ...contact } });
  shopify.edit({ op: 'update', object: 'Customer', id: shopifyId, fields: { ...customer } });
  await inCrm;
}

async function differentFields(tour: Tour, customer: ChosenCustomer): Promise<number> {
  const { world } = tour;
  const city = `Reykjavik ${tour.round + 1}`;
  const last = `Lindqvist-${tour.round + 1}`;
  tour.act('edits', `${customer.email}: MailingCity → ${city} in Salesforce, lastName → ${last} in Shopify`);
  await editBoth(tour, customer, { MailingCity: city }, { lastName: last });
  const took = await tour.until(async () => {
    const { hub, salesforce, shopify } = await customerSides(world, customer.id);
    return hub['city'] === city && [hub, salesforce, shopify].every((side) => side?.['last_name'] === last);
  });
  const sides = await customerSides(world, customer.id);
  tour.show(sides, ['city', 'last_name']);
  tour.expect('city in the hub', city, sides.hub['city']);
  tour.expect('city in Salesforce', city, sides.salesforce?.['city']);
  tour.expect('last_name in Salesforce', last, sides.salesforce?.['last_name']);
  tour.expect('last_name in Shopify', last, sides.shopify?.['last_name']);
  return took ?? Number.NaN;
}

async function sameField(tour: Tour, customer: ChosenCustomer): Promise<number> {
  const { world } = tour;
  const [crm, shop] = [`Astrid-${tour.round + 1}`, `Birgit-${tour.round + 1}`];
  tour.act('edits', `${customer.email}: FirstName → ${crm} in Salesforce, firstName → ${shop} in Shopify`);
  await editBoth(tour, customer, { FirstName: crm }, { firstName: shop });
  let sides = await customerSides(world, customer.id);
  const took = await tour.until(async () => {
    sides = await customerSides(world, customer.id);
    return agreed(sides, 'first_name', [crm, shop]) && (await loggedConflict(tour, customer.id)) !== null;
  });
  tour.show(sides, ['first_name']);
  const conflict = await loggedConflict(tour, customer.id);
  const won = sides.hub['first_name'] ?? null;
  const lost = won === crm ? shop : crm;
  tour.act(
    'conflict',
    `${conflict?.field ?? 'not logged'}: policy ${conflict?.policy ?? '–'}, hub ${conflict?.hub ?? '–'}, ${conflict?.spoke ?? 'spoke'} ${conflict?.value ?? '–'}`,
  );
  tour.expect('first_name is the same everywhere', true, agreed(sides, 'first_name', [crm, shop]));
  tour.expect('policy that decided', 'latest', conflict?.policy);
  tour.expect('the value that lost is in the conflict log', true, [conflict?.hub, conflict?.value].includes(lost));
  return took ?? Number.NaN;
}

function agreed({ hub, salesforce, shopify }: Sides, field: string, wanted: readonly string[]): boolean {
  const value = hub[field] ?? '';
  return wanted.includes(value) && salesforce?.[field] === value && shopify?.[field] === value;
}

interface Logged {
  readonly field: string;
  readonly policy: string;
  readonly spoke: string;
  readonly hub: string | null;
  readonly value: string | null;
}

async function loggedConflict({ world }: Tour, hubId: string): Promise<Logged | null> {
  const { rows } = await world.pool.query(
    `select field, policy, spoke, hub_value, spoke_value from truespoke.conflict
      where entity = 'customer' and hub_id = $1 and field = 'first_name' order by id desc limit 1`,
    [hubId],
  );
  const [row] = rows;
  if (row === undefined) return null;
  const text = (name: string): string => row[name] ?? '';
  return {
    field: text('field'),
    policy: text('policy'),
    spoke: text('spoke'),
    hub: row['hub_value'] ?? null,
    value: row['spoke_value'] ?? null,
  };
}
