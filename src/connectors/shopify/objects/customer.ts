// Owns what Shopify's Customer offers: its paths, and how a create, an update and a delete are said.
// The create is an upsert by the hub id kept in a unique metafield, so repeating it makes no second record.
import { arrange, hasChildren, refusedPaths, rejected } from './spec.js';
import type { ObjectSpec, PathSpec, Planned, Writer } from './spec.js';

const input = (path: string): Pick<PathSpec, 'create' | 'update'> => ({
  create: `input.${path}`,
  update: `input.${path}`,
});

// Writing addresses replaces the whole list, so they are sent only with a create, when there is none to lose.
const address = (path: string, field = path): PathSpec => ({
  path: `defaultAddress.${path}`,
  type: 'text',
  at: `defaultAddress.${field}`,
  maxLength: 255,
  create: `input.addresses.0.${path}`,
});

const paths: readonly PathSpec[] = [
  { path: 'id', type: 'id', at: 'id', nullable: false },
  {
    path: 'email',
    type: 'text',
    at: 'defaultEmailAddress.emailAddress',
    ...input('email'),
    maxLength: 255,
    search: 'email',
    identifier: 'emailAddress',
    compare: 'lower',
  },
  {
    path: 'phone',
    type: 'text',
    at: 'defaultPhoneNumber.phoneNumber',
    ...input('phone'),
    maxLength: 255,
    search: 'phone',
    identifier: 'phoneNumber',
    compare: 'digits',
  },
  { path: 'firstName', type: 'text', at: 'firstName', ...input('firstName'), maxLength: 255, search: 'first_name' },
  { path: 'lastName', type: 'text', at: 'lastName', ...input('lastName'), maxLength: 255, search: 'last_name' },
  { path: 'displayName', type: 'text', at: 'displayName', nullable: false },
  { path: 'note', type: 'text', at: 'note', ...input('note') },
  { path: 'tags', type: 'list', at: 'tags', nullable: false, ...input('tags') },
  { path: 'locale', type: 'text', at: 'locale', nullable: false, ...input('locale') },
  { path: 'taxExempt', type: 'boolean', at: 'taxExempt', nullable: false, ...input('taxExempt') },
  { path: 'state', type: 'text', at: 'state', nullable: false, values: ['DECLINED', 'DISABLED', 'ENABLED', 'INVITED'] },
  { path: 'numberOfOrders', type: 'number', at: 'numberOfOrders', nullable: false, scale: 0 },
  address('address1'),
  address('address2'),
  address('city'),
  address('company'),
  address('zip'),
  address('provinceCode'),
  address('countryCode', 'countryCodeV2'),
  { path: 'createdAt', type: 'timestamp', at: 'createdAt', nullable: false },
  { path: 'updatedAt', type: 'timestamp', at: 'updatedAt', nullable: false },
];

function set(identifier: unknown, value: unknown): Planned {
  const mutation = {
    field: 'customerSet',
    args: [
      { name: 'identifier', type: 'CustomerSetIdentifiers', value: identifier },
      { name: 'input', type: 'CustomerSetInput!', value },
    ],
    payload: 'customer',
    returns: 'record',
    coded: true,
    children: 0,
  } as const;
  return { ok: true, mutations: [mutation] };
}

const writer: Writer = {
  variantsNeeded: () => [],
  lookupBeforeCreate: false,
  create(write, context) {
    if (hasChildren(write.children)) return rejected('unsupported_change', 'Shopify keeps no children in a Customer.');
    const { args, refused } = arrange(paths, write.fields, 'create');
    if (refused.length > 0) return refusedPaths('Customer', 'create', refused);
    return set({ customId: { ...context.hubKey, value: write.hubId } }, args['input'] ?? {});
  },
  update(write) {
    const { args, refused } = arrange(paths, write.fields, 'update');
    if (refused.length > 0) return refusedPaths('Customer', 'update', refused);
    return set({ id: write.externalId }, args['input'] ?? {});
  },
  remove(write) {
    const args = [{ name: 'input', type: 'CustomerDeleteInput!', value: { id: write.externalId } }];
    const mutation = { field: 'customerDelete', args, payload: 'deletedCustomerId', returns: 'deletedId' } as const;
    return { ok: true, mutations: [{ ...mutation, coded: false, children: 0 }] };
  },
};

export const customer: ObjectSpec = {
  name: 'Customer',
  gid: 'Customer',
  collection: 'customers',
  order: 'stamp',
  byIdentifier: { field: 'customerByIdentifier', input: 'CustomerIdentifierInput!' },
  ownerType: 'CUSTOMER',
  scopes: { read: 'read_customers', write: 'write_customers' },
  stamps: ['updatedAt'],
  paths,
  children: {},
  single: null,
  writer,
  deletable: true,
  topics: [
    { topic: 'customers/create', deleted: false },
    { topic: 'customers/update', deleted: false },
    { topic: 'customers/delete', deleted: true },
  ],
};
