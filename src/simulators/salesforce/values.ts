// Owns what a value becomes when it is stored: trimmed text, '' as null, rounded doubles, UTC stamps, checked picklists and
// lengths. Refusals carry the platform's codes. Pure.
import { ApiError } from './errors.js';
import { normaliseId } from './ids.js';
import { parseDay, parseStamp } from './stamps.js';
import type { FieldDef, Value } from './words.js';

/** JSON bodies are typed; CSV cells are all text. */
export type Source = 'json' | 'csv';

/** The whole request is malformed, not just one record. */
export const parserError = (type: string, raw: unknown): ApiError => {
  const token =
    typeof raw === 'string'
      ? 'VALUE_STRING'
      : typeof raw === 'number'
        ? 'VALUE_NUMBER_INT'
        : typeof raw === 'boolean'
          ? `VALUE_${String(raw).toUpperCase()}`
          : Array.isArray(raw)
            ? 'START_ARRAY'
            : 'START_OBJECT';
  const shown = typeof raw === 'object' ? '' : ` value ${String(raw)}`;
  return new ApiError(
    'JSON_PARSER_ERROR',
    `Cannot deserialize instance of ${type} from ${token}${shown} or request may be missing a required field at [line:1, column:2]`,
  );
};

export function storedValue(field: FieldDef, raw: unknown, source: Source): Value {
  if (raw === null || raw === undefined) return field.type === 'boolean' ? field.defaultValue : null;
  switch (field.type) {
    case 'boolean':
      return booleanValue(field, raw, source);
    case 'int':
    case 'double':
    case 'currency':
    case 'percent':
      return numberValue(field, raw, source);
    case 'date':
      return dateValue(field, raw, source, 'date', parseDay);
    case 'datetime':
      return dateValue(field, raw, source, 'datetime', parseStamp);
    case 'reference':
    case 'id':
      return idValue(field, raw, source);
    case 'address':
      throw new ApiError('INVALID_FIELD_FOR_INSERT_UPDATE', `Unable to create/update fields: ${field.name}.`, [
        field.name,
      ]);
    default:
      return textValue(field, raw);
  }
}

function refuse(field: FieldDef, type: string, raw: unknown, source: Source): ApiError {
  if (source === 'json') return parserError(type, raw);
  return new ApiError('INVALID_TYPE_ON_FIELD_IN_RECORD', `${field.label}: value not of required type: ${String(raw)}`, [
    field.name,
  ]);
}

function booleanValue(field: FieldDef, raw: unknown, source: Source): boolean {
  if (typeof raw === 'boolean') return raw;
  const text = typeof raw === 'string' ? raw.trim().toLowerCase() : '';
  if (text === 'true' || (source === 'csv' && text === '1')) return true;
  if (text === 'false' || (source === 'csv' && text === '0')) return false;
  throw refuse(field, 'boolean', raw, source);
}

function numberValue(field: FieldDef, raw: unknown, source: Source): number | null {
  if (typeof raw === 'string' && raw.trim() === '') return null;
  const isNumeral =
    typeof raw === 'number' || (typeof raw === 'string' && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(raw.trim()));
  const value = isNumeral ? Number(raw) : Number.NaN;
  if (!Number.isFinite(value)) throw refuse(field, field.type === 'int' ? 'int' : 'double', raw, source);
  if (field.type === 'int' && !Number.isInteger(value)) throw refuse(field, 'int', raw, source);
  const whole = Math.max(1, field.precision - field.scale);
  if (field.precision > 0 && Math.abs(value) >= 10 ** whole) {
    throw new ApiError(
      'NUMBER_OUTSIDE_VALID_RANGE',
      `${field.label}: value outside of valid range on numeric field: ${String(value)}`,
      [field.name],
    );
  }
  return field.type === 'int' ? value : roundTo(value, field.scale);
}

/** Half away from zero, on the decimal text that people see, not on the binary value beneath it. */
function roundTo(value: number, scale: number): number {
  const text = String(Math.abs(value));
  if (text.includes('e')) return value;
  const rounded = Number(`${String(Math.round(Number(`${text}e${String(scale)}`)))}e-${String(scale)}`);
  return value < 0 ? -rounded : rounded;
}

function dateValue(
  field: FieldDef,
  raw: unknown,
  source: Source,
  type: string,
  parse: (text: string) => string | null,
): string | null {
  if (typeof raw === 'string' && raw.trim() === '') return null;
  const value = typeof raw === 'string' ? parse(raw.trim()) : null;
  if (value === null) throw refuse(field, type, raw, source);
  // The platform stores whole seconds in datetime fields.
  return type === 'datetime' ? `${value.slice(0, 19)}.000+0000` : value;
}

function idValue(field: FieldDef, raw: unknown, source: Source): string | null {
  if (typeof raw !== 'string') throw refuse(field, 'reference', raw, source);
  if (raw.trim() === '') return null;
  const id = normaliseId(raw.trim());
  if (id === null)
    throw new ApiError('MALFORMED_ID', `${field.label}: id value of incorrect type: ${raw}`, [field.name]);
  return id;
}

function textValue(field: FieldDef, raw: unknown): string | null {
  // Text fields take text only: a number in JSON is refused before any record is touched.
  if (typeof raw !== 'string') throw parserError('string', raw);
  const text = (field.type === 'textarea' ? raw.replace(/\r\n?/g, '\n') : raw.replace(/[\r\n]+/g, ' ')).trim();
  if (text === '') return null;
  if ([...text].length > field.length) {
    const shown = text.length > 255 ? `${text.slice(0, 255)}...` : text;
    throw new ApiError(
      'STRING_TOO_LONG',
      `${field.label}: data value too large: ${shown} (max length=${String(field.length)})`,
      [field.name],
    );
  }
  if (field.type === 'email') return emailValue(field, text);
  if (field.type === 'picklist') return picklistValue(field, text);
  return text;
}

function emailValue(field: FieldDef, text: string): string {
  if (/^[^\s@"<>,;]+@[^\s@"<>,;.]+(\.[^\s@"<>,;.]+)+$/.test(text)) return text;
  throw new ApiError('INVALID_EMAIL_ADDRESS', `${field.label}: invalid email address: ${text}`, [field.name]);
}

function picklistValue(field: FieldDef, text: string): string {
  const known = field.picklist.find((value) => value.toLowerCase() === text.toLowerCase());
  if (known !== undefined) return known;
  if (!field.restrictedPicklist) return text;
  throw new ApiError(
    'INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST',
    `${field.label}: bad value for restricted picklist field: ${text}`,
    [field.name],
  );
}
