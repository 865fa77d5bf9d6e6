// Every document the connector can send, against the official schemas of every version it may be pinned to.
import { parse, validate } from 'graphql';
import { describe, expect, test } from 'vitest';
import * as documents from '../../src/connectors/shopify/documents.js';
import type { Document } from '../../src/connectors/shopify/documents.js';
import { catalogue } from '../../src/connectors/shopify/objects/catalogue.js';
import type { ObjectSpec, PlanContext, Planned } from '../../src/connectors/shopify/objects/spec.js';
import { costMax } from '../../src/connectors/shopify/selection.js';
import { externalId, hubId, objectName, remotePath } from '../../src/model/ids.js';
import { officialSchemas } from './shopify-support.js';

const schemas = officialSchemas();
const hubKey = { namespace: 'truespoke', key: 'hub_id' };
const context: PlanContext = {
  hubKey,
  variantOf: new Map([['gid://shopify/Product/1', 'gid://shopify/ProductVariant/1']]),
  currency: 'EUR',
};

const sample = (type: string, values: readonly string[] | undefined): unknown => {
  if (values !== undefined) return values[0];
  const samples: Record<string, unknown> = {
    text: 'x',
    number: 1,
    boolean: true,
    list: ['a'],
    timestamp: '2026-01-01T00:00:00Z',
    id: 'gid://shopify/Product/1',
  };
  return samples[type];
};

function plans(spec: ObjectSpec): readonly Planned[] {
  const writer = spec.writer;
  if (writer === null) return [];
  const fieldsFor = (op: 'create' | 'update'): Record<string, never> =>
    Object.fromEntries(
      spec.paths.filter((path) => path[op] !== undefined).map((path) => [path.path, sample(path.type, path.values)]),
    ) as Record<string, never>;
  const lines = Object.fromEntries(
    Object.entries(spec.children).map(([name, child]) => [
      name,
      [
        {
          hubId: hubId('l1'),
          externalId: null,
          fields: Object.fromEntries(
            child.paths
              .filter((path) => path.create !== undefined)
              .map((path) => [remotePath(path.path), sample(path.type, path.values)]),
          ),
        },
      ],
    ]),
  ) as never;
  const base = { object: objectName(spec.name), hubId: hubId('h1') };
  const external = { ...base, externalId: externalId(`gid://shopify/${spec.gid}/1`) };
  return [
    writer.create({ ...base, op: 'create', fields: fieldsFor('create'), children: lines }, context),
    writer.update({ ...external, op: 'update', fields: fieldsFor('update'), children: {}, expect: null }, context),
    writer.remove({ ...external, op: 'delete' }),
  ];
}

function everyDocument(): readonly Document[] {
  const all: Document[] = [
    documents.shopDocument(),
    documents.bulkRunDocument(),
    documents.bulkStatusDocument(),
    documents.bulkCancelDocument(),
    documents.definitionDocument(),
    documents.defineDocument(),
    documents.subscriptionsDocument(),
    documents.subscribeDocument(),
    documents.firstVariantsDocument(10),
  ];
  for (const spec of catalogue.values()) {
    const fields = documents.allFields(spec);
    all.push(documents.fetchDocument(spec, fields, hubKey, documents.fetchBatch(spec, fields, hubKey)));
    all.push(
      documents.changesDocument(spec),
      documents.inventoryDocument(spec),
      documents.pageDocument(spec, fields, hubKey),
    );
    all.push(
      documents.searchDocument(spec, fields, hubKey, documents.findBatch(spec, fields, hubKey, documents.searchFirst)),
    );
    if (spec.byIdentifier !== null)
      all.push(documents.identifyDocument(spec, fields, hubKey, documents.findBatch(spec, fields, hubKey, 1)));
    for (const [name, child] of Object.entries(spec.children)) {
      all.push(
        documents.moreChildrenDocument(
          spec,
          name,
          child.paths.map((path) => path.path),
        ),
      );
    }
    for (const plan of plans(spec)) {
      if (!plan.ok) continue;
      const aliased = plan.mutations.map((mutation, m) => ({ alias: `w0_${m}`, mutation }));
      all.push(documents.mutationsDocument(spec, aliased, hubKey).document);
    }
  }
  return all;
}

describe.skipIf(schemas === null)('official schemas (skipped when ../shared/schemas is absent)', () => {
  test.each([...(schemas ?? new Map()).keys()] as string[])('every document is valid in %s', (version) => {
    const schema = schemas?.get(version);
    if (schema === undefined) throw new Error(`no schema for ${version}`);
    const problems: string[] = [];
    for (const document of everyDocument()) {
      for (const error of validate(schema, parse(document.text))) problems.push(`${document.name}: ${error.message}`);
    }
    for (const spec of catalogue.values()) {
      const text = documents.bulkQuery(spec, documents.allFields(spec), hubKey);
      for (const error of validate(schema, parse(text))) problems.push(`bulk ${spec.name}: ${error.message}`);
    }
    expect(problems).toEqual([]);
  });
});

test('every document stays under the cost a single query may have', () => {
  const dear = everyDocument().filter((document) => document.cost > costMax);
  expect(dear.map((document) => `${document.name} ${document.cost}`)).toEqual([]);
});

test('F128 a path that is not in the catalogue never reaches a document', () => {
  for (const spec of catalogue.values()) {
    const paths = [remotePath('id } } } mutation { customerDelete')];
    expect(() => documents.fetchDocument(spec, { paths, children: {} }, hubKey, 1)).toThrow(/has no path/);
    expect(() => documents.fetchDocument(spec, { paths: [], children: { ['x { id }']: [] } }, hubKey, 1)).toThrow(
      /no children/,
    );
  }
});

test('F128 values stand in variables, never in a document', () => {
  const spec = [...catalogue.values()][0];
  const plan = spec?.writer?.create(
    {
      op: 'create',
      object: objectName('x'),
      hubId: hubId('h"} evil'),
      fields: { email: 'a"} evil { b' } as never,
      children: {},
    },
    context,
  );
  if (spec === undefined || plan?.ok !== true) throw new Error('no plan');
  const { document, variables } = documents.mutationsDocument(
    spec,
    plan.mutations.map((mutation) => ({ alias: 'w0_0', mutation })),
    hubKey,
  );
  expect(document.text).not.toContain('evil');
  expect(JSON.stringify(variables)).toContain('evil');
});
