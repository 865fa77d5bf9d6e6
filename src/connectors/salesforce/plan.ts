// Owns turning "these paths of this object" into a read plan, and the text of its SELECT. Paths we cannot see are left out
// (absent is not null); the container of companions is looked up once.
import { SpokePaused } from '../../base/errors.js';
import type { CallOptions, Fields } from '../connector.js';
import type { Catalogue, CatalogueObject, Column } from './catalogue.js';
import type { SalesforceConfig } from './config.js';
import { companionOf, type Companion } from './companions.js';
import { id18, isId } from './errors.js';
import type { Query } from './query.js';
import { companionSystem, type CompanionPlan, type ReadPlan } from './record.js';
import { quoted } from './soql.js';

export interface Planner {
  plan(object: string, fields: Fields, options: CallOptions): Promise<ReadPlan>;
  /** Remembers paths that are read anyway, so that a read-back after a write shows them too. */
  wide(object: string, extra: readonly string[], options: CallOptions): Promise<ReadPlan>;
  /** Id of the container (price book) that companions of `companion` live in. */
  scopeId(companion: Companion, options: CallOptions): Promise<string | null>;
  forget(): void;
}

export function createPlanner(parts: {
  spoke: string;
  config: SalesforceConfig;
  catalogue: Catalogue;
  query: Query;
}): Planner {
  const { spoke, config, catalogue, query } = parts;
  const scopes = new Map<string, Promise<string | null>>();
  const seen = new Map<string, Set<string>>();

  const scopeId = (companion: Companion, options: CallOptions): Promise<string | null> => {
    const known = scopes.get(companion.scope.object);
    if (known !== undefined) return known;
    const asked = findScope(companion, config.pricebook, { catalogue, query, options });
    scopes.set(companion.scope.object, asked);
    asked.then(
      (id) => id === null && scopes.delete(companion.scope.object),
      () => scopes.delete(companion.scope.object),
    );
    return asked;
  };

  const companionPlan = async (
    object: CatalogueObject,
    paths: readonly string[],
    options: CallOptions,
  ): Promise<CompanionPlan | null> => {
    const definition = companionOf(object.name);
    if (definition === null) return null;
    const second = await catalogue.find(definition.companion, options);
    const id = second === null ? null : await scopeId(definition, options);
    if (second === null || id === null) {
      if (paths.length === 0) return null;
      throw new SpokePaused({
        spoke,
        code: 'companion_missing',
        message: `${spoke}: ${definition.companion} of the ${config.pricebook ?? 'standard'} ${definition.scope.object} cannot be read`,
        hint: 'set pricebook to an existing one, or give the integration user access',
      });
    }
    const columns: Column[] = [];
    for (const path of paths) {
      const column = await catalogue.column(second, path.slice(definition.prefix.length + 1), options);
      if (column !== null) columns.push({ ...column, path: path as Column['path'] });
    }
    return { definition, object: second, scopeId: id, columns };
  };

  const build = async (name: string, paths: readonly string[], options: CallOptions): Promise<ReadPlan> => {
    const object = await catalogue.object(name, options);
    const prefix = companionOf(name)?.prefix;
    const main = paths.filter((path) => prefix === undefined || !path.startsWith(`${prefix}.`));
    const second = paths.filter((path) => !main.includes(path));
    const columns: Column[] = [];
    for (const path of main) {
      const column = await catalogue.column(object, path, options);
      if (column !== null) columns.push(column);
    }
    const hubKeyField = object.fields.has(config.externalIdField) ? config.externalIdField : null;
    const system = ['Id', 'SystemModstamp', 'IsDeleted', 'LastModifiedById', 'MasterRecordId', config.externalIdField];
    return {
      object,
      system: system.filter((field) => object.fields.has(field)),
      columns,
      hubKeyField,
      companion: await companionPlan(object, second, options),
    };
  };

  return {
    async plan(name, fields, options) {
      if (Object.keys(fields.children).length > 0) {
        throw new SpokePaused({
          spoke,
          code: 'no_children',
          message: `${spoke}: ${name} embeds no children; they are objects of their own`,
          hint: 'map the child as an entity with its own object',
        });
      }
      const known = seen.get(name) ?? new Set();
      for (const path of fields.paths) known.add(path);
      seen.set(name, known);
      return build(name, [...new Set(fields.paths)], options);
    },
    wide: (name, extra, options) => build(name, [...new Set([...(seen.get(name) ?? []), ...extra])], options),
    scopeId,
    forget() {
      scopes.clear();
      catalogue.forget();
    },
  };
}

async function findScope(
  companion: Companion,
  configured: string | null,
  parts: { catalogue: Catalogue; query: Query; options: CallOptions },
): Promise<string | null> {
  const { object, standardField } = companion.scope;
  if (configured !== null && isId(configured)) return id18(configured);
  if ((await parts.catalogue.find(object, parts.options)) === null) return null;
  const where = configured === null ? `${standardField} = true` : `Name = ${quoted(configured)}`;
  const rows = await parts.query.all(`SELECT Id FROM ${object} WHERE ${where} ORDER BY Id LIMIT 1`, parts.options);
  const id = rows[0]?.['Id'];
  return typeof id === 'string' ? id18(id) : null;
}

/** `SELECT … FROM …` of a plan. `nested`: with the companion as a child query (not allowed in bulk). */
export function selectFrom(plan: ReadPlan, nested: boolean): string {
  const names = [...new Set([...plan.system, ...plan.columns.map((column) => column.select)])];
  const companion = nested ? plan.companion : null;
  if (companion !== null) names.push(`(${companionSelect(companion, companion.definition.relationship)})`);
  return `SELECT ${names.join(', ')} FROM ${plan.object.name}`;
}

export function companionSelect(companion: CompanionPlan, from: string, extra: readonly string[] = []): string {
  const names = [
    ...companionSystem.filter((field) => companion.object.fields.has(field)),
    ...extra,
    ...companion.columns.map((column) => column.select),
  ];
  return `SELECT ${[...new Set(names)].join(', ')} FROM ${from} WHERE ${companion.definition.scope.field} = ${quoted(companion.scopeId)}`;
}
