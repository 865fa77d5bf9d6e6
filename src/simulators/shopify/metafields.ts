// Owns metafields and their definitions: values by owner, unique values (the ground of custom ids), compare-and-set by
// digest. `$app` namespaces belong to the app; an omitted namespace means the app's own.
import { createHash } from 'node:crypto';
import type { LedgerImage } from '../ledger.js';
import type { DefinitionRow, MetafieldRow, OwnerKind } from './rows.js';
import { ownerKey, uniqueKey, type Actor, type Shop } from './shop.js';
import { refuse, userError, type UserError } from './user-errors.js';

export const appNamespace = 'app--1';

/** `$app:x` and an omitted namespace mean the app's reserved one. */
export function namespaceOf(given: string | null | undefined): string {
  if (given === null || given === undefined || given === '$app') return appNamespace;
  return given.startsWith('$app:') ? `${appNamespace}--${given.slice('$app:'.length)}` : given;
}

export interface MetafieldValue {
  readonly namespace: string;
  readonly key: string;
  readonly value: string;
  /** From the definition when omitted. */
  readonly type: string | null;
  readonly compareDigest?: string | null | undefined;
}

export function digest(row: MetafieldRow): string {
  return createHash('sha256').update(`${row.type}\u0000${row.value}`).digest('hex');
}

/** Why this value cannot be kept, or null. `owner` is null for a record that is about to be created. */
export function checkMetafield(
  shop: Shop,
  kind: OwnerKind,
  owner: number | null,
  given: MetafieldValue,
  path: readonly string[],
): UserError | null {
  const definition = shop.definitionOf(kind, given.namespace, given.key);
  const present = owner === null ? undefined : shop.metafieldOf(kind, owner, given.namespace, given.key);
  const type = given.type ?? definition?.type ?? present?.type;
  if (type === undefined) return userError([...path, 'type'], "Type can't be blank", 'BLANK');
  if (definition !== undefined && given.type !== null && given.type !== definition.type) {
    const message = `Type must be consistent with the definition's type: '${definition.type}'.`;
    return userError([...path, 'type'], message, 'INVALID_TYPE');
  }
  const length = [...given.key].length;
  if (length < 2) return userError([...path, 'key'], 'Key is too short (minimum is 2 characters)', 'TOO_SHORT');
  if (length > 64) return userError([...path, 'key'], 'Key is too long (maximum is 64 characters)', 'TOO_LONG');
  if (given.value === '') return userError([...path, 'value'], "Value can't be blank.", 'BLANK');
  const wrong = checkValue(type, given.value);
  if (wrong !== null) return userError([...path, 'value'], wrong, 'INVALID_VALUE');
  if (given.compareDigest !== undefined) {
    const current = present === undefined ? null : digest(present);
    if (current !== given.compareDigest) {
      const message =
        'The resource has been updated since it was loaded. Try again with an updated `compareDigest` value.';
      return userError(path, message, 'STALE_OBJECT');
    }
  }
  if (definition?.unique === true) {
    const holder = shop.ownerByValue(kind, given.namespace, given.key, given.value);
    if (holder !== null && holder !== owner) {
      return userError([...path, 'value'], 'Value has already been taken.', 'TAKEN');
    }
  }
  return null;
}

function checkValue(type: string, value: string): string | null {
  switch (type) {
    case 'number_integer':
      return /^-?\d{1,16}$/.test(value) ? null : 'Value must be an integer.';
    case 'number_decimal':
      return /^-?\d+(\.\d+)?$/.test(value) ? null : 'Value must be a decimal.';
    case 'boolean':
      return value === 'true' || value === 'false' ? null : 'Value must be true or false.';
    case 'json':
      return isJson(value) ? null : 'Value is invalid JSON.';
    case 'single_line_text_field':
    case 'id':
      if (/[\r\n]/.test(value)) return 'Value must be a single line text string.';
      return null;
    default:
      return null;
  }
}

function isJson(value: string): boolean {
  try {
    JSON.parse(value);
    return true;
  } catch {
    return false;
  }
}

/** Keeps a checked value. True when something changed. Ledger and owner's stamp are the caller's. */
export function putMetafield(shop: Shop, kind: OwnerKind, owner: number, given: MetafieldValue): boolean {
  const present = shop.metafieldOf(kind, owner, given.namespace, given.key);
  const definition = shop.definitionOf(kind, given.namespace, given.key);
  const type = given.type ?? definition?.type ?? present?.type ?? 'single_line_text_field';
  if (present !== undefined && present.value === given.value && present.type === type) return false;
  const now = shop.now();
  const row: MetafieldRow = {
    kind: 'Metafield',
    id: present?.id ?? shop.metafields.nextId(),
    createdAt: present?.createdAt ?? now,
    updatedAt: now,
    ownerKind: kind,
    ownerId: owner,
    namespace: given.namespace,
    key: given.key,
    type,
    value: given.value,
  };
  if (present !== undefined && definition?.unique === true) forget(shop, present);
  shop.metafields.put(row, now);
  const key = ownerKey(kind, owner);
  const owned = shop.owned.get(key) ?? new Map<string, MetafieldRow>();
  owned.set(`${row.namespace}.${row.key}`, row);
  shop.owned.set(key, owned);
  if (definition?.unique === true) shop.uniqueValues.set(uniqueKey(kind, row.namespace, row.key, row.value), owner);
  return true;
}

export function dropMetafield(shop: Shop, row: MetafieldRow): void {
  shop.metafields.delete(row.id, shop.now());
  shop.owned.get(ownerKey(row.ownerKind, row.ownerId))?.delete(`${row.namespace}.${row.key}`);
  forget(shop, row);
}

/** With its owner gone a metafield goes too, and its unique value is free again. */
export function dropMetafieldsOf(shop: Shop, kind: OwnerKind, owner: number): void {
  for (const row of [...shop.metafieldsOf(kind, owner)]) dropMetafield(shop, row);
  shop.owned.delete(ownerKey(kind, owner));
}

function forget(shop: Shop, row: MetafieldRow): void {
  const key = uniqueKey(row.ownerKind, row.namespace, row.key, row.value);
  if (shop.uniqueValues.get(key) === row.ownerId) shop.uniqueValues.delete(key);
}

/** Metafields as the ledger shows them. */
export function metafieldImage(shop: Shop, kind: OwnerKind, owner: number): LedgerImage {
  const image: Record<string, string> = {};
  for (const row of shop.metafieldsOf(kind, owner)) image[`${row.namespace}.${row.key}`] = row.value;
  return image;
}

export interface DefinitionInput {
  readonly ownerKind: OwnerKind;
  readonly namespace: string;
  readonly key: string;
  readonly name: string;
  readonly description: string | null;
  readonly type: string;
  readonly unique: boolean | null;
}

const uniqueTypes = new Set(['id', 'single_line_text_field', 'url', 'number_integer']);

/** Values of type `id` are always unique. */
export function defineMetafield(shop: Shop, actor: Actor, input: DefinitionInput): DefinitionRow {
  const path = ['definition'];
  if (shop.definitionOf(input.ownerKind, input.namespace, input.key) !== undefined) {
    const owner = input.ownerKind === 'ProductVariant' ? 'ProductVariant' : input.ownerKind;
    refuse([...path, 'key'], `Key is in use for ${owner} metafields on the '${input.namespace}' namespace.`, 'TAKEN');
  }
  if (input.name.trim() === '') refuse([...path, 'name'], "Name can't be blank", 'BLANK');
  if (!/^[A-Za-z0-9_-]{2,64}$/.test(input.key)) {
    refuse([...path, 'key'], 'Key contains one or more invalid characters.', 'INVALID_CHARACTER');
  }
  if (!/^[A-Za-z0-9_-]{3,255}$/.test(input.namespace)) {
    refuse([...path, 'namespace'], 'Namespace contains one or more invalid characters.', 'INVALID_CHARACTER');
  }
  const unique = input.type === 'id' ? true : (input.unique ?? false);
  if (unique && !uniqueTypes.has(input.type)) {
    refuse(
      [...path, 'capabilities'],
      `The uniqueValues capability is not available for ${input.type}.`,
      'INVALID_CAPABILITY',
    );
  }
  const values = existingValues(shop, input, unique);
  const now = shop.now();
  const row: DefinitionRow = {
    ...input,
    kind: 'MetafieldDefinition',
    id: shop.definitions.nextId(),
    createdAt: now,
    updatedAt: now,
    unique,
  };
  shop.definitions.put(row, now);
  if (unique) {
    for (const [value, owner] of values) {
      shop.uniqueValues.set(uniqueKey(input.ownerKind, input.namespace, input.key, value), owner);
    }
  }
  shop.commit(actor, { kind: row.kind, id: row.id, op: 'create', before: null, after: { ...row }, topics: [] });
  return row;
}

/** Values kept before there was a definition; repeated ones cannot become unique. */
function existingValues(shop: Shop, input: DefinitionInput, unique: boolean): ReadonlyMap<string, number> {
  const values = new Map<string, number>();
  for (const row of shop.metafields.live()) {
    if (row.ownerKind !== input.ownerKind || row.namespace !== input.namespace || row.key !== input.key) continue;
    if (unique && values.has(row.value)) {
      refuse(['definition', 'capabilities'], 'Existing metafield values are not unique.', 'INVALID_CAPABILITY');
    }
    values.set(row.value, row.ownerId);
  }
  return values;
}
