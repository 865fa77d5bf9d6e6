// Owns the words of the simulated org: values, rows, field and object definitions, who acts.

export type Value = string | number | boolean | null;

/** What an answer is made of. */
export type Json = Value | { readonly [key: string]: Json } | readonly Json[];

/** A stored record: every stored field present. Never changed in place; an edit makes a new object. */
export type Row = Readonly<Record<string, Value>>;

export type FieldType =
  | 'id'
  | 'string'
  | 'textarea'
  | 'email'
  | 'phone'
  | 'url'
  | 'picklist'
  | 'multipicklist'
  | 'combobox'
  | 'boolean'
  | 'int'
  | 'double'
  | 'currency'
  | 'percent'
  | 'date'
  | 'datetime'
  | 'reference'
  | 'address';

export interface FieldDef {
  readonly name: string;
  readonly label: string;
  readonly type: FieldType;
  readonly length: number;
  readonly precision: number;
  readonly scale: number;
  readonly nillable: boolean;
  readonly createable: boolean;
  readonly updateable: boolean;
  /** The org fills it on create when absent. */
  readonly defaultedOnCreate: boolean;
  readonly defaultValue: Value;
  /** Must be given on create although `nillable` says otherwise (rules of the platform, not of the column). */
  readonly needed: boolean;
  readonly unique: boolean;
  readonly caseSensitive: boolean;
  readonly externalId: boolean;
  readonly idLookup: boolean;
  readonly nameField: boolean;
  readonly custom: boolean;
  readonly calculated: boolean;
  readonly autoNumber: boolean;
  readonly picklist: readonly string[];
  readonly restrictedPicklist: boolean;
  readonly referenceTo: readonly string[];
  readonly relationshipName: string | null;
  /** Name of the list of these records on the parent, e.g. `Contacts`. */
  readonly childName: string | null;
  readonly onParentDelete: 'cascade' | 'restrict' | 'clear' | 'keep';
  /** A compound address: the prefix of its parts, e.g. `Mailing`. Not stored. */
  readonly addressPrefix: string | null;
}

/** A field as options and catalogue write it: only what differs from an optional, editable 255-character text. */
export type FieldSpec = Partial<FieldDef> & { readonly name: string };

export interface ObjectDef {
  readonly name: string;
  readonly label: string;
  readonly labelPlural: string;
  readonly keyPrefix: string;
  readonly createable: boolean;
  readonly deletable: boolean;
  readonly mergeable: boolean;
  readonly undeletable: boolean;
  readonly fields: readonly FieldDef[];
}

export interface ChildRelation {
  readonly parent: string;
  /** '' when the parent has no list of these children. */
  readonly childName: string;
  readonly child: string;
  readonly field: FieldDef;
}

/** Who does something, through which door. Ends up in the ledger and in change events. */
export interface Actor {
  readonly userId: string;
  readonly name: string;
  readonly route: string;
  readonly requestId: string | null;
  /** The `client` of Sforce-Call-Options, shown in change events as `changeOrigin`. */
  readonly client: string | null;
  /** Version of the API used, e.g. `60.0`; null for a person. */
  readonly apiVersion: string | null;
  readonly allowDuplicates: boolean;
}
