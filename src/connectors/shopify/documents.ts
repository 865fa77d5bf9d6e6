// Owns every GraphQL document this connector can send, built from the catalogue's constants. Promises that values
// travel as variables only, and that each document tells its estimated cost. test/connectors/shopify-documents.test.ts
// validates all of them against the official schemas.
import { ConfigError } from '../../base/errors.js';
import type { RemotePath } from '../../model/ids.js';
import type { Fields } from '../connector.js';
import type { ChildSpec, HubKeyPlace, Mutation, ObjectSpec, PathSpec } from './objects/spec.js';
import { cost, costBudget, mergeSelections, mutationCost, render, select } from './selection.js';
import type { Selection } from './selection.js';

export interface Document {
  /** Operation name, also its name in logs and fault plans. */
  readonly name: string;
  readonly text: string;
  /** Estimated points. */
  readonly cost: number;
}

const pageInfo: Selection = { pageInfo: { hasNextPage: true, endCursor: true } };
const inventoryPageMax = 250;
const listingPage = 100;

function query(name: string, variables: string, selection: Selection, points = cost(selection)): Document {
  const head = `query ${name}${variables === '' ? '' : `(${variables})`}`;
  return { name, text: `${head} { ${render(selection)} }`, cost: Math.max(1, points) };
}

/** Every path of an object, children included; what a write reads back. */
export function allFields(spec: ObjectSpec): Fields {
  const children = Object.entries(spec.children).map(
    ([name, child]) => [name, child.paths.map((path) => path.path)] as const,
  );
  return {
    paths: spec.paths.map((path) => path.path as RemotePath),
    children: Object.fromEntries(children) as unknown as Fields['children'],
  };
}

function specsOf(paths: readonly PathSpec[], wanted: readonly string[], object: string): readonly PathSpec[] {
  return wanted.map((path) => {
    const spec = paths.find((candidate) => candidate.path === path);
    if (spec !== undefined) return spec;
    throw new ConfigError({
      code: 'unknown_path',
      message: `Shopify's ${object} has no path ${JSON.stringify(path)} in this connector`,
      hint: `known paths: ${paths.map((each) => each.path).join(', ')}`,
    });
  });
}

/** Id, hub id and stamps always; then what was asked for. `childrenFirst` overrides how many children come along. */
export function recordSelection(
  spec: ObjectSpec,
  fields: Fields,
  hubKey: HubKeyPlace,
  childrenFirst?: number,
): Selection {
  const parts: Selection[] = [{ id: true, [hubKeyField(hubKey)]: { value: true } }, ...spec.stamps.map(select)];
  for (const path of specsOf(spec.paths, fields.paths, spec.name)) parts.push(select(path.at));
  for (const [name, paths] of Object.entries(fields.children)) {
    const child = childSpec(spec, name);
    const first = childrenFirst ?? child.first;
    if (first > 0)
      parts.push({
        [`${child.field}(first:${first})`]: { edges: { node: childSelection(spec, child, paths) }, ...pageInfo },
      });
  }
  return mergeSelections(parts);
}

export function childSpec(spec: ObjectSpec, name: string): ChildSpec {
  const child = spec.children[name];
  if (child !== undefined) return child;
  throw new ConfigError({
    code: 'unknown_path',
    message: `Shopify's ${spec.name} has no children named ${JSON.stringify(name)}`,
  });
}

function childSelection(spec: ObjectSpec, child: ChildSpec, paths: readonly string[]): Selection {
  const wanted = specsOf(child.paths, paths, `${spec.name}.${child.field}`).map((path) => select(path.at));
  return mergeSelections([{ id: true, customAttributes: { key: true, value: true } }, ...wanted]);
}

const hubKeyField = (place: HubKeyPlace): string =>
  `hubKey: metafield(namespace:${JSON.stringify(place.namespace)}, key:${JSON.stringify(place.key)})`;

export const shopDocument = (): Document =>
  query('TruespokeShop', '', {
    shop: { id: true, name: true, myshopifyDomain: true, currencyCode: true },
    currentAppInstallation: { accessScopes: { handle: true } },
  });

/** How many records fit one `nodes` call. */
export function fetchBatch(spec: ObjectSpec, fields: Fields, hubKey: HubKeyPlace): number {
  return Math.max(1, Math.min(100, Math.floor(costBudget / (1 + cost(recordSelection(spec, fields, hubKey))))));
}

export function fetchDocument(spec: ObjectSpec, fields: Fields, hubKey: HubKeyPlace, count: number): Document {
  const record = recordSelection(spec, fields, hubKey);
  const selection = { 'nodes(ids:$ids)': { __typename: true, [`... on ${spec.name}`]: record } } as const;
  return query(`TruespokeFetch${spec.name}`, '$ids: [ID!]!', selection, count * (1 + cost(record)));
}

export function moreChildrenDocument(spec: ObjectSpec, name: string, paths: readonly string[]): Document {
  const child = childSpec(spec, name);
  const connection = { edges: { node: childSelection(spec, child, paths) }, ...pageInfo };
  return query(`TruespokeMoreOf${spec.name}`, '$id: ID!, $after: String', {
    'node(id:$id)': { [`... on ${spec.name}`]: { [`${child.field}(first:100, after:$after)`]: connection } },
  });
}

/** Ids and stamps of what changed in a window, cheap enough for every idle poll. */
export function changesDocument(spec: ObjectSpec): Document {
  const sort = spec.order === 'stamp' ? 'UPDATED_AT' : 'ID';
  return query(`TruespokeChanges${spec.name}`, '$query: String, $after: String', {
    [`${spec.collection}(first:${listingPage}, after:$after, query:$query, sortKey:${sort})`]: {
      edges: { node: { id: true, updatedAt: true } },
      ...pageInfo,
    },
  });
}

export function inventoryDocument(spec: ObjectSpec): Document {
  const node = mergeSelections([{ id: true }, ...spec.stamps.map(select)]);
  return query(`TruespokeInventory${spec.name}`, '$after: String', pagedBy(spec, node, inventoryPageMax));
}

/** Pages of whole records, for when no bulk operation can be started. */
export function pageDocument(spec: ObjectSpec, fields: Fields, hubKey: HubKeyPlace): Document {
  const node = recordSelection(spec, fields, hubKey);
  return query(`TruespokePage${spec.name}`, '$after: String', pagedBy(spec, node, 100));
}

function pagedBy(spec: ObjectSpec, node: Selection, most: number): Selection {
  const first = Math.max(1, Math.min(most, Math.floor((costBudget - 2) / (1 + cost(node)))));
  return { [`${spec.collection}(first:${first}, after:$after, sortKey:ID)`]: { edges: { node }, ...pageInfo } };
}

/** The query a bulk operation runs: no variables, no `first`, no page info. */
export function bulkQuery(spec: ObjectSpec, fields: Fields, hubKey: HubKeyPlace): string {
  const node = withoutPaging(recordSelection(spec, fields, hubKey));
  // A connection of nodes without an id cannot say whose they are: every level carries one.
  return `{ ${spec.collection} { edges { node { ${render(node)} } } } }`;
}

function withoutPaging(selection: Selection): Selection {
  const kept: Record<string, true | Selection> = {};
  for (const [field, below] of Object.entries(selection)) {
    if (field === 'pageInfo') continue;
    const name = field.replace(/\(first:\d+\)$/, '');
    const inner = below === true ? true : withoutPaging(below);
    kept[name] = name !== field && inner !== true ? { edges: { node: { id: true, ...nodeOf(inner) } } } : inner;
  }
  return kept;
}

function nodeOf(connection: Selection): Selection {
  const edges = connection['edges'];
  const node = edges === undefined || edges === true ? undefined : edges['node'];
  return node === undefined || node === true ? {} : node;
}

const operation: Selection = {
  id: true,
  status: true,
  errorCode: true,
  url: true,
  objectCount: true,
  rootObjectCount: true,
};

export const bulkRunDocument = (): Document => ({
  name: 'TruespokeBulkRun',
  text: `mutation TruespokeBulkRun($query: String!, $group: Boolean!) { bulkOperationRunQuery(query:$query, groupObjects:$group) { bulkOperation { ${render(operation)} } userErrors { field message code } } }`,
  cost: mutationCost + 1,
});

export const bulkStatusDocument = (): Document =>
  query('TruespokeBulkStatus', '$id: ID!', { 'bulkOperation(id:$id)': operation });

export const bulkCancelDocument = (): Document => ({
  name: 'TruespokeBulkCancel',
  text: 'mutation TruespokeBulkCancel($id: ID!) { bulkOperationCancel(id:$id) { bulkOperation { id status } userErrors { field message } } }',
  cost: mutationCost + 1,
});

/** How many look-ups fit one call. */
export const findBatch = (spec: ObjectSpec, fields: Fields, hubKey: HubKeyPlace, each: number): number =>
  Math.max(1, Math.min(50, Math.floor(costBudget / (each * (1 + cost(recordSelection(spec, fields, hubKey))) + 2))));

/** `count` exact look-ups, aliased f0…; each takes `$k<n>`. */
export function identifyDocument(spec: ObjectSpec, fields: Fields, hubKey: HubKeyPlace, count: number): Document {
  const by = spec.byIdentifier;
  if (by === null) throw new ConfigError({ code: 'no_identifier', message: `Shopify finds no ${spec.name} by hub id` });
  const record = recordSelection(spec, fields, hubKey);
  const parts = range(count).map((n) => [`f${n}: ${by.field}(identifier:$k${n})`, record] as const);
  return query(
    `TruespokeIdentify${spec.name}`,
    range(count)
      .map((n) => `$k${n}: ${by.input}`)
      .join(', '),
    Object.fromEntries(parts),
  );
}

/** Matches per searched key; more than one is already ambiguous. */
export const searchFirst = 5;

/** `count` searches, aliased f0…; each takes `$k<n>` in search syntax. */
export function searchDocument(spec: ObjectSpec, fields: Fields, hubKey: HubKeyPlace, count: number): Document {
  const edges = { edges: { node: recordSelection(spec, fields, hubKey) } };
  const parts = range(count).map(
    (n) => [`f${n}: ${spec.collection}(first:${searchFirst}, query:$k${n})`, edges] as const,
  );
  return query(
    `TruespokeSearch${spec.name}`,
    range(count)
      .map((n) => `$k${n}: String`)
      .join(', '),
    Object.fromEntries(parts),
  );
}

export const firstVariantsDocument = (count: number): Document =>
  query(
    'TruespokeFirstVariants',
    '$ids: [ID!]!',
    {
      'nodes(ids:$ids)': { '... on Product': { id: true, 'variants(first:1)': { edges: { node: { id: true } } } } },
    },
    count * 5,
  );

/** Points of one mutation with its record read back. */
export function mutationPoints(spec: ObjectSpec, mutation: Mutation, hubKey: HubKeyPlace): number {
  return mutationCost + (mutation.returns === 'record' ? cost(readBack(spec, mutation, hubKey), true) : 0);
}

function readBack(spec: ObjectSpec, mutation: Mutation, hubKey: HubKeyPlace): Selection {
  return recordSelection(spec, allFields(spec), hubKey, mutation.children);
}

/** Several mutations in one request, aliased; variables `$<alias>_<argument>`. They run in order. */
export function mutationsDocument(
  spec: ObjectSpec,
  mutations: readonly { readonly alias: string; readonly mutation: Mutation }[],
  hubKey: HubKeyPlace,
): { readonly document: Document; readonly variables: Readonly<Record<string, unknown>> } {
  const declared: string[] = [];
  const bodies: string[] = [];
  const variables: Record<string, unknown> = {};
  let points = 0;
  for (const { alias, mutation } of mutations) {
    for (const arg of mutation.args) {
      declared.push(`$${alias}_${arg.name}: ${arg.type}`);
      variables[`${alias}_${arg.name}`] = arg.value;
    }
    const args = mutation.args.map((arg) => `${arg.name}:$${alias}_${arg.name}`).join(', ');
    const record = mutation.returns === 'record' ? ` { ${render(readBack(spec, mutation, hubKey))} }` : '';
    const errors = `userErrors { field message${mutation.coded ? ' code' : ''} }`;
    bodies.push(`${alias}: ${mutation.field}(${args}) { ${mutation.payload}${record} ${errors} }`);
    points += mutationPoints(spec, mutation, hubKey);
  }
  const name = `TruespokeWrite${spec.name}`;
  const text = `mutation ${name}(${declared.join(', ')}) { ${bodies.join(' ')} }`;
  return { document: { name, text, cost: points }, variables };
}

export const definitionDocument = (): Document =>
  query('TruespokeDefinition', '$owner: MetafieldOwnerType!, $namespace: String, $key: String', {
    'metafieldDefinitions(first:1, ownerType:$owner, namespace:$namespace, key:$key)': {
      edges: { node: { id: true, type: { name: true }, capabilities: { uniqueValues: { enabled: true } } } },
    },
  });

export const defineDocument = (): Document => ({
  name: 'TruespokeDefine',
  text: 'mutation TruespokeDefine($definition: MetafieldDefinitionInput!) { metafieldDefinitionCreate(definition:$definition) { createdDefinition { id } userErrors { field message code } } }',
  cost: mutationCost + 1,
});

export const subscriptionsDocument = (): Document =>
  query('TruespokeSubscriptions', '$after: String', {
    'webhookSubscriptions(first:100, after:$after)': {
      edges: { node: { id: true, topic: true, uri: true } },
      ...pageInfo,
    },
  });

export const subscribeDocument = (): Document => ({
  name: 'TruespokeSubscribe',
  text: 'mutation TruespokeSubscribe($topic: WebhookSubscriptionTopic!, $subscription: WebhookSubscriptionInput!) { webhookSubscriptionCreate(topic:$topic, webhookSubscription:$subscription) { webhookSubscription { id } userErrors { field message } } }',
  cost: mutationCost + 1,
});

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, n) => n);
