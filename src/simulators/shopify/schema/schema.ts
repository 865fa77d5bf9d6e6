// Owns the executable schema: the written types joined with their resolvers. A root field without resolver, or the other way
// round, stops the start; elsewhere a field without resolver is read from the row by name.
import {
  assertValidSchema,
  buildSchema,
  getNamedType,
  type GraphQLFieldResolver,
  type GraphQLObjectType,
  type GraphQLScalarType,
  isAbstractType,
  isEnumType,
  isObjectType,
  isScalarType,
  Kind,
  type GraphQLSchema,
} from 'graphql';
import { assert } from '../../../base/assert.js';
import { requireScope } from '../access.js';
import type { Call } from '../call.js';
import { objectResolvers } from '../objects.js';
import { queryResolvers } from '../reads.js';
import { mutationResolvers } from '../writes.js';
import { inputTypes } from './inputs.js';
import { mutationTypes } from './mutations.js';
import { objectTypes } from './objects.js';
import { valueTypes } from './values.js';

const roots = `
schema { query: QueryRoot mutation: Mutation }
directive @idempotent(key: String!) on FIELD
`;

export const typeDefinitions = [roots, valueTypes, objectTypes, mutationTypes, inputTypes].join('\n');

let shared: GraphQLSchema | null = null;

/** One schema for all simulators of a process: resolvers keep no state, everything comes with the call. */
export function sharedSchema(): GraphQLSchema {
  shared ??= adminSchema();
  return shared;
}

export function adminSchema(): GraphQLSchema {
  const schema = buildSchema(typeDefinitions);
  attach(schema, 'QueryRoot', scoped('query', queryResolvers), true);
  attach(schema, 'Mutation', scoped('mutation', mutationResolvers), true);
  for (const [name, fields] of Object.entries(objectResolvers)) attach(schema, name, fields, false);
  for (const type of Object.values(schema.getTypeMap())) {
    if (isAbstractType(type)) type.resolveType = (value: { kind?: string }) => value.kind ?? 'WebhookHttpEndpoint';
    if (isScalarType(type)) loosen(type);
    if (isObjectType(type) && type.name.endsWith('UserError')) translateCodes(type);
  }
  assertValidSchema(schema);
  return schema;
}

type Resolvers = Readonly<Record<string, GraphQLFieldResolver<unknown, Call, Readonly<Record<string, unknown>>>>>;

/** Each root field asks for its access scope first. */
function scoped(operation: 'query' | 'mutation', fields: Resolvers): Resolvers {
  const guard = (name: string, resolve: Resolvers[string]): Resolvers[string] => {
    return (source, args, call, info) => {
      requireScope(call, operation, name);
      return resolve(source, args, call, info) as unknown;
    };
  };
  return Object.fromEntries(Object.entries(fields).map(([name, resolve]) => [name, guard(name, resolve)]));
}

/** `exact`: root fields match one to one. Elsewhere shared groups of fields (stamps, metafields) hold more than each type has. */
function attach(schema: GraphQLSchema, name: string, fields: Readonly<Record<string, unknown>>, exact: boolean): void {
  const type = schema.getType(name);
  assert(isObjectType(type), `no object type ${name} in the schema`);
  const known = type.getFields();
  const missing = exact ? Object.keys(known).filter((field) => !Object.hasOwn(fields, field)) : [];
  assert(missing.length === 0, `${name} has no resolver for ${missing.join(', ')}`);
  for (const [field, resolve] of Object.entries(fields)) {
    const definition = known[field];
    assert(definition !== undefined || !exact, `${name} has no field ${field}`);
    if (definition !== undefined) definition.resolve = resolve as NonNullable<typeof definition.resolve>;
  }
}

const nearCodes: Readonly<Record<string, readonly string[]>> = {
  TAKEN: ['CAPABILITY_VIOLATION'],
  GREATER_THAN_OR_EQUAL_TO: ['NEGATIVE_PRICE_VALUE', 'INVALID_VARIANT'],
};

/** The write rules know one code for each refusal; each mutation has its own enum, so the nearest code of it is told. */
function translateCodes(type: GraphQLObjectType): void {
  const field = type.getFields()['code'];
  const codes = field === undefined ? null : getNamedType(field.type);
  if (field === undefined || !isEnumType(codes)) return;
  const known = new Set(codes.getValues().map((value) => value.name));
  field.resolve = (row: { readonly code: string | null }) => {
    if (row.code === null || known.has(row.code)) return row.code;
    const near = [...(nearCodes[row.code] ?? []), 'INVALID_INPUT', 'INVALID', 'GENERIC_ERROR'];
    return near.find((code) => known.has(code)) ?? null;
  };
}

/** Scalars that are text on the wire but are often sent as numbers. */
function loosen(type: GraphQLScalarType): void {
  if (!['Money', 'Decimal', 'UnsignedInt64'].includes(type.name)) return;
  const digits = type.name === 'UnsignedInt64' ? /^\d+$/ : /^[+-]?(\d+(\.\d*)?|\.\d+)$/;
  const parse = (value: unknown): string => {
    const text = typeof value === 'number' || typeof value === 'string' ? String(value) : '';
    if (!digits.test(text)) throw new TypeError(`invalid ${type.name} '${String(value)}'`);
    return text;
  };
  type.parseValue = parse;
  type.parseLiteral = (node) =>
    parse(node.kind === Kind.INT || node.kind === Kind.FLOAT || node.kind === Kind.STRING ? node.value : null);
}
