// Owns the checks every save passes: required fields, references, unique values, duplicate rules, validation rules. In the
// order of the platform, so the first error is the one a real client would see.
import { ApiError, badReference, deleted } from './errors.js';
import type { Transaction } from './transaction.js';
import type { FieldDef, ObjectDef, Row } from './words.js';

/** Throws the first refusal. `given` names the fields this save sets or changes. */
export function checkSave(
  tx: Transaction,
  object: ObjectDef,
  row: Row,
  before: Row | null,
  given: ReadonlySet<string>,
): void {
  checkRequired(object, row, before, given);
  for (const field of object.fields) {
    const value = row[field.name];
    if (typeof value !== 'string' || (before !== null && before[field.name] === value)) continue;
    if (field.type === 'reference') checkReference(tx, field, value);
    if (field.unique) checkUnique(tx, object, field, value, String(row['Id']));
  }
  checkDuplicates(tx, object, row);
  for (const { rule } of tx.org.rules.validations.of(object.name)) {
    if (rule.rejects(row, before)) {
      throw new ApiError(
        'FIELD_CUSTOM_VALIDATION_EXCEPTION',
        rule.message,
        rule.field === undefined ? [] : [rule.field],
      );
    }
  }
}

function checkRequired(object: ObjectDef, row: Row, before: Row | null, given: ReadonlySet<string>): void {
  const missing = object.fields.filter((field) => {
    if (field.nillable && !field.needed) return false;
    if (!field.createable && !field.updateable) return false;
    if (before !== null && !given.has(field.name)) return false;
    return (row[field.name] ?? null) === null;
  });
  if (missing.length === 0) return;
  const names = missing.map((field) => field.name);
  throw new ApiError('REQUIRED_FIELD_MISSING', `Required fields are missing: [${names.join(', ')}]`, names);
}

function checkReference(tx: Transaction, field: FieldDef, id: string): void {
  const target = tx.org.catalogue.ofId(id);
  if (target === undefined || !field.referenceTo.includes(target.name)) {
    throw new ApiError('FIELD_INTEGRITY_EXCEPTION', `${field.label}: id value of incorrect type: ${id}`, [field.name]);
  }
  const row = tx.org.store.table(target.name).get(id);
  if (row === undefined) throw badReferenceAt(field);
  if (row['IsDeleted'] === true && field.onParentDelete !== 'keep') throw deletedAt(field);
}

const badReferenceAt = (field: FieldDef): ApiError =>
  new ApiError(badReference().errorCode, badReference().message, [field.name], 400);
const deletedAt = (field: FieldDef): ApiError =>
  new ApiError(deleted().errorCode, deleted().message, [field.name], 400);

function checkUnique(tx: Transaction, object: ObjectDef, field: FieldDef, value: string, id: string): void {
  const holder = tx.org.store.table(object.name).holder(field, value);
  if (holder === undefined || holder === id) return;
  throw new ApiError(
    'DUPLICATE_VALUE',
    `duplicate value found: ${field.name} duplicates value on record with id: ${holder}`,
  );
}

function checkDuplicates(tx: Transaction, object: ObjectDef, row: Row): void {
  if (tx.actor.allowDuplicates) return;
  for (const { rule } of tx.org.rules.duplicates.of(object.name)) {
    const wanted = rule.fields.map((name) => fold(row[name]));
    if (wanted.includes(null)) continue;
    for (const other of tx.org.store.table(object.name).all()) {
      if (other['Id'] === row['Id'] || other['IsDeleted'] === true) continue;
      if (rule.fields.every((name, i) => fold(other[name]) === wanted[i])) {
        throw new ApiError('DUPLICATES_DETECTED', `Use one of these records?`, [], 400);
      }
    }
  }
}

const fold = (value: unknown): string | null =>
  value === null || value === undefined ? null : String(value).toLowerCase();
