// Owns one spoke of one entity: its fields, conditions, embedded children and defaults, and the checks that need the other entities.
import { didYouMean } from '../base/suggest.js';
import { entityName, objectName, remotePath, spokeName } from '../model/ids.js';
import type { EntityName, RemotePath, SpokeName } from '../model/ids.js';
import type { HubFields, RemoteFields } from '../model/record.js';
import { compileField, parentMark } from './compile-field.js';
import { celValue, compileExpression, type Expression } from './expression.js';
import type { CreateDefault, FieldMapping, HubField, SpokeMapping } from './mapping.js';
import type { MappingSource, Reporter } from './reporter.js';
import type { DefaultSpec, SpokeSpec } from './schema.js';

/** A file whose hub fields are known, its spokes not yet. */
export interface Draft extends MappingSource {
  readonly fields: ReadonlyMap<string, HubField>;
}

export type Drafts = ReadonlyMap<string, Draft>;

export function remoteOf(given: SpokeSpec['fields'][string] | undefined): string | null {
  if (typeof given === 'string') return given;
  return typeof given?.remote === 'string' ? given.remote : null;
}

export function compileSpoke(
  draft: Draft,
  name: string,
  spec: SpokeSpec,
  drafts: Drafts,
  reporter: Reporter,
): SpokeMapping {
  const { source, fields } = draft;
  const at = ['spokes', name] as const;
  const direction = spec.direction ?? 'both';
  const embedded = embeddingOf(draft, name, spec, drafts, reporter);
  const compiled: FieldMapping[] = [];
  for (const [key, given] of Object.entries(spec.fields)) {
    const field = fields.get(key);
    if (field === undefined) {
      reporter.add(
        source,
        [...at, 'fields', key],
        `'${key}' is not a field of ${draft.spec.entity}`,
        didYouMean(key, [...fields.keys()]),
        { key: true },
      );
      continue;
    }
    checkReference(draft, name, field, given, drafts, reporter);
    const mapping = compileField(field, given, {
      source,
      reporter,
      spoke: name,
      direction,
      embedded: embedded !== null,
    });
    if (mapping !== null) compiled.push(mapping);
  }
  checkWrites(draft, name, compiled, spec, reporter);
  const where = spec.where === undefined ? null : remoteCondition(spec.where, [...at, 'where'], draft, reporter);
  const when = spec.when === undefined ? null : hubCondition(spec.when, [...at, 'when'], draft, reporter);
  const paths = new Set<RemotePath>([
    ...compiled.flatMap((field) => field.reads),
    ...(where?.names ?? []).map(remotePath),
  ]);
  if (direction === 'in' && spec.create === true)
    reporter.add(
      source,
      [...at, 'create'],
      "the spoke goes 'in' only, so nothing can be created there",
      'remove `create`, or change `direction`',
    );
  return {
    entity: entityName(draft.spec.entity),
    spoke: spokeName(name),
    object: objectName(spec.object),
    embedded,
    embeds: embedsOf(draft.spec.entity, name, spec, drafts),
    direction,
    create: spec.create ?? direction !== 'in',
    fields: compiled,
    defaults: defaultsOf(spec.defaults ?? {}),
    delete: spec.delete ?? 'unlink',
    paths: [...paths],
    conditions: { where: spec.where ?? null, when: spec.when ?? null },
    accepts: (remote: RemoteFields) => where === null || where.evaluate(new Map(Object.entries(remote))) === true,
    wants: (hub: HubFields) => when === null || when.evaluate(celFields(fields, hub)) === true,
  };
}

function celFields(
  fields: ReadonlyMap<string, HubField>,
  hub: HubFields,
): ReadonlyMap<string, ReturnType<typeof celValue>> {
  return new Map([...fields.values()].map((field) => [field.name, celValue(field.type, hub[field.name] ?? null)]));
}

function remoteCondition(
  text: string,
  path: readonly string[],
  { source }: Draft,
  reporter: Reporter,
): Expression | null {
  return condition(compileExpression(text, { root: 'remote', want: 'bool' }), text, path, source, reporter);
}

function hubCondition(
  text: string,
  path: readonly string[],
  { source, fields }: Draft,
  reporter: Reporter,
): Expression | null {
  const types = new Map([...fields].map(([name, field]) => [name, field.type]));
  return condition(compileExpression(text, { root: 'hub', fields: types, want: 'bool' }), text, path, source, reporter);
}

function condition(
  result: ReturnType<typeof compileExpression>,
  text: string,
  path: readonly string[],
  source: Draft['source'],
  reporter: Reporter,
): Expression | null {
  if (result.ok) return result.expression;
  reporter.add(source, path, result.message, result.hint ?? `see the expression: ${text}`);
  return null;
}

/** `Order.lineItems`: the parent is the entity that the '@parent' reference points to, mapped to `Order` in the same spoke. */
function embeddingOf(
  draft: Draft,
  name: string,
  spec: SpokeSpec,
  drafts: Drafts,
  reporter: Reporter,
): SpokeMapping['embedded'] {
  const dot = spec.object.indexOf('.');
  if (dot < 0) return null;
  const [parentObject, child] = [spec.object.slice(0, dot), spec.object.slice(dot + 1)];
  const report = (message: string, hint: string): void =>
    reporter.add(draft.source, ['spokes', name, 'object'], message, hint);
  const marks = Object.keys(spec.fields).filter((key) => remoteOf(spec.fields[key]) === parentMark);
  const parent = marks.length === 1 ? draft.fields.get(marks[0] ?? '')?.ref : undefined;
  if (marks.length !== 1 || parent === undefined || parent === null) {
    report(
      `'${spec.object}' is embedded, so exactly one reference must be mapped to '@parent'; found ${marks.length}`,
      `write <reference>: '@parent' under fields`,
    );
    return null;
  }
  const parentSpec = drafts.get(parent)?.spec.spokes[name];
  if (parentSpec?.object !== parentObject) {
    report(
      `'${spec.object}' is embedded in ${parentObject}, but '${parent}' is not mapped to ${parentObject} in ${name}`,
      `map '${parent}' there, or correct the object`,
    );
  }
  if (child.includes('.')) report('a child of an embedded child is not supported', 'map the inner list as json');
  return { parentEntity: entityName(parent), parentObject: objectName(parentObject), child };
}

function embedsOf(entity: string, name: string, spec: SpokeSpec, drafts: Drafts): SpokeMapping['embeds'] {
  const children: { child: string; entity: EntityName }[] = [];
  for (const draft of drafts.values()) {
    const other = draft.spec.spokes[name];
    if (other === undefined || !other.object.startsWith(`${spec.object}.`)) continue;
    const mark = Object.keys(other.fields).find((key) => remoteOf(other.fields[key]) === parentMark);
    if (mark === undefined || draft.fields.get(mark)?.ref !== entity) continue;
    children.push({ child: other.object.slice(spec.object.length + 1), entity: entityName(draft.spec.entity) });
  }
  return children;
}

/** An authority that never shows the field would silently lose every conflict to itself. */
export function checkAuthorities(draft: Draft, spokes: ReadonlyMap<SpokeName, SpokeMapping>, reporter: Reporter): void {
  for (const field of draft.fields.values()) {
    if (field.policy.kind !== 'authority' || field.policy.of === 'hub') continue;
    const spoke = spokes.get(field.policy.of);
    if (
      spoke === undefined ||
      (draft.spec.spokes[spoke.spoke]?.fields[field.name] !== undefined && speaks(spoke, field))
    )
      continue;
    const message = `'${spoke.spoke}' is the authority for '${field.name}', but the field does not come in from there`;
    reporter.add(
      draft.source,
      ['fields', field.name, 'authority'],
      message,
      `map it in ${spoke.spoke}, or name another authority`,
    );
  }
}

/** A field that could not be compiled has been told already. */
function speaks(spoke: SpokeMapping, field: HubField): boolean {
  const mapping = spoke.fields.find((candidate) => candidate.field.name === field.name);
  return mapping === undefined || mapping.direction !== 'out';
}

/** An id can be translated only where the entity pointed to is mapped as well. */
function checkReference(
  draft: Draft,
  name: string,
  field: HubField,
  given: SpokeSpec['fields'][string],
  drafts: Drafts,
  reporter: Reporter,
): void {
  if (field.ref === null || !drafts.has(field.ref) || remoteOf(given) === parentMark) return;
  if (drafts.get(field.ref)?.spec.spokes[name] !== undefined) return;
  const message = `the ids of '${field.ref}' cannot be translated for ${name}: that entity is not mapped there`;
  reporter.add(
    draft.source,
    ['spokes', name, 'fields', field.name],
    message,
    `map '${field.ref}' in ${name}, or leave '${field.name}' out here`,
  );
}

function checkWrites(
  draft: Draft,
  name: string,
  fields: readonly FieldMapping[],
  spec: SpokeSpec,
  reporter: Reporter,
): void {
  const writers = new Map<string, string>();
  for (const { field, writes } of fields) {
    for (const path of writes) {
      const other = writers.get(path);
      if (other !== undefined && other !== field.name) {
        reporter.add(
          draft.source,
          ['spokes', name, 'fields', field.name],
          `'${field.name}' and '${other}' both write ${path}`,
          'give one of them direction: in',
        );
      }
      writers.set(path, field.name);
    }
  }
  for (const path of Object.keys(spec.defaults ?? {})) {
    const writer = writers.get(path);
    if (writer === undefined) continue;
    reporter.add(
      draft.source,
      ['spokes', name, 'defaults', path],
      `${path} has a default, but '${writer}' writes it`,
      'keep one of the two',
    );
  }
}

function defaultsOf(defaults: Readonly<Record<string, DefaultSpec>>): Readonly<Record<RemotePath, CreateDefault>> {
  return Object.fromEntries(Object.entries(defaults).map(([path, given]) => [path, defaultOf(given)]));
}

function defaultOf(given: DefaultSpec): CreateDefault {
  if (typeof given !== 'object' || given === null) return { kind: 'literal', value: given };
  if ('literal' in given) return { kind: 'literal', value: given.literal };
  return { kind: 'find', object: objectName(given.find.object), key: { ...given.find.key } };
}
