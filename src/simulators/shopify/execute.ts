// Owns one GraphQL request: parse, validate, price, throttle, run, and the answer in the shape of the real API. Errors of
// every kind come with HTTP 200. Never touches sockets.
import {
  execute as run,
  getOperationAST,
  GraphQLError,
  Kind,
  parse,
  validate,
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import type { Bucket, ThrottleStatus } from './bucket.js';
import type { Call } from './call.js';
import { actualCost, queryCostMax, requestedCost, type CostInput } from './cost.js';

export interface GraphqlBody {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly operationName: string | null;
}

export interface Prepared {
  readonly document: DocumentNode;
  readonly operation: OperationDefinitionNode;
  readonly fragments: Readonly<Record<string, FragmentDefinitionNode>>;
}

/** A document that cannot run, as the API tells it. */
export interface Unusable {
  readonly errors: readonly unknown[];
}

const rememberedMax = 500;
/** Most elements of any list in the variables. */
const listMax = 250;

/** Parses and validates; remembers documents, as clients send the same ones again and again. */
export class Documents {
  private readonly known = new Map<string, DocumentNode | Unusable>();

  constructor(readonly schema: GraphQLSchema) {}

  prepare(query: string, operationName: string | null): Prepared | Unusable {
    const document = this.read(query);
    if ('errors' in document) return document;
    const operation = getOperationAST(document, operationName ?? undefined);
    if (!operation) return { errors: [{ message: 'An operation name is required' }] };
    const fragments: Record<string, FragmentDefinitionNode> = {};
    for (const each of document.definitions) {
      if (each.kind === Kind.FRAGMENT_DEFINITION) fragments[each.name.value] = each;
    }
    return { document, operation, fragments };
  }

  private read(query: string): DocumentNode | Unusable {
    const known = this.known.get(query);
    if (known !== undefined) return known;
    const read = check(this.schema, query);
    if (this.known.size >= rememberedMax) this.known.delete(this.known.keys().next().value ?? '');
    this.known.set(query, read);
    return read;
  }
}

function check(schema: GraphQLSchema, query: string): DocumentNode | Unusable {
  try {
    const document = parse(query);
    const errors = validate(schema, document);
    return errors.length === 0 ? document : { errors: errors.map(withCode) };
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    return { errors: [error.toJSON()] };
  }
}

/** The codes by which the real API tells validation errors apart. */
function withCode(error: GraphQLError): unknown {
  const [, field, type] = /^Cannot query field "(\w+)" on type "(\w+)"/.exec(error.message) ?? [];
  if (field !== undefined && type !== undefined) {
    const message = `Field '${field}' doesn't exist on type '${type}'`;
    return { ...error.toJSON(), message, extensions: { code: 'undefinedField', typeName: type, fieldName: field } };
  }
  return { ...error.toJSON(), extensions: { code: 'argumentLiteralsIncompatible' } };
}

export interface Answer {
  readonly body: Readonly<Record<string, unknown>>;
}

export async function execute(
  documents: Documents,
  bucket: Bucket,
  prepared: Prepared,
  body: GraphqlBody,
  call: Call,
): Promise<Answer> {
  const { schema } = documents;
  const input: CostInput = { ...prepared, schema, variables: body.variables };
  const size = longestList(body.variables);
  if (size > listMax) return { body: tooMany(size) };
  const requested = requestedCost(input);
  if (requested > queryCostMax) return { body: tooExpensive(requested) };
  if (!bucket.take(requested)) return { body: throttled(requested, bucket.status()) };
  const { document, operation } = prepared;
  const result = await run({
    schema,
    document,
    contextValue: call,
    variableValues: body.variables,
    operationName: operation.name?.value,
  });
  const ran = result.data !== undefined;
  const actual = ran ? Math.min(requested, actualCost(input, result.data)) : 0;
  bucket.giveBack(requested - actual);
  const errors = result.errors?.map((error) => error.toJSON());
  const cost = { requestedQueryCost: requested, actualQueryCost: actual, throttleStatus: bucket.status() };
  const search = call.notices.length === 0 ? {} : { search: call.notices };
  return {
    body: { ...(ran ? { data: result.data } : {}), ...(errors ? { errors } : {}), extensions: { cost, ...search } },
  };
}

/** The longest list anywhere in the variables. */
function longestList(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const own = Array.isArray(value) ? value.length : 0;
  return Object.values(value).reduce<number>((longest, each) => Math.max(longest, longestList(each)), own);
}

function tooMany(size: number): Readonly<Record<string, unknown>> {
  const message = `The input array size of ${String(size)} is greater than the maximum allowed of ${String(listMax)}.`;
  return { errors: [{ message, extensions: { code: 'MAX_INPUT_SIZE_EXCEEDED' } }] };
}

const limitsPage = 'https://shopify.dev/api/usage/rate-limits';

export function throttled(requested: number, status: ThrottleStatus): Readonly<Record<string, unknown>> {
  return {
    errors: [{ message: 'Throttled', extensions: { code: 'THROTTLED', documentation: limitsPage } }],
    extensions: { cost: { requestedQueryCost: requested, actualQueryCost: null, throttleStatus: status } },
  };
}

/** The answer of a fault that throttles: the bucket looks empty, whatever is in it. */
export function throttledByFault(
  documents: Documents,
  bucket: Bucket,
  prepared: Prepared | Unusable,
  body: GraphqlBody | null,
): Readonly<Record<string, unknown>> {
  const input = { schema: documents.schema, variables: body?.variables ?? {} };
  const requested = 'errors' in prepared ? 0 : requestedCost({ ...prepared, ...input });
  return throttled(requested, { ...bucket.status(), currentlyAvailable: 0 });
}

function tooExpensive(cost: number): Readonly<Record<string, unknown>> {
  const max = String(queryCostMax);
  const message =
    `Query cost is ${String(cost)}, which exceeds the single query max cost limit (${max}).\n\n` +
    'See https://shopify.dev/concepts/about-apis/rate-limits for more information on how the\n' +
    'cost of a query is calculated.\n\nTo query larger amounts of data with fewer limits, bulk operations should be used ' +
    'instead.\nSee https://shopify.dev/api/usage/bulk-operations/queries for usage details.\n';
  const extensions = { code: 'MAX_COST_EXCEEDED', cost, maxCost: queryCostMax, documentation: limitsPage };
  return { errors: [{ message, extensions }] };
}

/** Names under which faults and statistics know a request: `mutation customerSet`, and the operation's own name. */
export function callNames({ operation }: Prepared): readonly string[] {
  const roots = new Set<string>();
  for (const each of operation.selectionSet.selections) if (each.kind === Kind.FIELD) roots.add(each.name.value);
  const named = [...roots].map((root) => `${operation.operation} ${root}`);
  return operation.name === undefined ? named : [...named, operation.name.value];
}
