// Owns the question whether the spokes of an entity can ever agree on a value: a value is sent to each of them in turn and read back as
// they would show it, until nothing changes any more. Where that never ends, two spokes would rewrite the field for ever as soon as
// both are edited or read afresh. Pure, over values of its own; no customer's value is looked at.
import type { Problem } from '../base/errors.js';
import type { FieldName, RemotePath } from '../model/ids.js';
import type { HubValue, RemoteValue } from '../model/record.js';
import type { DescribedField, Described, PlaceFinder } from './check-remote.js';
import { formatDecimal, parseDecimal, rescale } from './decimals.js';
import { exactNumber } from './exact-json.js';
import { BadValue, type Entity, type FieldMapping, type Mapping, type SpokeMapping } from './mapping.js';
import { samplesOf } from './samples.js';
import { sameHub } from './values.js';

const roundsMax = 6;
/** A value that grows with each round need not grow further to prove it. */
const textMax = 2_000;

/** One problem per field that never settles. `schemas`: what the spokes describe, where they were asked. */
export function findUnsettled(
  mapping: Mapping,
  place: PlaceFinder = () => null,
  schemas: ReadonlyMap<string, Described> = new Map(),
): readonly Problem[] {
  return [...mapping.entities.values()].flatMap((entity) => unsettledFields(entity, place, schemas));
}

/** What a spoke is written and shows of the fields in question. */
interface View {
  readonly spoke: SpokeMapping;
  readonly fields: readonly FieldMapping[];
  readonly described: ReadonlyMap<string, DescribedField>;
}

interface Step {
  /** null: what the hub began with. */
  readonly spoke: SpokeMapping | null;
  readonly values: ReadonlyMap<FieldName, HubValue>;
}

interface Endless {
  readonly views: readonly View[];
  readonly fields: readonly FieldName[];
  readonly steps: readonly Step[];
}

function unsettledFields(
  entity: Entity,
  place: PlaceFinder,
  schemas: ReadonlyMap<string, Described>,
): readonly Problem[] {
  const found: Endless[] = [];
  const told = new Set<FieldName>();
  const add = (endless: Endless | null): void => {
    if (endless === null || endless.fields.every((name) => told.has(name))) return;
    for (const name of endless.fields) told.add(name);
    found.push(endless);
  };
  for (const { name } of entity.fields) add(endlessOf(entity, viewsOf(entity, schemas, new Set([name]))));
  // Fields that are made of each other, such as a whole name and its parts.
  const rest = new Set(entity.fields.map(({ name }) => name).filter((name) => !told.has(name)));
  add(endlessOf(entity, viewsOf(entity, schemas, rest)));
  return found.map((endless) => problemOf(entity, endless, place));
}

/** References are left out: ids are translated through links. A way in only or out only closes no circle by itself. */
function viewsOf(
  entity: Entity,
  schemas: ReadonlyMap<string, Described>,
  names: ReadonlySet<FieldName>,
): readonly View[] {
  return [...entity.spokes.values()].flatMap((spoke): View[] => {
    const fields = spoke.fields.filter(({ field }) => names.has(field.name) && field.ref === null);
    if (fields.length === 0 || spoke.direction !== 'both') return [];
    const object = schemas.get(spoke.spoke)?.objects.find((one) => one.name === parentOf(spoke));
    const described = spoke.embedded === null ? object?.fields : object?.children[spoke.embedded.child];
    return [{ spoke, fields, described: new Map((described ?? []).map((one) => [one.path, one])) }];
  });
}

const parentOf = (spoke: SpokeMapping): string => spoke.embedded?.parentObject ?? spoke.object;

/** The smallest set of spokes that never settles: one, two, or all of them. */
function endlessOf(entity: Entity, views: readonly View[]): Endless | null {
  const pairs = views.flatMap((a, i) => views.slice(i + 1).map((b) => [a, b]));
  const sets = [...views.map((view) => [view]), ...pairs, ...(views.length > 2 ? [views] : [])];
  for (const set of sets) {
    for (const row of rowsOf(entity, set)) {
      const endless = turns(set, row);
      if (endless !== null) return endless;
    }
  }
  return null;
}

/** Rows of samples: the i-th sample of every field together. */
function rowsOf(entity: Entity, views: readonly View[]): readonly ReadonlyMap<FieldName, HubValue>[] {
  const names = new Set(views.flatMap(({ fields }) => fields.map(({ field }) => field.name)));
  const fields = entity.fields.filter(({ name }) => names.has(name));
  const samples = new Map(fields.map((field) => [field.name, samplesOf(field)]));
  const most = Math.max(0, ...[...samples.values()].map((values) => values.length));
  return Array.from({ length: most }, (_, i) => {
    return new Map([...samples].map(([name, values]) => [name, values[i % Math.max(1, values.length)] ?? null]));
  });
}

/** Null when the values settle, or when a lens refuses one: such a record is parked, it does not go round. */
function turns(views: readonly View[], start: ReadonlyMap<FieldName, HubValue>): Endless | null {
  const row = new Map(start);
  const screens = views.map(() => new Map<RemotePath, RemoteValue>());
  const steps: Step[] = [{ spoke: null, values: start }];
  try {
    for (let round = 0; round < roundsMax; round += 1) {
      const changed = new Set<FieldName>();
      for (const [i, view] of views.entries()) {
        for (const name of showOn(view, screens[i] ?? new Map(), row)) changed.add(name);
        steps.push({ spoke: view.spoke, values: new Map(row) });
      }
      if (changed.size === 0) return null;
      if (round === roundsMax - 1) return { views, fields: [...changed], steps };
    }
  } catch (error) {
    if (!(error instanceof BadValue)) throw error;
  }
  return null;
}

/** Sends the row, reads it back as the spoke shows it, and returns the fields that came back as another value. */
function showOn(view: View, screen: Map<RemotePath, RemoteValue>, row: Map<FieldName, HubValue>): FieldName[] {
  for (const field of view.fields) {
    if (field.writes.length === 0) continue;
    const values = field.put(row.get(field.field.name) ?? null);
    for (const [i, path] of field.writes.entries())
      screen.set(path, asStored(view.described.get(path), values[i] ?? null));
  }
  return view.fields.flatMap((field): FieldName[] => {
    const { name, type } = field.field;
    // What nobody writes there is not observed: it says nothing.
    if (field.direction === 'out' || !field.reads.some((path) => screen.has(path))) return [];
    const shown = readBack(field, screen);
    if (typeof shown === 'string' && shown.length > textMax) return [];
    if (sameHub(type, shown, row.get(name) ?? null)) return [];
    row.set(name, shown);
    return [name];
  });
}

/** Paths that are read and never written hold something of their own: nothing, or a word where an expression needs one. */
function readBack(field: FieldMapping, screen: ReadonlyMap<RemotePath, RemoteValue>): HubValue {
  const valuesWith = (other: RemoteValue): RemoteValue[] =>
    field.reads.map((path) => (screen.has(path) ? (screen.get(path) ?? null) : other));
  try {
    return field.get(valuesWith(null));
  } catch (error) {
    if (!(error instanceof BadValue) || field.reads.every((path) => screen.has(path))) throw error;
    return field.get(valuesWith('x'));
  }
}

/** What the remote keeps of a value, as far as its description tells: digits after the point, length, closed list. */
function asStored(described: DescribedField | undefined, value: RemoteValue): RemoteValue {
  if (described === undefined || value === null) return value;
  const { scale, maxLength, values, type } = described;
  if (type === 'number' && scale !== undefined && (typeof value === 'number' || typeof value === 'string')) {
    const parsed = parseDecimal(String(value));
    return parsed === null ? value : exactNumber(formatDecimal(rescale(parsed, scale)));
  }
  if (typeof value !== 'string') return value;
  const refused = (values !== undefined && !values.includes(value)) || (maxLength ?? Infinity) < value.length;
  if (refused) throw new BadValue('refused', 'the remote would not take the value');
  return value;
}

const quoted = (value: HubValue): string => (value === null ? 'null' : JSON.stringify(value.slice(0, 60)));

function problemOf(entity: Entity, { views, fields, steps }: Endless, place: PlaceFinder): Problem {
  const [field] = fields as readonly [FieldName, ...FieldName[]];
  const names = views.map(({ spoke }) => spoke.spoke);
  const last = views.findLast((view) => view.fields.some((one) => one.field.name === field)) as View;
  const trail = steps.slice(-Math.max(2, views.length)).map(({ spoke, values }) => {
    const value = quoted(values.get(field) ?? null);
    return spoke === null ? value : `${value} in ${spoke.spoke}`;
  });
  const start = quoted(steps[0]?.values.get(field) ?? null);
  const who = fields.map((name) => `'${name}'`).join(' and ');
  const where = names.length === 1 ? `in ${names[0] ?? ''}` : `between ${names.join(' and ')}`;
  const message = `${who} never ${fields.length > 1 ? 'settle' : 'settles'} ${where}: ${start} ends as ${trail.join(', then ')}, and so on`;
  const keeps = views.flatMap(({ spoke, described, fields: mapped }) =>
    mapped
      .filter((one) => one.field.name === field)
      .flatMap(({ writes }) => writes)
      .flatMap((path) => {
        const scale = described.get(path)?.scale;
        return scale === undefined ? [] : [`${spoke.spoke} keeps ${scale} digits after the point in ${path}`];
      }),
  );
  const advice =
    names.length === 1
      ? `what \`in\` reads must give back what \`out\` wrote: use a lens, or let '${field}' go one way there (direction: in or out)`
      : `give '${field}' the same lens in ${names.join(' and ')}, or let it go one way (direction: in or out) in one of them`;
  const at = place(entity.name, ['spokes', last.spoke.spoke, 'fields', field]) ?? {};
  return { ...at, message, hint: [...keeps, advice].join('; ') };
}
