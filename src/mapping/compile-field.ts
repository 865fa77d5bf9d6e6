// Owns one hub field joined to one spoke: which paths are read and written, and the lens or the expressions between them.
import type { YamlFile } from '../base/yaml.js';
import { remotePath } from '../model/ids.js';
import type { RemotePath } from '../model/ids.js';
import type { HubValue, RemoteValue } from '../model/record.js';
import { compileVia, type Report } from './compile-via.js';
import { celValue, compileExpression, type Expression } from './expression.js';
import { lens } from './lens.js';
import type { Direction, FieldMapping, HubField } from './mapping.js';
import type { Reporter } from './reporter.js';
import type { FieldMappingSpec } from './schema.js';
import { toHubText } from './values.js';

type FieldObject = Exclude<FieldMappingSpec, string>;

export interface FieldContext {
  readonly source: YamlFile;
  readonly reporter: Reporter;
  readonly spoke: string;
  /** Direction of the whole spoke. */
  readonly direction: Direction;
  readonly embedded: boolean;
}

export const parentMark = '@parent';

/** null when a problem was reported. */
export function compileField(field: HubField, given: FieldMappingSpec, context: FieldContext): FieldMapping | null {
  const spec: FieldObject = typeof given === 'string' ? { remote: given } : given;
  const at = ['spokes', context.spoke, 'fields', field.name] as const;
  const before = context.reporter.problems.length;
  const report: Report = (message, hint) => context.reporter.add(context.source, at, message, hint);
  const mapping =
    spec.remote === parentMark
      ? parentField(field, context, report)
      : spec.in !== undefined || spec.out !== undefined
        ? expressionField(field, spec, context, report)
        : lensField(field, spec, context, report);
  return context.reporter.problems.length > before ? null : mapping;
}

/** The field's direction within the spoke's; a contradiction is reported. */
function directionOf(wanted: Direction | undefined, context: FieldContext, report: Report): Direction {
  const { direction } = context;
  if (wanted === undefined || wanted === direction) return wanted ?? direction;
  if (direction === 'both') return wanted;
  if (wanted === 'both') return direction;
  report(`the field goes '${wanted}', but the whole spoke goes '${direction}'`, 'change one of the two directions');
  return direction;
}

function parentField(field: HubField, context: FieldContext, report: Report): FieldMapping {
  if (field.type !== 'ref') report("'@parent' fills references only", 'give the field a `ref:`');
  if (!context.embedded)
    report("'@parent' needs an embedded object", 'write object: Parent.child, or name a remote field');
  return {
    field,
    direction: context.direction,
    reads: [],
    writes: [],
    get: () => null,
    put: () => [],
    fromParent: true,
  };
}

function lensField(field: HubField, spec: FieldObject, context: FieldContext, report: Report): FieldMapping | null {
  if (spec.remote === undefined) {
    report(`nothing says where '${field.name}' is kept`, 'give `remote:`, or `in:` and `out:`');
    return null;
  }
  const paths = (Array.isArray(spec.remote) ? spec.remote : [spec.remote]).map(remotePath);
  if (paths.some((path) => path.startsWith('@')))
    report(`'${paths.join(', ')}' is not a remote field`, "the only one with @ is '@parent'");
  if (field.type === 'ref' && (spec.via !== undefined || paths.length > 1)) {
    report('a reference takes one remote field and no lens', 'ids are translated through links');
  }
  const direction = directionOf(spec.direction, context, report);
  const built = lens(field, compileVia(spec.via, field, paths.length, report));
  const writes = direction === 'in' ? [] : paths;
  const put = (hub: HubValue): readonly RemoteValue[] => (direction === 'in' ? [] : built.put(hub));
  return { field, direction, reads: paths, writes, get: (remote) => built.get(remote), put, fromParent: false };
}

function expressionField(
  field: HubField,
  spec: FieldObject,
  context: FieldContext,
  report: Report,
): FieldMapping | null {
  if (spec.via !== undefined) report('`via` and `in`/`out` exclude each other', 'keep the lens or the expressions');
  if (field.type === 'ref') report('a reference cannot be computed', 'name the remote field that holds the id');
  const outs = outExpressions(spec, report);
  const implied: Direction | undefined = outs === null ? 'in' : spec.in === undefined ? 'out' : undefined;
  if (implied !== undefined && spec.direction !== undefined && spec.direction !== implied) {
    report(
      `direction '${spec.direction}' needs both \`in\` and \`out\``,
      `add the missing one, or write direction: ${implied}`,
    );
  }
  const direction = directionOf(implied ?? spec.direction, context, report);
  const inward = spec.in === undefined ? null : expression(spec.in, 'in', field, report);
  const outward = (outs ?? []).map(([path, source]) => ({
    path: remotePath(path),
    source: expression(source, 'out', field, report),
  }));
  const reads: readonly RemotePath[] = (inward?.names ?? []).map(remotePath);
  const fields = [field.name as string] as const;
  return {
    field,
    direction,
    reads,
    writes: direction === 'in' ? [] : outward.map(({ path }) => path),
    get(remote) {
      if (inward === null) return null;
      return toHubText(
        field.type,
        inward.evaluate(new Map(reads.map((path, i) => [path as string, remote[i] ?? null]))),
        field,
      );
    },
    put(hub) {
      if (direction === 'in') return [];
      const values = new Map([[fields[0], celValue(field.type, hub)]]);
      return outward.map(({ source }) => source?.evaluate(values) ?? null);
    },
    fromParent: false,
  };
}

/** Path and expression of each `out`; null when the field says nothing of writing. */
function outExpressions(spec: FieldObject, report: Report): readonly (readonly [string, string])[] | null {
  if (spec.out === undefined) {
    if (spec.remote !== undefined)
      report('`in` computes the value, so `remote` has no use without `out`', 'remove `remote`, or add `out`');
    return null;
  }
  if (typeof spec.out !== 'string') {
    if (spec.remote !== undefined) report('`out` names its paths itself, so `remote` has no use', 'remove `remote`');
    return Object.entries(spec.out);
  }
  if (typeof spec.remote !== 'string') {
    report('nothing says where the result of `out` goes', 'write remote: <path>, or out: { <path>: <expression> }');
    return [];
  }
  return [[spec.remote, spec.out]];
}

function expression(source: string, which: 'in' | 'out', field: HubField, report: Report): Expression | null {
  const fields = new Map([[field.name as string, field.type]]);
  const options =
    which === 'in' ? ({ root: 'remote', want: 'value' } as const) : ({ root: 'hub', fields, want: 'value' } as const);
  const result = compileExpression(source, options);
  if (result.ok) return result.expression;
  report(`\`${which}\`: ${result.message}`, result.hint ?? `see the expression: ${source}`);
  return null;
}
