// Owns the step from checked YAML files to one Mapping: references between files, embedded children, order, circles, digest.
// Every contradiction is one problem with place, cause and next step; with any problem there is no Mapping at all.
import { createHash } from 'node:crypto';
import type { Problem } from '../base/errors.js';
import { didYouMean } from '../base/suggest.js';
import { entityName, fieldName, spokeName } from '../model/ids.js';
import type { EntityName, SpokeName } from '../model/ids.js';
import { compileFields, compileMatch } from './compile-entity.js';
import { parentMark } from './compile-field.js';
import { checkAuthorities, compileSpoke, remoteOf, type Draft, type Drafts } from './compile-spoke.js';
import type { Entity, Mapping, SpokeMapping } from './mapping.js';
import { nameProblem } from './names.js';
import { orderEntities, type Reference } from './order.js';
import { Reporter, type MappingSource } from './reporter.js';

export interface CompileOptions {
  /** Spokes of truespoke.yaml; a mapping that names another one is refused. Absent = not checked. */
  readonly spokes?: readonly string[] | undefined;
}

export type Compiled =
  { readonly ok: true; readonly mapping: Mapping } | { readonly ok: false; readonly problems: readonly Problem[] };

export function compileMapping(sources: readonly MappingSource[], options: CompileOptions = {}): Compiled {
  const reporter = new Reporter();
  const drafts = draftEntities(sources, reporter);
  const references: Reference[] = [];
  const entities = new Map<string, Entity>();
  for (const draft of drafts.values()) {
    references.push(...referencesOf(draft, drafts, reporter));
    const match = compileMatch(draft, draft.fields, reporter);
    const spokes = new Map<SpokeName, SpokeMapping>();
    for (const [name, spoke] of Object.entries(draft.spec.spokes)) {
      if (options.spokes !== undefined && !options.spokes.includes(name)) {
        reporter.add(
          draft.source,
          ['spokes', name],
          `the spoke '${name}' is not configured`,
          didYouMean(name, options.spokes),
          { key: true },
        );
      }
      spokes.set(spokeName(name), compileSpoke(draft, name, spoke, drafts, reporter));
    }
    checkAuthorities(draft, spokes, reporter);
    const { table, entity } = draft.spec;
    const archives = [...spokes.values()].some((spoke) => spoke.delete === 'archive');
    const adopted =
      table === undefined ? null : { schema: table.schema ?? 'public', name: table.name, adopted: true, id: table.id };
    entities.set(entity, {
      name: entityName(entity),
      table: adopted ?? { schema: 'hub', name: entity, adopted: false, id: 'id' },
      fields: [...draft.fields.values()],
      match,
      archives,
      spokes,
    });
  }
  const ordered = orderEntities([...entities.keys()], references);
  if (ordered.knot !== null) reportKnot(ordered.knot, drafts, reporter);
  if (reporter.problems.length > 0) return { ok: false, problems: reporter.problems };
  const inOrder = new Map<EntityName, Entity>();
  for (const name of ordered.order) {
    const entity = entities.get(name);
    if (entity !== undefined) inOrder.set(entity.name, entity);
  }
  const deferred = ordered.deferred.map(({ from, field }) => ({ entity: entityName(from), field: fieldName(field) }));
  return { ok: true, mapping: { entities: inOrder, deferred, digest: digestOf(sources) } };
}

function draftEntities(sources: readonly MappingSource[], reporter: Reporter): Drafts {
  const drafts = new Map<string, Draft>();
  for (const { spec, source } of sources) {
    const earlier = drafts.get(spec.entity);
    if (earlier !== undefined) {
      reporter.add(
        source,
        ['entity'],
        `the entity '${spec.entity}' is already mapped in ${earlier.source.file}`,
        'one file an entity: merge the two',
      );
      continue;
    }
    const wrong = nameProblem(spec.entity, 'entity');
    if (wrong !== null) reporter.add(source, ['entity'], wrong.message, wrong.hint);
    if (Object.keys(spec.fields).length === 0)
      reporter.add(source, ['fields'], `the entity '${spec.entity}' has no fields`, 'add at least one');
    drafts.set(spec.entity, { spec, source, fields: compileFields({ spec, source }, reporter) });
  }
  return drafts;
}

function referencesOf({ spec, source, fields }: Draft, drafts: Drafts, reporter: Reporter): Reference[] {
  const found: Reference[] = [];
  for (const field of fields.values()) {
    if (field.ref === null) continue;
    if (!drafts.has(field.ref)) {
      reporter.add(
        source,
        ['fields', field.name, 'ref'],
        `the reference points to an unknown entity '${field.ref}'`,
        didYouMean(field.ref, [...drafts.keys()]),
      );
      continue;
    }
    const parent = Object.values(spec.spokes).some((spoke) => remoteOf(spoke.fields[field.name]) === parentMark);
    found.push({ from: spec.entity, field: field.name, to: field.ref, firm: field.required || parent });
  }
  return found;
}

function reportKnot(knot: readonly Reference[], drafts: Drafts, reporter: Reporter): void {
  const [first] = knot;
  const draft = first === undefined ? undefined : drafts.get(first.from);
  if (first === undefined || draft === undefined) return;
  const circle = knot.map(({ from, field }) => `${from}.${field}`).join(' → ');
  reporter.add(
    draft.source,
    ['fields', first.field],
    `a circle of required references: ${circle}`,
    'make one of them optional (required: false)',
  );
}

/** Independent of comments, spacing and the order of files. */
function digestOf(sources: readonly MappingSource[]): string {
  const specs = sources.map(({ spec }) => spec).sort((a, b) => (a.entity < b.entity ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(specs)).digest('hex');
}
