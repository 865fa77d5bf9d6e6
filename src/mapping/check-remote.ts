// Owns the comparison of a mapping with what the spokes really have: objects, fields, who may write them, closed lists, references.
// Pure: the describes come in. Problems stop a start; warnings are for people.
import type { Problem } from '../base/errors.js';
import { didYouMean } from '../base/suggest.js';
import type { Place } from '../base/yaml.js';
import { BadValue, type Entity, type FieldMapping, type Mapping, type SpokeMapping } from './mapping.js';

// The parts of a connector's RemoteSchema that are looked at; said here because this layer does not know connectors.
export interface DescribedField {
  readonly path: string;
  readonly required?: boolean | undefined;
  readonly createable: boolean;
  readonly updateable: boolean;
  readonly type: string;
  readonly maxLength?: number | undefined;
  readonly scale?: number | undefined;
  readonly values?: readonly string[] | undefined;
  readonly references?: readonly string[] | undefined;
}

export interface DescribedObject {
  readonly name: string;
  readonly fields: readonly DescribedField[];
  readonly children: Readonly<Record<string, readonly DescribedField[]>>;
  readonly createable: boolean;
  readonly updateable: boolean;
  readonly deletable: boolean;
}

export interface Described {
  readonly objects: readonly DescribedObject[];
}

export interface RemoteFindings {
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** Finds a key of an entity's file: `LoadedMapping.place`. */
export type PlaceFinder = (entity: string, path: readonly (string | number)[]) => Place | null;

/** Spokes without a describe are left out. */
export function checkAgainst(
  mapping: Mapping,
  schemas: ReadonlyMap<string, Described>,
  place: PlaceFinder = () => null,
): RemoteFindings {
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  for (const entity of mapping.entities.values()) {
    for (const spoke of entity.spokes.values()) {
      const schema = schemas.get(spoke.spoke);
      if (schema === undefined) continue;
      const add =
        (list: Problem[]) =>
        (path: readonly (string | number)[], message: string, hint: string): void => {
          list.push({ ...(place(entity.name, ['spokes', spoke.spoke, ...path]) ?? {}), message, hint });
        };
      checkSpoke({ entity, spoke, mapping, problem: add(problems), warn: add(warnings) }, schema);
    }
  }
  return { problems, warnings };
}

type Add = (path: readonly (string | number)[], message: string, hint: string) => void;

interface Context {
  readonly entity: Entity;
  readonly spoke: SpokeMapping;
  readonly mapping: Mapping;
  readonly problem: Add;
  readonly warn: Add;
}

function checkSpoke(context: Context, schema: Described): void {
  const { spoke, problem } = context;
  const wanted = spoke.embedded?.parentObject ?? spoke.object;
  const object = schema.objects.find(({ name }) => name === wanted);
  if (object === undefined) {
    const hint = `${didYouMean(
      wanted,
      schema.objects.map(({ name }) => name),
    )} (or our user may not see it)`;
    problem(['object'], `${spoke.spoke} has no object '${wanted}'`, hint);
    return;
  }
  const described = spoke.embedded === null ? object.fields : object.children[spoke.embedded.child];
  if (described === undefined) {
    problem(
      ['object'],
      `${wanted} in ${spoke.spoke} embeds no '${spoke.embedded?.child ?? ''}'`,
      didYouMean(spoke.embedded?.child ?? '', Object.keys(object.children)),
    );
    return;
  }
  const fields = new Map(described.map((field) => [field.path, field]));
  for (const field of spoke.fields) checkField(context, field, fields);
  checkOthers(context, fields);
  if (spoke.create && spoke.embedded === null && !object.createable) {
    problem(
      ['object'],
      `${spoke.spoke} lets nobody create ${wanted} with our credential`,
      'write create: false, or give the right to it',
    );
  }
  if (spoke.create && spoke.embedded === null) checkRequired(context, described);
}

function checkField(context: Context, mapping: FieldMapping, fields: ReadonlyMap<string, DescribedField>): void {
  const { spoke, problem, warn } = context;
  const at = ['fields', mapping.field.name];
  for (const path of new Set([...mapping.reads, ...mapping.writes])) {
    const described = fields.get(path);
    if (described === undefined) {
      unknownPath(context, at, path, fields);
      continue;
    }
    if (mapping.writes.includes(path)) {
      if (!described.createable && !described.updateable) {
        problem(at, `${path} is read-only in ${spoke.spoke}`, 'write direction: in for this field');
      } else if (!described.updateable && mapping.field.ref === null) {
        // A reference to a parent is given once everywhere: telling it of every child would only be noise.
        warn(
          at,
          `${path} in ${spoke.spoke} can be given only when a record is created`,
          'a later edit in the hub will be parked, unless direction: in',
        );
      }
      checkValues(context, mapping, described);
    }
    checkReference(context, mapping, described);
  }
}

/** A path through a relationship need not be in a describe; a slip in one that is described shows by its neighbours. */
function unknownPath(
  { spoke, problem, warn }: Context,
  at: readonly string[],
  path: string,
  fields: ReadonlyMap<string, DescribedField>,
): void {
  const [head, ...rest] = path.split('.');
  const known = [...fields.keys()];
  if (rest.length > 0 && !known.some((other) => other.startsWith(`${head ?? ''}.`))) {
    warn(
      at,
      `${path} leads through a relationship of ${spoke.object} that ${spoke.spoke} does not describe`,
      'it is tried when records are read',
    );
    return;
  }
  problem(
    at,
    `${spoke.object} in ${spoke.spoke} has no field '${path}'`,
    `${didYouMean(path, known)} (or our user may not see it)`,
  );
}

/** Every value that the hub's closed list allows must be one that the spoke takes. */
function checkValues({ spoke, problem }: Context, mapping: FieldMapping, described: DescribedField): void {
  const at = ['fields', mapping.field.name];
  const hubValues =
    mapping.field.values ??
    (mapping.field.type === 'boolean' && described.values !== undefined ? ['true', 'false'] : null);
  if (hubValues === null || described.values === undefined) return;
  const index = mapping.writes.indexOf(described.path as (typeof mapping.writes)[number]);
  for (const value of hubValues) {
    try {
      const remote = mapping.put(value)[index] ?? null;
      if (typeof remote !== 'string' || described.values.includes(remote)) continue;
      problem(
        at,
        `'${value}' becomes '${remote}', which ${described.path} in ${spoke.spoke} does not take`,
        didYouMean(remote, described.values),
      );
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
      problem(at, `the hub value '${value}' has no counterpart in ${spoke.spoke}`, 'add it to `via: { values: … }`');
    }
  }
}

function checkReference({ spoke, mapping, problem }: Context, field: FieldMapping, described: DescribedField): void {
  const { ref, name } = field.field;
  if (ref === null || described.references === undefined || described.references.length === 0) return;
  const target = mapping.entities.get(ref)?.spokes.get(spoke.spoke);
  if (target === undefined || described.references.includes(target.object)) return;
  const message = `${described.path} in ${spoke.spoke} points to ${described.references.join(', ')}, but '${ref}' is mapped to ${target.object}`;
  problem(['fields', name], message, 'name the field that points there, or correct the reference');
}

function checkOthers({ spoke, problem }: Context, fields: ReadonlyMap<string, DescribedField>): void {
  for (const path of Object.keys(spoke.defaults)) {
    const described = fields.get(path);
    if (described === undefined) {
      problem(
        ['defaults', path],
        `${spoke.object} in ${spoke.spoke} has no field '${path}'`,
        didYouMean(path, [...fields.keys()]),
      );
    } else if (!described.createable) {
      problem(
        ['defaults', path],
        `${path} cannot be given when a record is created in ${spoke.spoke}`,
        'remove the default',
      );
    }
  }
  const read = new Set<string>(spoke.fields.flatMap((field) => [...field.reads, ...field.writes]));
  for (const path of spoke.paths) {
    if (read.has(path) || fields.has(path) || path.includes('.')) continue;
    problem(
      ['where'],
      `${spoke.object} in ${spoke.spoke} has no field '${path}'`,
      didYouMean(path, [...fields.keys()]),
    );
  }
}

/** What the spoke insists on and nobody gives. Only a warning: a connector may fill it in. */
function checkRequired({ spoke, warn }: Context, described: readonly DescribedField[]): void {
  const given = new Set<string>([...spoke.fields.flatMap((field) => field.writes), ...Object.keys(spoke.defaults)]);
  const open = described.filter((field) => field.required === true && !given.has(field.path));
  if (open.length === 0) return;
  warn(
    ['fields'],
    `${spoke.object} in ${spoke.spoke} insists on ${open.map(({ path }) => path).join(', ')}`,
    'map them, or give them a value under `defaults`',
  );
}
