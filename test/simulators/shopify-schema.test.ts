// The simulator's schema against the official ones, in every version we serve. Without ../shared/schemas beside the checkout
// the comparison is skipped, and says so.
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import {
  buildClientSchema,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
  isUnionType,
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
  type IntrospectionQuery,
} from 'graphql';
import { describe, expect, test } from 'vitest';
import { adminSchema } from '../../src/simulators/shopify/schema/schema.js';
import { servedVersions } from '../../src/simulators/shopify/server.js';

const folder = new URL('../../../shared/schemas/shopify/', import.meta.url);

function official(version: string): GraphQLSchema {
  const text = gunzipSync(readFileSync(new URL(`admin_${version}.json.gz`, folder))).toString('utf8');
  const json = JSON.parse(text) as { data?: IntrospectionQuery } & IntrospectionQuery;
  return buildClientSchema(json.data ?? json);
}

/** Everything in `ours` that `theirs` does not have in just this form. */
function differences(ours: GraphQLSchema, theirs: GraphQLSchema): readonly string[] {
  return Object.values(ours.getTypeMap())
    .filter((type) => !type.name.startsWith('__'))
    .flatMap((type) => {
      const other = theirs.getType(type.name);
      if (other === undefined) return [`${type.name}: no such type`];
      if (other.constructor.name !== type.constructor.name) return [`${type.name}: another kind of type`];
      return typeDifferences(type, other).map((each) => `${type.name}${each}`);
    });
}

function typeDifferences(ours: GraphQLNamedType, theirs: GraphQLNamedType): readonly string[] {
  if (isEnumType(ours) && isEnumType(theirs)) {
    return ours
      .getValues()
      .filter((each) => !theirs.getValue(each.name))
      .map((each) => `: no value ${each.name}`);
  }
  if (isUnionType(ours) && isUnionType(theirs)) {
    const names = theirs.getTypes().map((each) => each.name);
    return ours
      .getTypes()
      .filter((each) => !names.includes(each.name))
      .map((each) => `: no member ${each.name}`);
  }
  if (isInputObjectType(ours) && isInputObjectType(theirs)) {
    const oneOf = ours.isOneOf === theirs.isOneOf ? [] : [': @oneOf differs'];
    const missing = Object.values(theirs.getFields()).filter(
      (each) => isRequiredInputField(each) && !ours.getFields()[each.name],
    );
    const fields = Object.values(ours.getFields()).flatMap((each) => {
      const other = theirs.getFields()[each.name];
      return other === undefined
        ? [`.${each.name}: no such field`]
        : argumentDifferences(each as GraphQLArgument, other as GraphQLArgument);
    });
    return [...oneOf, ...fields, ...missing.map((each) => `.${each.name}: required, but not ours`)];
  }
  if ((isObjectType(ours) && isObjectType(theirs)) || (isInterfaceType(ours) && isInterfaceType(theirs))) {
    const interfaces = theirs.getInterfaces().map((each) => each.name);
    const foreign = ours.getInterfaces().filter((each) => !interfaces.includes(each.name));
    const fields = Object.values(ours.getFields()).flatMap((each) => {
      const other = theirs.getFields()[each.name];
      return other === undefined ? [`.${each.name}: no such field`] : fieldDifferences(each, other);
    });
    return [...foreign.map((each) => `: does not implement ${each.name}`), ...fields];
  }
  return [];
}

function fieldDifferences(
  ours: GraphQLField<unknown, unknown>,
  theirs: GraphQLField<unknown, unknown>,
): readonly string[] {
  const type =
    String(ours.type) === String(theirs.type)
      ? []
      : [`.${ours.name}: ${String(theirs.type)}, not ${String(ours.type)}`];
  const given = ours.args.flatMap((each) => {
    const other = theirs.args.find((one) => one.name === each.name);
    if (other === undefined) return [`.${ours.name}(${each.name}): no such argument`];
    return argumentDifferences(each, other).map((text) => `.${ours.name}(${text})`);
  });
  const missing = theirs.args.filter(
    (each) => isRequiredArgument(each) && !ours.args.some((one) => one.name === each.name),
  );
  return [...type, ...given, ...missing.map((each) => `.${ours.name}(${each.name}): required, but not ours`)];
}

function argumentDifferences(ours: GraphQLArgument, theirs: GraphQLArgument): readonly string[] {
  const type =
    String(ours.type) === String(theirs.type) ? [] : [`${ours.name}: ${String(theirs.type)}, not ${String(ours.type)}`];
  const same = JSON.stringify(ours.defaultValue) === JSON.stringify(theirs.defaultValue);
  return same
    ? type
    : [
        ...type,
        `${ours.name}: default ${JSON.stringify(theirs.defaultValue)}, not ${JSON.stringify(ours.defaultValue)}`,
      ];
}

describe.skipIf(!existsSync(folder))('the simulated Admin schema is a true subset of the official one', () => {
  test.each(servedVersions)('in version %s', (version) => {
    expect(differences(adminSchema(), official(version))).toEqual([]);
  });

  test('and the comparison notices what is wrong', () => {
    const theirs = official('2026-10');
    const wrong = adminSchema();
    const customer = wrong.getType('Customer');
    if (!isObjectType(customer)) throw new Error('no Customer');
    const fields = customer.getFields();
    const email = fields['email'];
    if (email === undefined) throw new Error('no email');
    fields['fax'] = { ...email, name: 'fax' };
    const id = fields['id'];
    if (id !== undefined) email.type = id.type;
    expect(differences(wrong, theirs)).toEqual(['Customer.email: String, not ID!', 'Customer.fax: no such field']);
  });
});

test.skipIf(existsSync(folder))('official schemas are not beside this checkout: the comparison was skipped', () => {
  expect(servedVersions.length).toBeGreaterThan(0);
});
