// Owns the values that mappings are tried with: for each type of field those that lenses and remotes treat differently. Pure.
import { BadValue, type FieldType, type HubField } from './mapping.js';
import { formatList, toHubText } from './values.js';

/** Amounts that sit between two roundings, from whole numbers down to tenths of a cent. */
const amounts = [
  ...['0', '1', '-1', '0.5', '0.005', '1.005', '-2.675', '19.99', '99.95', '100', '1234.5678', '1e3', '0.1'],
  ...Array.from({ length: 40 }, (_, i) => ((i + 1) * 0.37).toFixed(2)),
];

const samples: Readonly<Record<FieldType, readonly string[]>> = {
  text: [
    'Ann Lee',
    ' ann  lee ',
    'ANN LEE',
    'ann-lee',
    'O’Neill, Ann',
    'x',
    '',
    ' ',
    'Straße',
    'İstanbul',
    'e\u0301clair',
    '+14155550100',
    '(415) 555-0100',
    'b, a; c',
    'a & b',
    '<b>bold</b>',
    '10',
    '1.50',
    'true',
    'ann@example.com',
    'line\nline',
  ],
  integer: ['0', '1', '-7', '10', '999', '1000', '123456789', '9007199254740993'],
  decimal: amounts,
  boolean: ['true', 'false'],
  date: ['2026-01-31', '2024-02-29', '1999-12-31', '2026-10-25'],
  timestamp: ['2026-01-31 00:00:00+00', '2026-07-01 23:59:59.999+00', '2026-10-25 00:30:00.123456+00'],
  json: ['{}', '[]', '{"b":1,"a":[1.50,"x"]}', '"x"', '1'],
  list: [[], ['a'], ['b', 'a'], [' B', 'a', 'a', ''], ['A', 'a'], ['a, b'], ['é']].map(formatList),
  ref: [],
};

/** Hub values, in Postgres text form, that the field can hold. */
export function samplesOf(field: HubField): readonly string[] {
  const all = field.values ?? samples[field.type];
  if (field.type === 'json') return all;
  const held: string[] = [];
  for (const sample of field.type === 'list' ? [] : all) {
    try {
      const value = toHubText(field.type, sample, field);
      if (value !== null) held.push(value);
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
    }
  }
  return field.type === 'list' ? all : held;
}
