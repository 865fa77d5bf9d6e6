// Proves: Invariant 5
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson } from '../../src/mapping/exact-json.js';
import { BadValue, type FieldType } from '../../src/mapping/mapping.js';
import {
  formatList,
  fromWal,
  parseList,
  sameHub,
  sameRemote,
  sqlType,
  toHubText,
  toRemote,
} from '../../src/mapping/values.js';
import type { RemoteValue } from '../../src/model/record.js';

function codeOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof BadValue) return error.code;
    throw error;
  }
  return 'no error';
}

const digits = fc.stringMatching(/^-?[1-9][0-9]{0,29}(\.[0-9]{1,8})?$/);

describe('faults', () => {
  test('F107 a NUL character is refused in text, lists and JSON', () => {
    for (const type of ['text', 'list', 'json'] as const) {
      const value = type === 'list' ? ['a\u0000b'] : type === 'json' ? { k: ['a\u0000b'] } : 'a\u0000b';
      expect(codeOf(() => toHubText(type, value))).toBe('nul_character');
    }
    expect(codeOf(() => toHubText('json', { 'a\u0000': 1 }))).toBe('nul_character');
  });

  test('F108 half of a surrogate pair is refused before it becomes U+FFFD', () => {
    expect(codeOf(() => toHubText('text', 'x\ud800'))).toBe('lone_surrogate');
    expect(codeOf(() => toHubText('json', ['\udc00x']))).toBe('lone_surrogate');
    expect(toHubText('text', '👍🏽')).toBe('👍🏽');
  });

  test('F109 a leading BOM is kept in both directions', () => {
    expect(toHubText('text', '\ufeffabc')).toBe('\ufeffabc');
    expect(toRemote('text', '\ufeffabc')).toBe('\ufeffabc');
    expect(sameHub('text', '\ufeffabc', 'abc')).toBe(false);
  });

  test('F110 NFC and NFD compare equal and the original is what is stored', () => {
    const [composed, decomposed] = ['é', 'e\u0301'];
    expect(sameHub('text', composed, decomposed)).toBe(true);
    expect(sameRemote({ a: composed }, { a: decomposed })).toBe(true);
    expect(sameHub('list', `{${composed}}`, `{${decomposed}}`)).toBe(true);
    expect(sameHub('json', `["${composed}"]`, `["${decomposed}"]`)).toBe(true);
    expect(toHubText('text', decomposed)).toBe(decomposed);
  });

  test("F111 null and '' are two values on both sides", () => {
    expect(toHubText('text', null)).toBe(null);
    expect(toHubText('text', '')).toBe('');
    expect(sameHub('text', '', null)).toBe(false);
    expect(sameRemote('', null)).toBe(false);
    expect(sameHub('list', '{NULL}', '{""}')).toBe(false);
    expect(sameRemote({ a: null }, {})).toBe(false);
  });

  test('F112 a 30-digit number, int8 and JSON integers above 2^53 stay exact', () => {
    const long = '123456789012345678901234567890.12';
    expect(toHubText('decimal', long, { scale: 2 })).toBe(long);
    expect(toRemote('decimal', long)).toBe(long);
    expect(toRemote('decimal', '12.50')).toBe(12.5);
    expect(toHubText('integer', '9223372036854775807')).toBe('9223372036854775807');
    expect(toRemote('integer', '9007199254740993')).toBe('9007199254740993');
    expect(codeOf(() => toHubText('integer', '9223372036854775808'))).toBe('out_of_range');
    expect(sameHub('json', '{"n": 9007199254740993}', '{"n": 9007199254740992}')).toBe(false);
    expect(toRemote('json', '{"n": 9007199254740993, "m": 1.50}')).toEqual({ n: '9007199254740993', m: 1.5 });
  });

  test('F112 NaN and infinity are refused, and an exponent is no memory bomb', () => {
    for (const value of ['NaN', 'Infinity', '-inf', '1e999999999', Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(codeOf(() => toHubText('decimal', value))).toBe('not_number');
    }
    expect(codeOf(() => toRemote('decimal', 'NaN'))).toBe('not_number');
    expect(codeOf(() => toHubText('json', [Number.NaN]))).toBe('not_number');
  });

  test('F113 timestamps are compared at the coarser precision', () => {
    const micros = '2026-11-21 10:00:00.123456+00';
    expect(sameHub('timestamp', micros, '2026-11-21 10:00:00.123+00')).toBe(true);
    expect(sameHub('timestamp', micros, '2026-11-21 10:00:00+00')).toBe(true);
    expect(sameHub('timestamp', micros, '2026-11-21 10:00:00.12+00')).toBe(false);
    expect(sameHub('timestamp', micros, '2026-11-21 10:00:01+00')).toBe(false);
    expect(sameHub('timestamp', '2026-11-21 12:00:00+02', '2026-11-21 10:00:00+00')).toBe(true);
    expect(sameHub('timestamp', '1969-12-31 23:59:59.9995+00', '1969-12-31 23:59:59.999+00')).toBe(true);
    expect(toRemote('timestamp', micros)).toBe('2026-11-21T10:00:00.123Z');
  });

  test('F114 zoneless, BC, infinite and skipped times are refused unless the mapping gives a rule', () => {
    expect(codeOf(() => toHubText('timestamp', '2026-03-29T02:30:00'))).toBe('timestamp_zoneless');
    expect(toHubText('timestamp', '2026-07-01T12:00:00', { zone: 'Europe/Berlin' })).toBe('2026-07-01 10:00:00+00');
    expect(toHubText('timestamp', '2026-01-01T12:00:00', { zone: 'America/New_York' })).toBe('2026-01-01 17:00:00+00');
    expect(codeOf(() => toHubText('timestamp', '2026-03-29T02:30:00', { zone: 'Europe/Berlin' }))).toBe(
      'timestamp_dst_gap',
    );
    expect(toHubText('timestamp', '2026-10-25T02:30:00', { zone: 'Europe/Berlin' })).toBe('2026-10-25 00:30:00+00');
    expect(codeOf(() => toRemote('timestamp', 'infinity'))).toBe('timestamp_out_of_range');
    expect(codeOf(() => toRemote('date', '0044-03-15 BC'))).toBe('date_out_of_range');
    expect(codeOf(() => toHubText('date', '2026-02-29'))).toBe('date_impossible');
    expect(codeOf(() => toHubText('timestamp', '2026-11-21T25:00:00Z'))).toBe('timestamp_impossible');
  });

  test('F115 a value outside the closed list is refused and named', () => {
    expect(() => toHubText('text', 'Platinum', { values: ['free', 'pro'] })).toThrow(/"Platinum".*free, pro/);
  });
});

describe('text as Postgres prints it', () => {
  test('remote stamps become UTC text without trailing zeros', () => {
    expect(toHubText('timestamp', '2026-11-21T10:00:00.000+0000')).toBe('2026-11-21 10:00:00+00');
    expect(toHubText('timestamp', '2026-11-21T10:00:00.120Z')).toBe('2026-11-21 10:00:00.12+00');
    expect(toHubText('timestamp', '2026-11-21T23:30:00-05:30')).toBe('2026-11-22 05:00:00+00');
  });

  test('decimals are rounded half away from zero to the column scale', () => {
    expect(toHubText('decimal', 1.005, { scale: 2 })).toBe('1.01');
    expect(toHubText('decimal', '-1.005', { scale: 2 })).toBe('-1.01');
    expect(toHubText('decimal', 1e21, { scale: 0 })).toBe('1000000000000000000000');
    expect(toHubText('decimal', 5, { scale: 2 })).toBe('5.00');
    expect(toHubText('decimal', '-0.001', { scale: 2 })).toBe('0.00');
  });

  test('WAL text becomes the text of a cast', () => {
    expect(fromWal(16, 't')).toBe('true');
    expect(fromWal(16, 'f')).toBe('false');
    expect(fromWal(25, 't')).toBe('t');
    expect(fromWal(1042, 'ab  ')).toBe('ab');
    expect(fromWal(869, '10.0.0.1')).toBe('10.0.0.1/32');
    expect(fromWal(1184, '2026-11-21 12:00:00.5+02')).toBe('2026-11-21 10:00:00.5+00');
    expect(fromWal(16, null)).toBe(null);
    expect(fromWal(16, undefined)).toBe(undefined);
  });

  test('wrong kinds are refused without showing the value', () => {
    expect(() => toHubText('integer', 'secret words')).toThrow(/a text of 12 characters/);
    expect(codeOf(() => toHubText('integer', 1.5))).toBe('not_integer');
    expect(codeOf(() => toHubText('text', { a: 1 }))).toBe('not_text');
    expect(codeOf(() => toHubText('boolean', 'yes'))).toBe('not_boolean');
    expect(codeOf(() => toHubText('list', 'a, b'))).toBe('not_list');
    expect(codeOf(() => toHubText('text', 'abc', { maxLength: 2 }))).toBe('too_long');
    expect(toHubText('text', '👍👍', { maxLength: 2 })).toBe('👍👍');
  });

  test('column types', () => {
    expect(sqlType({ type: 'decimal', scale: 2 })).toBe('numeric(38,2)');
    expect(sqlType({ type: 'decimal', scale: null })).toBe('numeric');
    expect(sqlType({ type: 'ref', scale: null }, 'bigint')).toBe('bigint');
  });
});

describe('laws', () => {
  test('equal numbers in any spelling are the same, different ones are not', () => {
    fc.assert(
      fc.property(digits, fc.nat(5), (text, zeros) => {
        const padded = text.includes('.') ? text + '0'.repeat(zeros) : `${text}.${'0'.repeat(zeros + 1)}`;
        expect(sameHub('decimal', text, padded)).toBe(true);
        expect(sameHub('decimal', text, `${text}${text.includes('.') ? '' : '.'}1`)).toBe(false);
      }),
    );
  });

  test('a hub value survives the way to a spoke and back', () => {
    const cases: readonly [FieldType, fc.Arbitrary<string>][] = [
      ['text', fc.string({ unit: 'grapheme' })],
      ['decimal', digits],
      ['integer', fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String)],
      ['boolean', fc.constantFrom('true', 'false')],
      [
        'timestamp',
        fc
          .date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
          .map((at) => at.toISOString()),
      ],
      ['list', fc.array(fc.option(fc.string({ unit: 'grapheme' }))).map(formatList)],
    ];
    for (const [type, values] of cases) {
      fc.assert(
        fc.property(values, (raw) => {
          const hub = type === 'timestamp' ? toHubText(type, raw) : raw;
          const back = toHubText(type, toRemote(type, hub));
          expect(sameHub(type, back, hub)).toBe(true);
        }),
      );
    }
  });

  test('lists print and parse as Postgres does', () => {
    expect(formatList(['a', 'b c', '', null, 'null', 'q"\\', '{x}'])).toBe('{a,"b c","",NULL,"null","q\\"\\\\","{x}"}');
    expect(parseList('{a,"b c","",NULL,"null","q\\"\\\\","{x}"}')).toEqual([
      'a',
      'b c',
      '',
      null,
      'null',
      'q"\\',
      '{x}',
    ]);
    expect(parseList('{{a},{b}}')).toBe(null);
    expect(parseList('ab')).toBe(null);
  });

  test('JSON is compared by meaning', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        const text = JSON.stringify(value);
        expect(sameHub('json', text, JSON.stringify(JSON.parse(text), null, 3))).toBe(true);
        expect(sameRemote(value as RemoteValue, JSON.parse(text) as RemoteValue)).toBe(true);
      }),
    );
    expect(sameHub('json', '{"a":1,"b":[1.0,2]}', '{"b": [1, 2.00], "a": 1e0}')).toBe(true);
    expect(sameHub('json', '{"a":"1"}', '{"a":1}')).toBe(false);
    expect(canonicalJson('{"a":')).toBe(null);
    expect(({} as Record<string, unknown>)['polluted']).toBe(undefined);
  });
});
