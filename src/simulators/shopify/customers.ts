// Owns the rules for customers: what is refused, how values are rewritten, which uniqueness holds. Checks come before any
// change, so a refused write changes nothing.
import type { LedgerImage } from '../ledger.js';
import { gid } from './gid.js';
import { checkMetafield, dropMetafieldsOf, metafieldImage, putMetafield, type MetafieldValue } from './metafields.js';
import * as normal from './normalise.js';
import type { AddressRow, CustomerRow } from './rows.js';
import type { Actor, Shop } from './shop.js';
import { refuse, refuseAll, tooLong, userError, type UserError } from './user-errors.js';

/** What a caller sends; an absent key leaves the field as it is. */
export type CustomerInput = Readonly<Record<string, unknown>>;

export interface CustomerWrite {
  readonly input: CustomerInput;
  readonly metafields: readonly MetafieldValue[];
  /** Path of the input in the mutation, for the errors. */
  readonly path: readonly string[];
}

export function createCustomer(shop: Shop, actor: Actor, write: CustomerWrite): CustomerRow {
  const now = shop.now();
  const blank: CustomerRow = {
    kind: 'Customer',
    id: 0,
    createdAt: now,
    updatedAt: now,
    email: null,
    phone: null,
    firstName: null,
    lastName: null,
    note: null,
    tags: [],
    locale: 'en',
    taxExempt: false,
    addresses: [],
  };
  const checked = check(shop, null, blank, write);
  const row = { ...checked, id: shop.customers.nextId() };
  keep(shop, row, null);
  for (const value of write.metafields) putMetafield(shop, 'Customer', row.id, value);
  const after = customerImage(shop, row);
  shop.commit(actor, { kind: 'Customer', id: row.id, op: 'create', before: null, after, topics: ['CUSTOMERS_CREATE'] });
  return row;
}

/** A write that changes nothing leaves stamp, ledger and subscribers alone. */
export function updateCustomer(shop: Shop, actor: Actor, id: number, write: CustomerWrite): CustomerRow {
  const present = shop.customers.get(id);
  if (present === undefined) refuse([...write.path, 'id'], 'Customer does not exist', 'NOT_FOUND');
  const checked = check(shop, id, present, write);
  const before = customerImage(shop, present);
  let changed = JSON.stringify({ ...checked, updatedAt: 0 }) !== JSON.stringify({ ...present, updatedAt: 0 });
  for (const value of write.metafields) changed = putMetafield(shop, 'Customer', id, value) || changed;
  if (!changed) return present;
  const row = { ...checked, updatedAt: shop.now() };
  keep(shop, row, present);
  const after = customerImage(shop, row);
  shop.commit(actor, { kind: 'Customer', id, op: 'update', before, after, topics: ['CUSTOMERS_UPDATE'] });
  return row;
}

/** Refused for a customer with orders, as in the real shop. */
export function deleteCustomer(shop: Shop, actor: Actor, id: number): void {
  const present = shop.customers.get(id);
  if (present === undefined) refuse(['id'], "Customer can't be found", 'NOT_FOUND');
  if ((shop.ordersOfCustomer.get(id)?.size ?? 0) > 0) {
    refuse(['id'], 'Customer can’t be deleted because they have associated orders', 'INVALID');
  }
  const before = customerImage(shop, present);
  shop.customers.delete(id, shop.now());
  if (present.email !== null) shop.customerByEmail.delete(present.email);
  if (present.phone !== null) shop.customerByPhone.delete(present.phone);
  dropMetafieldsOf(shop, 'Customer', id);
  shop.commit(actor, { kind: 'Customer', id, op: 'delete', before, after: null, topics: ['CUSTOMERS_DELETE'] });
}

export function customerImage(shop: Shop, row: CustomerRow): LedgerImage {
  const { email, phone, firstName, lastName, note, tags, locale, taxExempt, addresses } = row;
  const metafields = metafieldImage(shop, 'Customer', row.id);
  const id = gid('Customer', row.id);
  return { id, email, phone, firstName, lastName, note, tags, locale, taxExempt, addresses, metafields };
}

function keep(shop: Shop, row: CustomerRow, before: CustomerRow | null): void {
  if (before !== null && before.email !== null) shop.customerByEmail.delete(before.email);
  if (before !== null && before.phone !== null) shop.customerByPhone.delete(before.phone);
  if (row.email !== null) shop.customerByEmail.set(row.email, row.id);
  if (row.phone !== null) shop.customerByPhone.set(row.phone, row.id);
  shop.customers.put(row, row.updatedAt);
}

function check(shop: Shop, id: number | null, present: CustomerRow, write: CustomerWrite): CustomerRow {
  const { input, path } = write;
  const has = (key: string): boolean => key in input;
  const phone = has('phone') ? normal.phone(input['phone'], shop.facts.country) : present.phone;
  const row: CustomerRow = {
    ...present,
    email: has('email') ? normal.email(input['email']) : present.email,
    phone: phone ?? null,
    firstName: has('firstName') ? normal.text(input['firstName']) : present.firstName,
    lastName: has('lastName') ? normal.text(input['lastName']) : present.lastName,
    note: has('note') ? normal.text(input['note']) : present.note,
    tags: has('tags') ? normal.tags(input['tags'] as unknown[] | null) : present.tags,
    locale: has('locale') ? (normal.text(input['locale']) ?? 'en') : present.locale,
    taxExempt: has('taxExempt') ? input['taxExempt'] === true : present.taxExempt,
    addresses: has('addresses') ? addressesOf(shop, input['addresses']) : present.addresses,
  };
  refuseAll([
    ...(phone === undefined ? [userError([...path, 'phone'], 'Phone is invalid', 'INVALID')] : []),
    ...checkEmail(shop, id, row, path),
    ...checkPhone(shop, id, row, path),
    ...tooLong([...path, 'firstName'], 'First name', row.firstName),
    ...tooLong([...path, 'lastName'], 'Last name', row.lastName),
    ...tooLong([...path, 'note'], 'Note', row.note, 5000),
    ...checkPresence(row, path),
    ...write.metafields.flatMap((value, at) => {
      return checkMetafield(shop, 'Customer', id, value, [...path, 'metafields', String(at)]) ?? [];
    }),
  ]);
  return row;
}

function checkEmail(shop: Shop, id: number | null, row: CustomerRow, path: readonly string[]): readonly UserError[] {
  if (row.email === null) return [];
  const field = [...path, 'email'];
  if (!normal.validEmail(row.email)) return [userError(field, 'Email is invalid', 'INVALID')];
  const holder = shop.customerByEmail.get(row.email);
  if (holder !== undefined && holder !== id) return [userError(field, 'Email has already been taken', 'TAKEN')];
  return tooLong(field, 'Email', row.email);
}

function checkPhone(shop: Shop, id: number | null, row: CustomerRow, path: readonly string[]): readonly UserError[] {
  if (row.phone === null) return [];
  const holder = shop.customerByPhone.get(row.phone);
  if (holder === undefined || holder === id) return [];
  return [userError([...path, 'phone'], 'Phone has already been taken', 'TAKEN')];
}

function checkPresence(row: CustomerRow, path: readonly string[]): readonly UserError[] {
  const some = [row.email, row.phone, row.firstName, row.lastName].some((value) => value !== null);
  if (some) return [];
  const message = 'A name, phone number, or email address must be present';
  return [userError(path.length === 0 ? null : path, message, 'BLANK')];
}

function addressesOf(shop: Shop, given: unknown): readonly AddressRow[] {
  return ((given ?? []) as Readonly<Record<string, unknown>>[]).map((input) => addressOf(shop, input));
}

export function addressOf(shop: Shop, input: Readonly<Record<string, unknown>>): AddressRow {
  const phone = normal.phone(input['phone'], shop.facts.country);
  return {
    id: shop.minorId(),
    address1: normal.text(input['address1']),
    address2: normal.text(input['address2']),
    city: normal.text(input['city']),
    company: normal.text(input['company']),
    countryCode: normal.text(input['countryCode']),
    firstName: normal.text(input['firstName']),
    lastName: normal.text(input['lastName']),
    // An address keeps a phone that is none as it was written.
    phone: phone === undefined ? normal.text(input['phone']) : phone,
    provinceCode: normal.text(input['provinceCode']),
    zip: normal.text(input['zip']),
  };
}
