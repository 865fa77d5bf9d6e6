// Owns reading the fields of an incoming record: names against the catalogue, values by type, parents named by their external
// id (`{"Account": {"Code__c": "A1"}}` or a CSV column `Account.Code__c`).
import { ApiError } from './errors.js';
import type { Org } from './org.js';
import { storedValue, parserError, type Source } from './values.js';
import type { FieldDef, ObjectDef, Value } from './words.js';

export interface Input {
  readonly values: Readonly<Record<string, Value>>;
  readonly fields: readonly FieldDef[];
  readonly given: ReadonlySet<string>;
}

export function readInput(org: Org, object: ObjectDef, raw: Readonly<Record<string, unknown>>, source: Source): Input {
  const values: Record<string, Value> = {};
  const fields: FieldDef[] = [];
  for (const [name, value] of Object.entries(raw)) {
    if (name === 'attributes') continue;
    const field = org.catalogue.field(object.name, name);
    if (field !== undefined) {
      fields.push(field);
      values[field.name] = storedValue(field, value, source);
      continue;
    }
    const [relationship = '', parentField] = name.split('.');
    const reference = org.catalogue.parent(object.name, relationship);
    if (reference === undefined || (parentField === undefined && (typeof value !== 'object' || value === null))) {
      throw new ApiError('INVALID_FIELD', `No such column '${name}' on sobject of type ${object.name}`);
    }
    fields.push(reference);
    const pairs =
      parentField === undefined
        ? Object.entries(value as object).filter(([key]) => key !== 'attributes' && key !== 'type')
        : [[parentField, value] as const];
    values[reference.name] = parentByKey(org, reference, pairs);
  }
  return { values, fields, given: new Set(fields.map((field) => field.name)) };
}

function parentByKey(org: Org, reference: FieldDef, pairs: readonly (readonly [string, unknown])[]): string | null {
  const [pair, ...more] = pairs;
  if (pair === undefined || more.length > 0) throw parserError('reference', pairs);
  const [name, value] = pair;
  if (value === null || value === '') return null;
  for (const parent of reference.referenceTo) {
    const field = org.catalogue.field(parent, name);
    if (field === undefined || !(field.externalId || field.idLookup)) continue;
    const text = String(value);
    const rows = field.type === 'id' ? [{ Id: text }] : org.store.table(parent).matching(field, text);
    const [row, second] = rows;
    if (row === undefined) {
      throw new ApiError(
        'INVALID_FIELD',
        `Foreign key external ID: ${text} not found for field ${field.name} in entity ${parent}`,
      );
    }
    if (second !== undefined) {
      throw new ApiError(
        'INVALID_FIELD',
        `${field.name}: more than one record found for external id field: [${rows.map((one) => String(one['Id'])).join(', ')}]`,
      );
    }
    return String(row['Id']);
  }
  throw new ApiError(
    'INVALID_FIELD',
    `Field name provided, ${name} is not an External ID or indexed field for ${reference.referenceTo.join(', ')}`,
  );
}
