// Owns what the memory remote does to single values: normalising and checking. Pure.
import type { RemoteValue } from '../../model/record.js';
import type { FieldSpec } from './config.js';

type Normaliser = (value: RemoteValue, argument: number) => RemoteValue;

const onText =
  (change: (text: string, argument: number) => string): Normaliser =>
  (value, argument) =>
    typeof value === 'string' ? change(value, argument) : value;

const normalisers: Readonly<Record<string, Normaliser>> = {
  trim: onText((text) => text.trim()),
  collapseSpace: onText((text) => text.replace(/\s+/g, ' ')),
  lowercase: onText((text) => text.toLowerCase()),
  uppercase: onText((text) => text.toUpperCase()),
  titleCase: onText((text) => text.toLowerCase().replace(/(^|\s)\S/g, (first) => first.toUpperCase())),
  truncate: onText((text, length) => text.slice(0, length)),
  emptyToNull: (value) => (value === '' ? null : value),
  round: (value, digits) => {
    if (typeof value !== 'number') return value;
    return Number(`${Math.round(Number(`${value}e${digits}`))}e-${digits}`);
  },
  /** Ten digits become `(555) 123-4567`, as Salesforce's own pages do it. */
  phone: onText((text) => {
    const digits = text.replace(/\D/g, '').replace(/^1(?=\d{10}$)/, '');
    return digits.length === 10 ? `(${digits.slice(0, 3)}) ${digits.slice(3, 6)}-${digits.slice(6)}` : text;
  }),
  /** `b, a` becomes `a, b`; a list is sorted too. Doubles go. */
  sortTags: (value) => {
    const sorted = (tags: readonly string[]): string[] =>
      [...new Set(tags.map((tag) => tag.trim()).filter((tag) => tag !== ''))].sort();
    if (typeof value === 'string') return sorted(value.split(',')).join(', ');
    return Array.isArray(value) ? sorted(value.map(String)) : value;
  },
};

/** `trim`, `round:2`, … */
export const normaliserPattern = new RegExp(`^(${Object.keys(normalisers).join('|')})(:\\d+)?$`);

export function normalise(field: FieldSpec, value: RemoteValue): RemoteValue {
  let result = value;
  for (const rule of field.normalise) {
    const [name = '', argument = '0'] = rule.split(':');
    result = normalisers[name]?.(result, Number(argument)) ?? null;
  }
  return result;
}

export interface Refusal {
  readonly code: string;
  readonly message: string;
}

/** Checks a normalised value; null = fine. */
export function refuseValue(path: string, field: FieldSpec, value: RemoteValue): Refusal | null {
  if (value === null || value === '') {
    return field.required ? { code: 'REQUIRED_FIELD_MISSING', message: `Required field is missing: ${path}` } : null;
  }
  if (!typeMatches(field, value)) return { code: 'INVALID_TYPE', message: `${path}: not a ${field.type}` };
  if (typeof value !== 'string') return null;
  if (field.maxLength !== undefined && value.length > field.maxLength) {
    return { code: 'STRING_TOO_LONG', message: `${path}: data value too large (max length=${field.maxLength})` };
  }
  if (field.values !== undefined && !field.values.includes(value)) {
    return { code: 'INVALID_PICKLIST_VALUE', message: `${path}: bad value for a restricted list` };
  }
  if (field.pattern !== undefined && !new RegExp(field.pattern, 'u').test(value)) {
    return { code: 'INVALID_FORMAT', message: `${path}: does not look as it must` };
  }
  return null;
}

function typeMatches(field: FieldSpec, value: RemoteValue): boolean {
  switch (field.type) {
    case 'text':
    case 'id':
      return typeof value === 'string';
    case 'number':
      return typeof value === 'number' || (typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value));
    case 'boolean':
      return typeof value === 'boolean';
    case 'date':
      return typeof value === 'string' && /^\d{4}-\d{2}-\d{2}$/.test(value);
    case 'timestamp':
      return typeof value === 'string' && !Number.isNaN(Date.parse(value));
    case 'list':
      return Array.isArray(value);
    case 'json':
      return true;
  }
}

/** Equality as the remote's own search sees it. */
export function sameInSearch(field: FieldSpec | undefined, stored: RemoteValue, asked: RemoteValue): boolean {
  const normalised = field === undefined ? asked : normalise(field, asked);
  if (typeof stored === 'string' && typeof normalised === 'string') {
    return field?.caseSensitive === true ? stored === normalised : stored.toLowerCase() === normalised.toLowerCase();
  }
  return stored !== null && JSON.stringify(stored) === JSON.stringify(normalised);
}
