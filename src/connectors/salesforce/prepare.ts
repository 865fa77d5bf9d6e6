// Owns the step from a Write to the body of a call: every path checked against the catalogue, companion fields set apart, fields
// translated to the names Salesforce wants. A write that cannot work is refused here, before any call, and only that one.
import type { RemoteValue } from '../../model/record.js';
import { remotePath } from '../../model/ids.js';
import type { CallOptions, Write, WriteResult } from '../connector.js';
import type { Catalogue, CatalogueField, CatalogueObject } from './catalogue.js';
import { companionOf, translationOf, type Companion, type Translation } from './companions.js';
import { id18, isId } from './errors.js';
import type { Query } from './query.js';
import { outgoing, type Raw } from './record.js';
import { groups, quoted, soqlUrlMax } from './soql.js';

export type Body = Record<string, null | string | number | boolean>;

/** One write, ready to go. */
export interface Prepared {
  /** Position in the caller's list. */
  readonly at: number;
  readonly write: Write;
  readonly body: Body;
  /** Fields of the companion, by their own names; null when none is touched. */
  readonly companion: Body | null;
  /** Records under one parent go in one call, or they lock each other out. */
  readonly parent: string;
}

export type Preparation = { readonly ready: Prepared } | { readonly refused: WriteResult };

export function refusal(code: string, message: string, paths: readonly string[]): WriteResult {
  return { outcome: 'rejected', code, message, recovery: 'park', paths: paths.map(remotePath) };
}

export interface PrepareParts {
  readonly catalogue: Catalogue;
  readonly externalIdField: string;
}

export async function prepare(
  parts: PrepareParts,
  write: Write,
  at: number,
  options: CallOptions,
): Promise<Preparation> {
  const object = await parts.catalogue.object(write.object, options);
  if (write.op !== 'create' && !isId(write.externalId)) {
    return { refused: refusal('MALFORMED_ID', `${write.externalId.slice(0, 40)} is no Salesforce id`, []) };
  }
  if (write.op === 'delete' || write.op === 'undelete')
    return { ready: { at, write, body: {}, companion: null, parent: '' } };
  if (Object.values(write.children).some((list) => list.length > 0)) {
    return {
      refused: refusal('NO_CHILDREN', `${object.name} embeds no children; map them as objects of their own`, []),
    };
  }
  const companion = companionOf(object.name);
  const second = companion === null ? null : await parts.catalogue.find(companion.companion, options);
  const split = bodies({ write, object, companion, second, translation: translationOf(object.name) });
  if ('refused' in split) return split;
  if (write.op === 'create') {
    const key = object.fields.get(parts.externalIdField);
    if (key?.externalId !== true || !key.unique) {
      const lacks = `${object.name} has no unique external id field ${parts.externalIdField}`;
      const message = `${lacks}: a create could not be repeated safely`;
      return {
        refused: refusal(
          'NO_EXTERNAL_ID_FIELD',
          `${message}. Add it (text 36, external id, unique) and give us access`,
          [],
        ),
      };
    }
    split.body[parts.externalIdField] = write.hubId;
  }
  return { ready: { at, write, ...split, parent: parentOf(object, split.body) } };
}

interface BodyParts {
  readonly write: Extract<Write, { op: 'create' | 'update' }>;
  readonly object: CatalogueObject;
  readonly companion: Companion | null;
  readonly second: CatalogueObject | null;
  readonly translation: Translation | null;
}

function bodies(parts: BodyParts): { body: Body; companion: Body | null } | { refused: WriteResult } {
  const { write, object, companion, second } = parts;
  const body: Body = {};
  const apart: Body = {};
  const wrong: string[] = [];
  let why = '';
  for (const [path, value] of Object.entries(write.fields)) {
    const prefixed = companion !== null && path.startsWith(`${companion.prefix}.`);
    const name = prefixed ? path.slice(companion.prefix.length + 1) : path;
    const field = (prefixed ? second : object)?.fields.get(name);
    const problem = unwritable(field, {
      value,
      create: write.op === 'create',
      translated: parts.translation?.path === path,
      prefixed,
    });
    if (problem !== null || field === undefined) {
      wrong.push(path);
      why ||= `${object.name}.${path} ${problem ?? 'is not visible to us'}`;
      continue;
    }
    (prefixed ? apart : body)[name] = outgoing(field, value);
  }
  if (wrong.length > 0) return { refused: refusal('FIELD_NOT_WRITABLE', why, wrong) };
  return { body, companion: Object.keys(apart).length === 0 ? null : apart };
}

function unwritable(
  field: CatalogueField | undefined,
  given: { value: RemoteValue; create: boolean; translated: boolean; prefixed: boolean },
): string | null {
  if (field === undefined) return 'is not visible to us';
  if (given.translated && given.create) return null;
  // A companion may exist or not: what can be written either way is decided when that is known.
  const allowed = given.prefixed
    ? field.createable || field.updateable
    : given.create
      ? field.createable
      : field.updateable;
  if (!allowed) return given.create ? 'cannot be set on create' : 'cannot be changed';
  try {
    outgoing(field, given.value);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : 'has a value that cannot be sent';
  }
}

function parentOf(object: CatalogueObject, body: Body): string {
  for (const [name, value] of Object.entries(body)) {
    if (object.fields.get(name)?.sfType === 'reference' && name !== 'OwnerId' && typeof value === 'string')
      return value;
  }
  return '';
}

/** Ids of rows that join a translated value to its parent's container; asked for in batches, remembered by id. */
export class Translator {
  readonly #containers = new Map<string, string>();
  readonly #rows = new Map<string, string>();

  constructor(
    private readonly parts: {
      query: Query;
      defaultScope: (translation: Translation, options: CallOptions) => Promise<string | null>;
    },
  ) {}

  /** The write is refused when no row joins them, even after asking anew. */
  async translate(list: readonly Prepared[], options: CallOptions): Promise<Preparation[]> {
    const asked = list.flatMap((prepared) => {
      const translation = prepared.write.op === 'create' ? translationOf(prepared.write.object) : null;
      return translation !== null && typeof prepared.body[translation.path] === 'string'
        ? [{ prepared, translation }]
        : [];
    });
    for (const translation of new Set(asked.map((one) => one.translation))) {
      await this.#learn(
        translation,
        asked.filter((one) => one.translation === translation).map((one) => one.prepared),
        options,
      );
    }
    const byPrepared = new Map(asked.map((one) => [one.prepared, one.translation]));
    return list.map((prepared) => {
      const translation = byPrepared.get(prepared);
      return translation === undefined ? { ready: prepared } : this.#apply(translation, prepared);
    });
  }

  /** A row that Salesforce refused is asked for again next time. */
  forget(prepared: Prepared): void {
    const translation = translationOf(prepared.write.object);
    if (translation === null) return;
    for (const [key, id] of this.#rows) if (id === prepared.body[translation.into]) this.#rows.delete(key);
  }

  #apply(translation: Translation, prepared: Prepared): Preparation {
    const { [translation.path]: target, ...rest } = prepared.body;
    const row = this.#rows.get(this.#key(prepared, translation));
    if (row !== undefined) return { ready: { ...prepared, body: { ...rest, [translation.into]: row } } };
    const message =
      `no active ${translation.through} joins ${String(target)} to the ${translation.scopeField} of ` +
      `${translation.parentObject} ${String(prepared.body[translation.parentField])}`;
    return {
      refused: refusal('NO_' + translation.through.toUpperCase(), `${message}; add one, then replay`, [
        translation.path,
      ]),
    };
  }

  #key(prepared: Prepared, translation: Translation): string {
    const container = this.#containers.get(id18(String(prepared.body[translation.parentField])));
    return `${translation.through} ${container ?? ''} ${id18(String(prepared.body[translation.path]))}`;
  }

  async #learn(translation: Translation, list: readonly Prepared[], options: CallOptions): Promise<void> {
    const ids = (field: string): string[] => [
      ...new Set(list.map((one) => id18(String(one.body[field]))).filter(isId)),
    ];
    const { parentField, parentObject, scopeField, through, throughPath, activeField } = translation;
    const parents = ids(parentField).filter((id) => !this.#containers.has(id));
    for (const row of await this.#rowsOf(
      `SELECT Id, ${scopeField} FROM ${parentObject} WHERE Id IN `,
      parents,
      options,
    )) {
      const container = row[scopeField];
      // A parent without a container takes on the one of its first row.
      const scope =
        typeof container === 'string' && container !== ''
          ? id18(container)
          : await this.parts.defaultScope(translation, options);
      if (scope !== null) this.#containers.set(id18(String(row['Id'])), scope);
    }
    const missing = list.filter((one) => !this.#rows.has(this.#key(one, translation)));
    const targets = [...new Set(missing.map((one) => id18(String(one.body[throughPath]))).filter(isId))];
    const select = `SELECT Id, ${throughPath}, ${scopeField} FROM ${through} WHERE ${activeField} = true AND ${throughPath} IN `;
    for (const row of await this.#rowsOf(select, targets, options)) {
      this.#rows.set(
        `${through} ${id18(String(row[scopeField]))} ${id18(String(row[throughPath]))}`,
        id18(String(row['Id'])),
      );
    }
  }

  async #rowsOf(select: string, ids: readonly string[], options: CallOptions): Promise<Raw[]> {
    const rows: Raw[] = [];
    for (const group of groups(ids, () => 27, soqlUrlMax - 500, 400)) {
      rows.push(...(await this.parts.query.all(`${select}(${group.map(quoted).join(',')})`, options)));
    }
    return rows;
  }
}
