// Owns the allow-list: which objects and fields exist and are visible to us, as the org describes them. No name that is not in
// here gets into a URL or a query. Reads the global list first, so even a describe call carries only a name the org gave.
import { Retriable, SpokePaused } from '../../base/errors.js';
import { objectName, remotePath, type ObjectName, type RemotePath } from '../../model/ids.js';
import type { CallOptions, RemoteField, RemoteObject } from '../connector.js';
import type { SalesforceClient } from './client.js';
import { companionOf, translationOf } from './companions.js';

export interface CatalogueField {
  readonly name: string;
  readonly type: RemoteField['type'];
  /** The org's own type name: `multipicklist`, `currency`, `datetime`, … */
  readonly sfType: string;
  readonly nullable: boolean;
  readonly createable: boolean;
  readonly updateable: boolean;
  readonly filterable: boolean;
  readonly caseSensitive: boolean;
  readonly externalId: boolean;
  readonly unique: boolean;
  readonly maxLength: number | undefined;
  readonly scale: number | undefined;
  readonly values: readonly string[] | undefined;
  readonly references: readonly string[];
  readonly relationshipName: string | null;
}

export interface CatalogueObject {
  readonly name: string;
  readonly keyPrefix: string | null;
  readonly fields: ReadonlyMap<string, CatalogueField>;
  readonly createable: boolean;
  readonly updateable: boolean;
  readonly deletable: boolean;
}

/** A readable path, resolved: `select` is made of the org's own names only. */
export interface Column {
  readonly path: RemotePath;
  readonly select: string;
  readonly segments: readonly string[];
  readonly field: CatalogueField;
}

export interface Catalogue {
  /** null when the org shows us no such object. */
  find(name: string, options: CallOptions): Promise<CatalogueObject | null>;
  /** Throws SpokePaused when the org shows us no such object. */
  object(name: string, options: CallOptions): Promise<CatalogueObject>;
  /** null when the path is not visible to us; throws SpokePaused when it is no path at all. */
  column(object: CatalogueObject, path: string, options: CallOptions): Promise<Column | null>;
  /** The next use describes again. */
  forget(): void;
}

const identifier = /^[A-Za-z]\w{0,79}$/;
const relationshipsMax = 5;

export function createCatalogue(client: SalesforceClient, spoke: string): Catalogue {
  let names: Promise<ReadonlySet<string>> | null = null;
  const objects = new Map<string, Promise<CatalogueObject | null>>();

  const remembered = <T>(promise: Promise<T>, forgetIt: () => void): Promise<T> => {
    promise.catch(forgetIt);
    return promise;
  };

  const globalNames = (options: CallOptions): Promise<ReadonlySet<string>> =>
    (names ??= remembered(listNames(client, spoke, options), () => (names = null)));

  const describe = async (name: string, options: CallOptions): Promise<CatalogueObject | null> =>
    identifier.test(name) && (await globalNames(options)).has(name)
      ? describeObject(client, spoke, name, options)
      : null;

  const catalogue: Catalogue = {
    find(name, options) {
      const known = objects.get(name);
      if (known !== undefined) return known;
      if (!identifier.test(name)) return Promise.resolve(null);
      const asked = remembered(describe(name, options), () => objects.delete(name));
      objects.set(name, asked);
      return asked;
    },
    async object(name, options) {
      const found = await catalogue.find(name, options);
      if (found === null) throw notThere(spoke, `object ${JSON.stringify(name.slice(0, 100))}`);
      return found;
    },
    async column(object, path, options) {
      const segments = path.split('.');
      if (segments.length > relationshipsMax + 1 || !segments.every((segment) => identifier.test(segment))) {
        throw notThere(spoke, `path ${JSON.stringify(path.slice(0, 100))} of ${object.name}`);
      }
      const field = await resolve(catalogue, object, segments, options);
      return field === null ? null : { path: remotePath(path), select: path, segments, field };
    },
    forget() {
      names = null;
      objects.clear();
    },
  };
  return catalogue;
}

async function resolve(
  catalogue: Catalogue,
  object: CatalogueObject,
  segments: readonly string[],
  options: CallOptions,
): Promise<CatalogueField | null> {
  const [first, ...rest] = segments;
  if (first === undefined) return null;
  if (rest.length === 0) return object.fields.get(first) ?? null;
  for (const field of object.fields.values()) {
    if (field.relationshipName !== first) continue;
    for (const target of field.references) {
      const parent = await catalogue.find(target, options);
      const found = parent === null ? null : await resolve(catalogue, parent, rest, options);
      if (found !== null) return found;
    }
  }
  return null;
}

function notThere(spoke: string, what: string): SpokePaused {
  return new SpokePaused({
    spoke,
    code: 'not_in_catalogue',
    message: `${spoke}: ${what} is not in the org's catalogue; no call was made`,
    hint: 'correct the mapping, or give the integration user access, then resume the spoke',
  });
}

async function listNames(client: SalesforceClient, spoke: string, options: CallOptions): Promise<ReadonlySet<string>> {
  const reply = await client.call({ method: 'GET', path: '/sobjects', accept: 'json', effect: false, ...options });
  const list = (reply.json as { sobjects?: unknown } | undefined)?.sobjects;
  if (!Array.isArray(list))
    throw new Retriable({
      spoke,
      code: 'describe_failed',
      message: `${spoke}: the list of objects answered ${reply.status}`,
    });
  return new Set(
    list.flatMap((one: unknown) => {
      const name = (one as { name?: unknown } | null)?.name;
      return typeof name === 'string' ? [name] : [];
    }),
  );
}

async function describeObject(
  client: SalesforceClient,
  spoke: string,
  name: string,
  options: CallOptions,
): Promise<CatalogueObject | null> {
  const reply = await client.call({
    method: 'GET',
    path: `/sobjects/${name}/describe`,
    accept: 'json',
    effect: false,
    ...options,
  });
  if (reply.status === 404) return null;
  const raw = reply.json as Record<string, unknown> | undefined;
  if (reply.status !== 200 || raw === undefined || !Array.isArray(raw['fields'])) {
    throw new Retriable({
      spoke,
      code: 'describe_failed',
      message: `${spoke}: describe of ${name} answered ${reply.status}`,
    });
  }
  const fields = new Map<string, CatalogueField>();
  for (const one of raw['fields'] as Record<string, unknown>[]) {
    const field = fieldOf(one);
    if (field !== null) fields.set(field.name, field);
  }
  return {
    name,
    keyPrefix: typeof raw['keyPrefix'] === 'string' ? raw['keyPrefix'] : null,
    fields,
    createable: raw['createable'] === true,
    updateable: raw['updateable'] === true,
    deletable: raw['deletable'] === true,
  };
}

const types: Readonly<Record<string, RemoteField['type']>> = {
  id: 'id',
  reference: 'id',
  string: 'text',
  email: 'text',
  phone: 'text',
  url: 'text',
  picklist: 'text',
  textarea: 'text',
  encryptedstring: 'text',
  combobox: 'text',
  time: 'text',
  anyType: 'text',
  multipicklist: 'list',
  boolean: 'boolean',
  double: 'number',
  currency: 'number',
  percent: 'number',
  int: 'number',
  long: 'number',
  date: 'date',
  datetime: 'timestamp',
};

/** null for compound and binary fields: no bulk query can read them and no mapping can compare them. */
function fieldOf(raw: Record<string, unknown>): CatalogueField | null {
  const { name, type } = raw as { name?: unknown; type?: unknown };
  if (typeof name !== 'string' || typeof type !== 'string') return null;
  const known = Object.hasOwn(types, type) ? types[type] : undefined;
  if (known === undefined) return null;
  const count = (key: string): number | undefined =>
    typeof raw[key] === 'number' && raw[key] > 0 ? raw[key] : undefined;
  const values = Array.isArray(raw['picklistValues'])
    ? (raw['picklistValues'] as { active?: unknown; value?: unknown }[])
    : [];
  return {
    name,
    type: known,
    sfType: type,
    nullable: raw['nillable'] !== false,
    createable: raw['createable'] === true,
    updateable: raw['updateable'] === true,
    filterable: raw['filterable'] !== false,
    caseSensitive: raw['caseSensitive'] === true,
    externalId: raw['externalId'] === true || raw['idLookup'] === true,
    unique: raw['unique'] === true,
    maxLength: known === 'text' ? count('length') : undefined,
    scale: known === 'number' && typeof raw['scale'] === 'number' ? raw['scale'] : undefined,
    values:
      raw['restrictedPicklist'] === true && type === 'picklist'
        ? values.flatMap((one) => (one.active !== false && typeof one.value === 'string' ? [one.value] : []))
        : undefined,
    references: Array.isArray(raw['referenceTo']) ? raw['referenceTo'].filter((one) => typeof one === 'string') : [],
    relationshipName: typeof raw['relationshipName'] === 'string' ? raw['relationshipName'] : null,
  };
}

/** The object as the contract shows it: companion fields under their prefix, translated fields createable. */
export async function remoteObject(
  catalogue: Catalogue,
  object: CatalogueObject,
  options: CallOptions,
): Promise<RemoteObject> {
  const fields = [...object.fields.values()].map((field) => shown(field, field.name));
  const companion = companionOf(object.name);
  const second = companion === null ? null : await catalogue.find(companion.companion, options);
  if (companion !== null && second !== null) {
    const hidden = new Set(['Id', companion.parentField, companion.scope.field]);
    for (const field of second.fields.values()) {
      if (!hidden.has(field.name)) fields.push(shown(field, `${companion.prefix}.${field.name}`));
    }
  }
  const translated = translationOf(object.name)?.path;
  return {
    name: objectName(object.name),
    fields: fields.map((field) => (field.path === translated ? { ...field, createable: true } : field)),
    children: {},
    createable: object.createable,
    updateable: object.updateable,
    deletable: object.deletable,
  };
}

function shown(field: CatalogueField, path: string): RemoteField {
  return {
    path: remotePath(path),
    type: field.type,
    nullable: field.nullable,
    createable: field.createable,
    updateable: field.updateable,
    maxLength: field.maxLength,
    scale: field.scale,
    values: field.values,
    references:
      field.references.length === 0 ? undefined : field.references.map((name): ObjectName => objectName(name)),
  };
}
