// Owns what objects and fields the org has: the part of the standard schema that the engine maps, shaped after the public
// object reference, plus the custom fields that the options add. Read only once built.
import { standardObjects, systemFields, defaultCustomFields } from './standard-objects.js';
import type { ChildRelation, FieldDef, FieldSpec, ObjectDef } from './words.js';

const textual = new Set(['string', 'textarea', 'email', 'phone', 'url', 'picklist', 'multipicklist', 'combobox']);

/** Fills a specification with the defaults of its type. */
export function fieldOf(spec: FieldSpec): FieldDef {
  const type = spec.type ?? 'string';
  const custom = spec.custom ?? spec.name.endsWith('__c');
  const length = textual.has(type) ? (type === 'phone' ? 40 : type === 'email' ? 80 : 255) : 0;
  const bare: FieldDef = {
    name: spec.name,
    label: spec.name
      .replace(/__c$/, '')
      .replace(/_/g, ' ')
      .replace(/([a-z])([A-Z0-9])/g, '$1 $2')
      .replace(/ Id$/, ' ID'),
    type,
    length: type === 'id' || type === 'reference' ? 18 : length,
    precision: 0,
    scale: 0,
    nillable: type !== 'boolean',
    createable: true,
    updateable: true,
    defaultedOnCreate: type === 'boolean',
    defaultValue: type === 'boolean' ? false : null,
    needed: false,
    unique: false,
    caseSensitive: false,
    externalId: false,
    idLookup: spec.externalId ?? false,
    nameField: false,
    custom,
    calculated: false,
    autoNumber: false,
    picklist: [],
    restrictedPicklist: false,
    referenceTo: [],
    relationshipName: spec.name.endsWith('__c') ? spec.name.replace(/__c$/, '__r') : spec.name.replace(/Id$/, ''),
    childName: null,
    onParentDelete: 'clear',
    addressPrefix: null,
  };
  const whole = { ...bare, ...spec };
  return type === 'reference' ? whole : { ...whole, relationshipName: null };
}

export class Catalogue {
  private readonly byName = new Map<string, ObjectDef>();
  private readonly fieldsByName = new Map<string, Map<string, FieldDef>>();
  private readonly byPrefix = new Map<string, ObjectDef>();
  private readonly childrenOf = new Map<string, ChildRelation[]>();

  constructor(
    customFields: Readonly<Record<string, readonly FieldSpec[]>> = {},
    customObjects: readonly { name: string; keyPrefix: string; fields: readonly FieldSpec[] }[] = [],
  ) {
    const plain = customObjects.map((object) => ({
      label: object.name.replace(/__c$/, ''),
      labelPlural: `${object.name.replace(/__c$/, '')}s`,
      ...object,
    }));
    for (const object of [...standardObjects, ...plain]) {
      const added = [...(defaultCustomFields[object.name] ?? []), ...(customFields[object.name] ?? [])];
      // A later specification of the same field wins: options may change what the defaults gave.
      const specs = new Map(
        [...systemFields(object.name), ...object.fields, ...added].map((spec) => [spec.name, spec]),
      );
      const { name, keyPrefix, label, labelPlural } = object;
      const flags = { createable: true, deletable: true, mergeable: false, undeletable: true };
      this.add({ ...flags, ...object, name, keyPrefix, label, labelPlural, fields: [...specs.values()].map(fieldOf) });
    }
    for (const object of this.byName.values()) this.relate(object);
  }

  objects(): readonly ObjectDef[] {
    return [...this.byName.values()];
  }

  /** Names are case-insensitive, as everywhere in the API. */
  object(name: string): ObjectDef | undefined {
    return this.byName.get(name.toLowerCase());
  }

  ofId(id: string): ObjectDef | undefined {
    return this.byPrefix.get(id.slice(0, 3));
  }

  field(object: string, name: string): FieldDef | undefined {
    return this.fieldsByName.get(object.toLowerCase())?.get(name.toLowerCase());
  }

  /** The reference field behind a relationship name such as `Account` on Contact. */
  parent(object: string, relationship: string): FieldDef | undefined {
    const wanted = relationship.toLowerCase();
    return this.object(object)?.fields.find((field) => field.relationshipName?.toLowerCase() === wanted);
  }

  children(object: string): readonly ChildRelation[] {
    return this.childrenOf.get(object) ?? [];
  }

  child(object: string, childName: string): ChildRelation | undefined {
    if (childName === '') return undefined;
    return this.children(object).find((relation) => relation.childName.toLowerCase() === childName.toLowerCase());
  }

  private add(object: ObjectDef): void {
    this.byName.set(object.name.toLowerCase(), object);
    this.byPrefix.set(object.keyPrefix, object);
    this.fieldsByName.set(
      object.name.toLowerCase(),
      new Map(object.fields.map((field) => [field.name.toLowerCase(), field])),
    );
  }

  private relate(object: ObjectDef): void {
    for (const field of object.fields) {
      if (field.type !== 'reference' || field.onParentDelete === 'keep') continue;
      for (const parent of field.referenceTo) {
        const list = this.childrenOf.get(parent) ?? [];
        list.push({ parent, childName: field.childName ?? '', child: object.name, field });
        this.childrenOf.set(parent, list);
      }
    }
  }
}
