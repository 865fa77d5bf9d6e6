// Owns bulk operations: a query run over everything and written as JSON lines, nested connections as lines of their own with
// `__parentId`; and a mutation run once a line of an uploaded file. Runs in slices, so other calls are answered meanwhile.
import {
  execute,
  getNamedType,
  getOperationAST,
  isObjectType,
  Kind,
  parse,
  validate,
  type DocumentNode,
  type FieldNode,
  type GraphQLObjectType,
  type GraphQLSchema,
  type SelectionSetNode,
} from 'graphql';
import type { Clock } from '../../base/clock.js';
import type { BulkDoor, Call } from './call.js';
import { gid } from './gid.js';
import type { BulkRow } from './rows.js';
import type { Shop } from './shop.js';
import { refuse } from './user-errors.js';

export interface BulkOptions {
  readonly schema: GraphQLSchema;
  readonly shop: Shop;
  readonly clock: Clock;
  readonly closing: AbortSignal;
  /** Waits before an operation starts running and before it is complete, each. */
  readonly delayMs: number;
  /** How many of one kind may be under way. */
  readonly concurrent: number;
  /** Where files are served, without a slash at the end. */
  readonly baseUrl: () => string;
}

const rowsPerSlice = 500;
const connectionsMax = 5;
const depthMax = 2;

/** A connection in the query: how its lines are found in the result. */
interface Shape {
  readonly key: string;
  readonly viaEdges: { readonly edges: string; readonly node: string } | null;
  readonly nodes: string | null;
  readonly inner: readonly Shape[];
}

export class Bulk implements BulkDoor {
  private readonly staged = new Map<string, Buffer | null>();

  constructor(private readonly options: BulkOptions) {}

  startQuery(call: Call, query: string, grouped: boolean): BulkRow {
    const { document, shape } = this.readQuery(query);
    const row = this.create('QUERY', query);
    void this.run(call, row.id, () => this.collect(call, row.id, document, shape, grouped));
    return row;
  }

  startMutation(call: Call, mutation: string, stagedPath: string): BulkRow {
    const document = this.readMutation(mutation);
    const file = this.staged.get(stagedPath);
    if (file === undefined || file === null)
      refuse(null, 'The JSONL file could not be found. Try uploading the file again.', 'NO_SUCH_FILE');
    const row = this.create('MUTATION', mutation);
    void this.run(call, row.id, () => this.apply(call, row.id, document, file));
    return row;
  }

  cancel(_: Call, id: number): BulkRow {
    const row = this.options.shop.bulk.get(id);
    if (row === undefined) refuse(['id'], 'Bulk operation does not exist', null);
    if (!['CREATED', 'RUNNING'].includes(row.status)) {
      refuse(null, 'A bulk operation cannot be canceled when it is ' + row.status.toLowerCase(), null);
    }
    return this.change(id, { status: 'CANCELING' });
  }

  urlOf(row: BulkRow): string | null {
    if (row.file === null || row.file.length === 0) return null;
    return `${this.options.baseUrl()}/bulk/${String(row.id)}.jsonl`;
  }

  stage(filename: string): { readonly url: string; readonly path: string } {
    const path = `tmp/${String(this.options.shop.facts.id)}/bulk/${String(this.options.shop.minorId())}/${filename}`;
    this.staged.set(path, null);
    return { url: `${this.options.baseUrl()}/staged`, path };
  }

  /** False for a path that was not staged before. */
  upload(path: string, content: Buffer): boolean {
    if (!this.staged.has(path)) return false;
    this.staged.set(path, content);
    return true;
  }

  file(id: number): Buffer | null {
    return this.options.shop.bulk.get(id)?.file ?? null;
  }

  private create(type: BulkRow['type'], query: string): BulkRow {
    const { shop, concurrent } = this.options;
    const busy = [...shop.bulk.live()].filter(
      (row) => row.type === type && ['CREATED', 'RUNNING', 'CANCELING'].includes(row.status),
    );
    if (busy.length >= concurrent && busy[0] !== undefined) {
      const kind = type === 'QUERY' ? 'query' : 'mutation';
      const message = `A bulk ${kind} operation for this app and shop is already in progress: ${gid('BulkOperation', busy[0].id)}.`;
      if (concurrent === 1) refuse(null, message, 'OPERATION_IN_PROGRESS');
      refuse(null, 'Bulk operations limit reached. Please try again later.', 'LIMIT_REACHED');
    }
    const now = shop.now();
    const row: BulkRow = {
      kind: 'BulkOperation',
      id: shop.bulk.nextId(),
      createdAt: now,
      updatedAt: now,
      type,
      status: 'CREATED',
      errorCode: null,
      query,
      objectCount: 0,
      rootObjectCount: 0,
      completedAt: null,
      file: null,
    };
    shop.bulk.put(row, now);
    return row;
  }

  private change(id: number, change: Partial<BulkRow>): BulkRow {
    const { shop } = this.options;
    const row = { ...(shop.bulk.get(id) as BulkRow), ...change };
    shop.bulk.put(row, shop.now());
    return row;
  }

  private async run(call: Call, id: number, body: () => Promise<Buffer | null>): Promise<void> {
    const { clock, closing, delayMs, shop } = this.options;
    await clock.sleep(delayMs, closing);
    if (this.stopped(id)) return;
    this.change(id, { status: 'RUNNING' });
    try {
      const file = await body();
      await clock.sleep(delayMs, closing);
      if (file === null || this.stopped(id)) return;
      this.change(id, { status: 'COMPLETED', completedAt: shop.now(), file });
    } catch {
      // Whatever went wrong is told as the real one does: the operation failed, without a reason that helps.
      this.change(id, { status: 'FAILED', errorCode: 'INTERNAL_SERVER_ERROR', completedAt: shop.now() });
    }
    shop.ripple(call.actor, { topics: ['BULK_OPERATIONS_FINISH'], kind: 'BulkOperation', id });
  }

  /** True when the simulator closes or the operation was canceled; settles the cancelling. */
  private stopped(id: number): boolean {
    const { closing, shop } = this.options;
    if (closing.aborted) return true;
    if (shop.bulk.get(id)?.status !== 'CANCELING') return false;
    this.change(id, { status: 'CANCELED', completedAt: shop.now() });
    return true;
  }

  private async collect(
    call: Call,
    id: number,
    document: DocumentNode,
    shape: Shape,
    grouped: boolean,
  ): Promise<Buffer | null> {
    const lines: string[] = [];
    let roots = 0;
    for (let from = 0, total = Infinity; from < total; from += rowsPerSlice) {
      const slice = { from, size: rowsPerSlice, total: 0 };
      const result = await execute({ schema: this.options.schema, document, contextValue: { ...call, slice } });
      if (result.errors !== undefined) throw new Error(result.errors[0]?.message);
      total = slice.total;
      const nodes = nodesOf((result.data ?? {})[shape.key], shape);
      roots += nodes.length;
      write(nodes, shape, null, grouped, lines);
      this.change(id, { objectCount: lines.length, rootObjectCount: roots });
      await this.options.clock.sleep(0, this.options.closing);
      if (this.stopped(id)) return null;
    }
    return Buffer.from(lines.length === 0 ? '' : `${lines.join('\n')}\n`, 'utf8');
  }

  private async apply(call: Call, id: number, document: DocumentNode, file: Buffer): Promise<Buffer | null> {
    const lines: string[] = [];
    for (const [number, line] of file.toString('utf8').split('\n').entries()) {
      if (line.trim() === '') continue;
      const variableValues = JSON.parse(line) as Record<string, unknown>;
      const result = await execute({
        schema: this.options.schema,
        document,
        variableValues,
        contextValue: { ...call, slice: null },
      });
      lines.push(JSON.stringify({ ...result, __lineNumber: number }));
      if (lines.length % rowsPerSlice > 0) continue;
      this.change(id, { objectCount: lines.length, rootObjectCount: lines.length });
      await this.options.clock.sleep(0, this.options.closing);
      if (this.stopped(id)) return null;
    }
    this.change(id, { objectCount: lines.length, rootObjectCount: lines.length });
    return Buffer.from(lines.length === 0 ? '' : `${lines.join('\n')}\n`, 'utf8');
  }

  private readMutation(text: string): DocumentNode {
    const document = this.readDocument(text, 'INVALID_MUTATION', ['mutation']);
    if (getOperationAST(document)?.operation !== 'mutation') {
      refuse(['mutation'], 'The mutation must be a mutation operation.', 'INVALID_MUTATION');
    }
    return document;
  }

  private readDocument(text: string, code: string, path: readonly string[]): DocumentNode {
    try {
      const document = parse(text);
      const wrong = validate(this.options.schema, document)[0];
      if (wrong === undefined) return document;
      refuse(path, `Invalid bulk ${path[0] ?? ''}: ${wrong.message}`, code);
    } catch (error) {
      if (error instanceof Error && error.name === 'Refused') throw error;
      refuse(path, `Invalid bulk ${path[0] ?? ''}: ${error instanceof Error ? error.message : String(error)}`, code);
    }
  }

  private readQuery(text: string): { document: DocumentNode; shape: Shape } {
    const invalid = (message: string): never => refuse(['query'], message, 'INVALID');
    const document = this.readDocument(text, 'INVALID', ['query']);
    const operation = getOperationAST(document);
    const root = this.options.schema.getQueryType();
    if (operation?.operation !== 'query' || !root) return invalid('Invalid bulk query: must be a query operation');
    if ((operation.variableDefinitions ?? []).length > 0) return invalid('Bulk queries cannot contain variables.');
    const fields = operation.selectionSet.selections.filter((each): each is FieldNode => each.kind === Kind.FIELD);
    if (fields.some((field) => ['node', 'nodes'].includes(field.name.value))) {
      return invalid('Bulk queries cannot contain top level node or nodes fields.');
    }
    const shapes = connections(operation.selectionSet, root);
    if (shapes.length === 0) return invalid('Bulk queries must contain at least one connection.');
    if (fields.length > 1) return invalid('Bulk queries must contain one top level field.');
    if (count(shapes) > connectionsMax)
      return invalid(`Bulk queries cannot contain more than ${String(connectionsMax)} connections.`);
    if (depth(shapes) > depthMax + 1)
      return invalid('Bulk queries cannot contain connections with a nesting depth greater than 2.');
    const [shape] = shapes;
    if (shape === undefined || !selectsIds(operation.selectionSet, root, true)) {
      const rule =
        "The parent 'node' field for a nested connection must select the 'id' field without an alias and must be of a type that implements 'Node'.";
      return invalid(rule);
    }
    return { document, shape };
  }
}

function count(shapes: readonly Shape[]): number {
  return shapes.reduce((sum, shape) => sum + 1 + count(shape.inner), 0);
}

function depth(shapes: readonly Shape[]): number {
  return Math.max(0, ...shapes.map((shape) => 1 + depth(shape.inner)));
}

function fieldsOf(set: SelectionSetNode | undefined): readonly FieldNode[] {
  return (set?.selections ?? []).flatMap((each) => {
    if (each.kind === Kind.FIELD) return [each];
    return each.kind === Kind.INLINE_FRAGMENT ? fieldsOf(each.selectionSet) : [];
  });
}

const keyOf = (field: FieldNode): string => field.alias?.value ?? field.name.value;

function typeOf(field: FieldNode, parent: GraphQLObjectType): GraphQLObjectType | null {
  const type = parent.getFields()[field.name.value]?.type;
  const named = type === undefined ? null : getNamedType(type);
  return named !== null && isObjectType(named) ? named : null;
}

/** The selection under `nodes` or `edges { node }` of a connection field. */
function nodeSelection(field: FieldNode): {
  set: SelectionSetNode | undefined;
  shape: Pick<Shape, 'viaEdges' | 'nodes'>;
} {
  const inner = fieldsOf(field.selectionSet);
  const nodes = inner.find((each) => each.name.value === 'nodes');
  if (nodes !== undefined) return { set: nodes.selectionSet, shape: { viaEdges: null, nodes: keyOf(nodes) } };
  const edges = inner.find((each) => each.name.value === 'edges');
  const node = fieldsOf(edges?.selectionSet).find((each) => each.name.value === 'node');
  const viaEdges = edges === undefined || node === undefined ? null : { edges: keyOf(edges), node: keyOf(node) };
  return { set: node?.selectionSet, shape: { viaEdges, nodes: null } };
}

function nodeType(connection: GraphQLObjectType): GraphQLObjectType {
  return getNamedType(connection.getFields()['nodes']?.type ?? connection) as GraphQLObjectType;
}

function connections(set: SelectionSetNode | undefined, parent: GraphQLObjectType): readonly Shape[] {
  return fieldsOf(set).flatMap((field) => {
    const type = typeOf(field, parent);
    if (type?.name.endsWith('Connection') !== true) return [];
    const { set: inner, shape } = nodeSelection(field);
    return [{ key: keyOf(field), ...shape, inner: connections(inner, nodeType(type)) }];
  });
}

/** Parents of nested connections must name their id. */
function selectsIds(set: SelectionSetNode | undefined, parent: GraphQLObjectType, root: boolean): boolean {
  const fields = fieldsOf(set);
  const nested = fields.filter((field) => typeOf(field, parent)?.name.endsWith('Connection') === true);
  const named = fields.some((field) => field.name.value === 'id' && field.alias === undefined);
  if (!root && nested.length > 0 && !named) return false;
  return nested.every((field) => {
    const type = typeOf(field, parent);
    return type === null || selectsIds(nodeSelection(field).set, nodeType(type), false);
  });
}

type Json = Readonly<Record<string, unknown>>;

function nodesOf(value: unknown, shape: Shape): readonly Json[] {
  const connection = (value ?? {}) as Json;
  if (shape.nodes !== null) return (connection[shape.nodes] ?? []) as Json[];
  const { viaEdges } = shape;
  if (viaEdges === null) return [];
  return ((connection[viaEdges.edges] ?? []) as Json[]).map((edge) => edge[viaEdges.node] as Json);
}

/** Grouped: children follow their parent. Otherwise all parents of the slice come first; a child still follows its parent. */
function write(nodes: readonly Json[], shape: Shape, parentId: unknown, grouped: boolean, lines: string[]): void {
  const line = (node: Json): void => {
    const own = Object.fromEntries(
      Object.entries(node).filter(([key]) => !shape.inner.some((inner) => inner.key === key)),
    );
    lines.push(JSON.stringify(parentId === null ? own : { ...own, __parentId: parentId }));
  };
  if (!grouped) nodes.forEach(line);
  for (const node of nodes) {
    if (grouped) line(node);
    for (const inner of shape.inner) write(nodesOf(node[inner.key], inner), inner, node['id'], grouped, lines);
  }
}
