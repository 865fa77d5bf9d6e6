// Owns the price of a query, counted the documented way: a scalar 0, an object 1, a connection 2 plus `first` times its node,
// a mutation 10. The requested cost comes from the document, the actual cost from what was found. Pure.
// The live API prices large pages lower than this documentation; who fits in here fits in there.
import {
  getNamedType,
  getNullableType,
  isAbstractType,
  isInterfaceType,
  isLeafType,
  isListType,
  isObjectType,
  Kind,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';

export const queryCostMax = 1000;
const mutationCost = 10;
const connectionCost = 2;

export interface CostInput {
  readonly schema: GraphQLSchema;
  readonly operation: OperationDefinitionNode;
  readonly fragments: Readonly<Record<string, FragmentDefinitionNode>>;
  readonly variables: Readonly<Record<string, unknown>>;
}

/** What the query may cost at most. */
export function requestedCost(input: CostInput): number {
  return rootCost(input, undefined);
}

/** What it did cost, from the `data` of the answer. Never above the requested cost. */
export function actualCost(input: CostInput, data: unknown): number {
  return rootCost(input, data ?? null);
}

/** `undefined`: not known yet, count the worst case. `null`: nothing was found there. */
type Found = unknown;

function rootCost(input: CostInput, data: Found): number {
  const { schema, operation } = input;
  const root = operation.operation === 'mutation' ? schema.getMutationType() : schema.getQueryType();
  if (!root) return 0;
  const free = operation.operation === 'mutation';
  let cost = 0;
  for (const field of fieldsOf(input, operation.selectionSet, root)) {
    cost += (free ? mutationCost : 0) + fieldCost(input, field, root, below(data, field), free);
  }
  return cost;
}

/** `free`: objects directly under a mutation are in its price already. */
function setCost(
  input: CostInput,
  set: SelectionSetNode,
  type: GraphQLCompositeType,
  data: Found,
  free: boolean,
): number {
  if (isAbstractType(type)) {
    const possible = input.schema.getPossibleTypes(type);
    return Math.max(0, ...possible.map((each) => setCost(input, set, each, data, free)));
  }
  let cost = 0;
  for (const field of fieldsOf(input, set, type)) cost += fieldCost(input, field, type, below(data, field), free);
  return cost;
}

function fieldCost(input: CostInput, field: FieldNode, parent: GraphQLObjectType, data: Found, free: boolean): number {
  const type = parent.getFields()[field.name.value]?.type;
  if (type === undefined || field.selectionSet === undefined || data === null) return 0;
  const named = getNamedType(type);
  if (isLeafType(named)) return 0;
  const composite = named as GraphQLCompositeType;
  const own = free ? 0 : 1;
  if (isObjectType(named) && named.name.endsWith('Connection')) return pageCost(input, field, named, data);
  if (named.name === 'PageInfo') return 0;
  if (!isList(type)) return own + setCost(input, field.selectionSet, composite, data, free);
  if (Array.isArray(data)) {
    const set = field.selectionSet;
    return data.reduce<number>(
      (sum, each) => sum + (each === null ? 0 : own + setCost(input, set, composite, each, free)),
      0,
    );
  }
  const ids = valueOf(input, field, 'ids');
  const size = Array.isArray(ids) ? ids.length : 1;
  return size * (own + setCost(input, field.selectionSet, composite, undefined, free));
}

function pageCost(input: CostInput, field: FieldNode, type: GraphQLObjectType, data: Found): number {
  if (field.selectionSet === undefined) return 0;
  const size = Number(valueOf(input, field, 'first') ?? valueOf(input, field, 'last') ?? 0);
  let cost = connectionCost;
  for (const inner of fieldsOf(input, field.selectionSet, type)) {
    const found = below(data, inner);
    if (inner.name.value === 'nodes') cost += listCost(input, inner, type, found, size);
    if (inner.name.value !== 'edges' || inner.selectionSet === undefined) continue;
    const edge = getNamedType(type.getFields()['edges']?.type as GraphQLOutputType) as GraphQLObjectType;
    for (const node of fieldsOf(input, inner.selectionSet, edge)) {
      if (node.name.value !== 'node') continue;
      const nodes = Array.isArray(found) ? found.map((each) => below(each, node)) : undefined;
      cost += listCost(input, node, edge, nodes, size);
    }
  }
  return cost;
}

function listCost(input: CostInput, field: FieldNode, parent: GraphQLObjectType, found: Found, size: number): number {
  const named = getNamedType(parent.getFields()[field.name.value]?.type as GraphQLOutputType) as GraphQLCompositeType;
  const set = field.selectionSet;
  if (set === undefined) return 0;
  if (!Array.isArray(found)) return size * (1 + setCost(input, set, named, undefined, false));
  return found.reduce<number>((sum, each) => sum + 1 + setCost(input, set, named, each, false), 0);
}

function isList(type: GraphQLOutputType): boolean {
  return isListType(getNullableType(type));
}

function below(data: Found, field: FieldNode): Found {
  if (data === undefined || data === null) return data;
  return (data as Record<string, unknown>)[field.alias?.value ?? field.name.value] ?? null;
}

/** Fields that apply to an object type, fragments opened. */
function fieldsOf(input: CostInput, set: SelectionSetNode, type: GraphQLObjectType): readonly FieldNode[] {
  return set.selections.flatMap((selection): readonly FieldNode[] => {
    if (selection.kind === Kind.FIELD) return [selection];
    const fragment = selection.kind === Kind.FRAGMENT_SPREAD ? input.fragments[selection.name.value] : selection;
    if (fragment === undefined) return [];
    const wanted = fragment.typeCondition?.name.value;
    const applies = wanted === undefined || wanted === type.name || isOf(input.schema, type, wanted);
    return applies ? fieldsOf(input, fragment.selectionSet, type) : [];
  });
}

function isOf(schema: GraphQLSchema, type: GraphQLObjectType, name: string): boolean {
  const wanted = schema.getType(name);
  if (isInterfaceType(wanted)) return type.getInterfaces().includes(wanted);
  return false;
}

function valueOf(input: CostInput, field: FieldNode, argument: string): unknown {
  const node = field.arguments?.find((each) => each.name.value === argument)?.value;
  return node === undefined ? undefined : read(input, node);
}

function read(input: CostInput, node: ValueNode): unknown {
  if (node.kind === Kind.VARIABLE) return input.variables[node.name.value] ?? defaultOf(input, node.name.value);
  if (node.kind === Kind.INT) return Number(node.value);
  if (node.kind === Kind.LIST) return node.values.map((each) => read(input, each));
  return undefined;
}

function defaultOf(input: CostInput, name: string): unknown {
  const found = input.operation.variableDefinitions?.find((each) => each.variable.name.value === name);
  return found?.defaultValue === undefined ? undefined : read(input, found.defaultValue);
}
