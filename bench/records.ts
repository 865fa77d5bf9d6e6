// Owns the records of the backfill rows: twelve fields, made as they are asked for, the same for both sides of a comparison.
import { externalId, hubId, objectName, version, type HubId } from '../src/model/ids.js';
import type { RemoteFields, RemoteRecord } from '../src/model/record.js';

export const spoke = 'left';
export const object = objectName('Contact');

export const contactYaml = (spokes: readonly string[]): string => `
entity: contact
fields:
  email: { type: text, match: case-insensitive }
  first_name: text
  last_name: text
  phone: text
  street: text
  city: text
  state: text
  tier: { type: text, values: [free, pro, enterprise] }
  size: { type: decimal, scale: 2 }
  rank: integer
  active: boolean
  seen_at: timestamp
spokes:
${spokes
  .map(
    (name) => `  ${name}:
    object: Contact
    fields:
      email: Email
      first_name: FirstName
      last_name: LastName
      phone: { remote: Phone, via: trim }
      street: Street
      city: City
      state: State
      tier: { remote: Tier, via: { values: { free: Free, pro: Pro, enterprise: Enterprise } } }
      size: Size
      rank: Rank
      active: Active
      seen_at: SeenAt`,
  )
  .join('\n')}
`;

const tiers = ['Free', 'Pro', 'Enterprise'] as const;
const firstSeenMs = Date.parse('2026-01-01T00:00:00Z');

/** `edit` > 0: the record was edited that many times; its stamp and two values differ. */
export function remoteRecord(i: number, edit: number): RemoteRecord {
  const fields: Record<string, string | number | boolean> = {
    Email: `person${i}@example.test`,
    FirstName: `First${i % 5000}`,
    LastName: edit === 0 ? `Last${i % 9000}` : `Last${i % 9000} ${edit}`,
    Phone: `+1555${String(i % 10_000_000).padStart(7, '0')}`,
    Street: `${i % 900} Long Street`,
    City: `City ${i % 1000}`,
    State: `State ${i % 50}`,
    Tier: tiers[i % 3] ?? 'Free',
    Size: (i % 100_000) / 100,
    Rank: i + edit,
    Active: i % 2 === 0,
    SeenAt: new Date(firstSeenMs + i * 1000).toISOString(),
  };
  return {
    object,
    externalId: externalId(`003${String(i).padStart(12, '0')}`),
    version: version(
      edit === 0 ? '2026-06-01T00:00:00.000Z' : `2026-06-02T00:00:${String(edit % 60).padStart(2, '0')}.000Z`,
    ),
    deleted: false,
    hubKey: null,
    modifiedBySelf: null,
    mergedInto: null,
    fields: fields as RemoteFields,
    children: {},
  };
}

export const contactColumns = [
  'email', 'first_name', 'last_name', 'phone', 'street', 'city', 'state', 'tier', 'size', 'rank', 'active', 'seen_at',
] as const; // prettier-ignore

/** The hub row of a record as a line of COPY. None of the values needs escaping. */
export function copyLine(id: HubId, { fields }: RemoteRecord): string {
  const f = fields as Record<string, string | number | boolean>;
  return `${id}\t${f['Email']}\t${f['FirstName']}\t${f['LastName']}\t${f['Phone']}\t${f['Street']}\t${f['City']}\t${f['State']}\t${String(
    f['Tier'],
  ).toLowerCase()}\t${f['Size']}\t${f['Rank']}\t${f['Active']}\t${f['SeenAt']}\n`;
}

/** Stable ids for the reference side: it makes no links from which they could be found again. */
export const plainId = (i: number): HubId => hubId(`00000000-0000-7000-8000-${String(i).padStart(12, '0')}`);
