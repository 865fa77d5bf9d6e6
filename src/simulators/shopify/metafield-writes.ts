// Owns the metafield mutations: set with compare-and-set, delete, definitions. All values of a metafieldsSet are kept or
// none; a change moves the owner's stamp and is announced as an update of the owner.
import type { Call } from './call.js';
import { customerImage } from './customers.js';
import { gid, idOf, readGid } from './gid.js';
import type { Input } from './inputs.js';
import { metafieldsOf } from './inputs.js';
import {
  checkMetafield,
  defineMetafield,
  dropMetafield,
  namespaceOf,
  putMetafield,
  type MetafieldValue,
} from './metafields.js';
import * as normal from './normalise.js';
import { orderImage } from './orders.js';
import { productImage } from './products.js';
import { ownerKinds } from './reads.js';
import type { OwnerKind } from './rows.js';
import type { LedgerImage } from '../ledger.js';
import type { Shop } from './shop.js';
import { refuse, refuseAll, type UserError } from './user-errors.js';
import { guarded, type Mutation } from './guarded.js';

const setMax = 25;

interface Owner {
  readonly kind: OwnerKind;
  readonly id: number;
}

function ownerOf(shop: Shop, text: unknown, path: readonly string[]): Owner {
  const read = readGid(String(text));
  const kind = Object.values(ownerKinds).find((each) => each === read?.kind);
  if (read === null || kind === undefined) refuse([...path, 'ownerId'], 'Owner does not exist.', 'INVALID');
  const owner = { kind, id: read.id };
  if (imageOf(shop, owner) === null) refuse([...path, 'ownerId'], 'Owner does not exist.', 'INVALID');
  return owner;
}

function imageOf(shop: Shop, { kind, id }: Owner): LedgerImage | null {
  const customer = kind === 'Customer' ? shop.customers.get(id) : undefined;
  if (customer !== undefined) return customerImage(shop, customer);
  const variant = kind === 'ProductVariant' ? shop.variants.get(id) : undefined;
  const product = shop.products.get(kind === 'Product' ? id : (variant?.productId ?? null));
  if (product !== undefined) return productImage(shop, product);
  const order = kind === 'Order' ? shop.orders.get(id) : undefined;
  if (order !== undefined) return orderImage(shop, order);
  return kind === 'Shop' && id === shop.facts.id ? {} : null;
}

/** Runs `change`; if it changed something the owner's stamp moves, with ledger and webhook. */
function touching(call: Call, owner: Owner, change: () => boolean): void {
  const { shop, actor } = call;
  const before = imageOf(shop, owner);
  if (!change()) return;
  const now = shop.now();
  const variant = owner.kind === 'ProductVariant' ? shop.variants.get(owner.id) : undefined;
  if (variant !== undefined) shop.variants.put({ ...variant, updatedAt: now }, now);
  const customer = owner.kind === 'Customer' ? shop.customers.get(owner.id) : undefined;
  const product = shop.products.get(owner.kind === 'Product' ? owner.id : (variant?.productId ?? null));
  const order = owner.kind === 'Order' ? shop.orders.get(owner.id) : undefined;
  if (customer !== undefined) shop.customers.put({ ...customer, updatedAt: now }, now);
  if (product !== undefined) shop.products.put({ ...product, updatedAt: now }, now);
  if (order !== undefined) shop.orders.put({ ...order, updatedAt: now }, now);
  const row = customer ?? product ?? order;
  const topics = customer ? ['CUSTOMERS_UPDATE'] : product ? ['PRODUCTS_UPDATE'] : order ? ['ORDERS_UPDATED'] : [];
  const { kind, id } = row ?? { kind: 'Shop' as const, id: shop.facts.id };
  shop.commit(actor, { kind, id, op: 'update', before, after: imageOf(shop, owner), topics });
}

function setMetafields(args: Input, call: Call): Input {
  const list = args['metafields'] as Input[];
  if (list.length > setMax) {
    refuse(
      ['metafields'],
      `Exceeded the maximum metafields input limit of ${String(setMax)}.`,
      'LESS_THAN_OR_EQUAL_TO',
    );
  }
  const values = metafieldsOf(list);
  const wanted = list.map((input, at) => {
    const path = ['metafields', String(at)];
    return { owner: ownerOf(call.shop, input['ownerId'], path), value: values[at] as MetafieldValue, path };
  });
  refuseAll(
    wanted.flatMap(({ owner, value, path }, elementIndex): readonly UserError[] => {
      const wrong = checkMetafield(call.shop, owner.kind, owner.id, value, path);
      return wrong === null ? [] : [{ ...wrong, elementIndex }];
    }),
  );
  const metafields = wanted.map(({ owner, value }) => {
    touching(call, owner, () => putMetafield(call.shop, owner.kind, owner.id, value));
    return call.shop.metafieldOf(owner.kind, owner.id, value.namespace, value.key);
  });
  return { metafields };
}

function deleteMetafields(args: Input, call: Call): Input {
  const deletedMetafields = (args['metafields'] as Input[]).map((input, at) => {
    const owner = ownerOf(call.shop, input['ownerId'], ['metafields', String(at)]);
    const namespace = namespaceOf(String(input['namespace']));
    const row = call.shop.metafieldOf(owner.kind, owner.id, namespace, String(input['key']));
    if (row === undefined) return null;
    touching(call, owner, () => {
      dropMetafield(call.shop, row);
      return true;
    });
    return { key: row.key, namespace: row.namespace, ownerId: input['ownerId'] };
  });
  return { deletedMetafields };
}

function define(args: Input, call: Call): Input {
  const input = args['definition'] as Input;
  const capabilities = input['capabilities'] as { uniqueValues?: { enabled: boolean } | null } | null | undefined;
  const ownerKind = ownerKinds[String(input['ownerType'])];
  if (ownerKind === undefined) refuse(['definition', 'ownerType'], 'Owner type is not supported.', 'INCLUSION');
  const row = defineMetafield(call.shop, call.actor, {
    ownerKind,
    namespace: namespaceOf(input['namespace'] as string | null | undefined),
    key: String(input['key']),
    name: String(input['name']),
    description: normal.text(input['description']),
    type: String(input['type']),
    unique: capabilities?.uniqueValues?.enabled ?? null,
  });
  return { createdDefinition: row };
}

function undefine(args: Input, call: Call): Input {
  const { shop, actor } = call;
  const given = args['identifier'] as Input | undefined;
  const kind = ownerKinds[String(given?.['ownerType'])];
  const byName =
    given === undefined || given === null || kind === undefined
      ? undefined
      : shop.definitionOf(kind, namespaceOf(given['namespace'] as string | undefined), String(given['key']));
  const row = typeof args['id'] === 'string' ? shop.definitions.get(idOf('MetafieldDefinition', args['id'])) : byName;
  if (row === undefined) refuse(['id'], 'Definition not found.', 'NOT_FOUND');
  shop.definitions.delete(row.id, shop.now());
  for (const each of [...shop.metafields.live()]) {
    const same = each.ownerKind === row.ownerKind && each.namespace === row.namespace && each.key === row.key;
    if (same && args['deleteAllAssociatedMetafields'] === true) dropMetafield(shop, each);
  }
  shop.commit(actor, { kind: row.kind, id: row.id, op: 'delete', before: { ...row }, after: null, topics: [] });
  const ownerType = Object.keys(ownerKinds).find((name) => ownerKinds[name] === row.ownerKind);
  const deletedDefinition = { key: row.key, namespace: row.namespace, ownerType };
  return { deletedDefinition, deletedDefinitionId: gid('MetafieldDefinition', row.id) };
}

export const metafieldMutations: Readonly<Record<string, Mutation>> = {
  metafieldsSet: guarded({ metafields: null }, setMetafields),
  metafieldsDelete: guarded({ deletedMetafields: null }, deleteMetafields),
  metafieldDefinitionCreate: guarded({ createdDefinition: null }, define),
  metafieldDefinitionDelete: guarded({ deletedDefinition: null, deletedDefinitionId: null }, undefine),
};
