// Owns the table of objects whose fields live in a second object, and of fields that Salesforce wants under another name on
// write. Data only: reading and writing follow it without naming an object.

/** `path` `<prefix>.<Field>` of `object` is `<Field>` of the one `companion` row whose `parentField` points to the record. */
export interface Companion {
  readonly object: string;
  readonly prefix: string;
  readonly companion: string;
  /** Child relationship of `object` that reads it. */
  readonly relationship: string;
  readonly parentField: string;
  /** Only the rows of one container count: the configured one, else the one marked as standard. */
  readonly scope: { readonly field: string; readonly object: string; readonly standardField: string };
  /** A companion cannot be created without these. */
  readonly requires: readonly string[];
  readonly defaults: Readonly<Record<string, boolean>>;
}

/** On create, `path` is given by the mapping and replaced by `into`: the id of the `through` row that joins it to the parent's container. */
export interface Translation {
  readonly object: string;
  readonly path: string;
  readonly into: string;
  readonly parentField: string;
  readonly parentObject: string;
  /** Field of the parent, and of `through`, that names the container. */
  readonly scopeField: string;
  readonly through: string;
  readonly throughPath: string;
  readonly activeField: string;
}

export const companions: readonly Companion[] = [
  {
    object: 'Product2',
    prefix: 'PricebookEntry',
    companion: 'PricebookEntry',
    relationship: 'PricebookEntries',
    parentField: 'Product2Id',
    scope: { field: 'Pricebook2Id', object: 'Pricebook2', standardField: 'IsStandard' },
    requires: ['UnitPrice'],
    defaults: { IsActive: true },
  },
];

export const translations: readonly Translation[] = [
  {
    object: 'OrderItem',
    path: 'Product2Id',
    into: 'PricebookEntryId',
    parentField: 'OrderId',
    parentObject: 'Order',
    scopeField: 'Pricebook2Id',
    through: 'PricebookEntry',
    throughPath: 'Product2Id',
    activeField: 'IsActive',
  },
];

export const companionOf = (object: string): Companion | null =>
  companions.find((one) => one.object === object) ?? null;
export const companionFor = (companion: string): Companion | null =>
  companions.find((one) => one.companion === companion) ?? null;
export const translationOf = (object: string): Translation | null =>
  translations.find((one) => one.object === object) ?? null;
