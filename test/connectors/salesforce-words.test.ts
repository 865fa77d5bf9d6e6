// The pure parts of the Salesforce connector: configuration, error codes, query text, values.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Problems } from '../../src/base/errors.js';
import { parseConfig } from '../../src/connectors/salesforce/config.js';
import { id18, parseErrors, recoveryOf, rejection } from '../../src/connectors/salesforce/errors.js';
import { valueOf } from '../../src/connectors/salesforce/record.js';
import { groups, literal, quoted, Unspeakable } from '../../src/connectors/salesforce/soql.js';
import { rsaKey } from './salesforce-support.js';

const place = () => ({ file: 'truespoke.yaml', line: 3, column: 5 });
const auth = { clientCredentials: { clientId: 'a', clientSecret: 'b' } };

describe('configuration', () => {
  test('defaults are filled in', () => {
    expect(parseConfig({ auth }, place)).toMatchObject({
      loginUrl: 'https://login.salesforce.com',
      apiVersion: '62.0',
      externalIdField: 'Truespoke_Id__c',
      overlapMinutes: 15,
      pricebook: null,
      auth: { kind: 'clientCredentials' },
    });
    const { privateKey } = rsaKey();
    const jwt = parseConfig(
      {
        loginUrl: 'https://test.salesforce.com/',
        apiVersion: 60,
        auth: { jwt: { clientId: 'a', username: 'u', privateKey } },
      },
      place,
    );
    expect(jwt).toMatchObject({
      loginUrl: 'https://test.salesforce.com',
      apiVersion: '60.0',
      auth: { kind: 'jwt', audience: 'https://test.salesforce.com' },
    });
  });

  test('every problem is listed at once, with its place, and no secret is quoted', () => {
    const raw = {
      loginUrl: 'http://example.com',
      apiversion: '62.0',
      overlapMinutes: -1,
      auth: { jwt: { clientId: '', username: 'u', privateKey: 'canary-secret' } },
    };
    const error = caught(() => parseConfig(raw, place));
    expect(error).toBeInstanceOf(Problems);
    const { problems } = error as Problems;
    expect(problems.map((problem) => problem.message).join('\n')).toMatch(
      /loginUrl[^]*privateKey|privateKey[^]*loginUrl/,
    );
    expect(problems).toHaveLength(5);
    expect(problems.every((problem) => problem.file === 'truespoke.yaml' && problem.line === 3)).toBe(true);
    expect(problems.find((problem) => problem.message.includes('apiversion'))?.hint).toBe('did you mean apiVersion?');
    expect(JSON.stringify(problems)).not.toContain('canary-secret');
  });

  test('two ways to log in are one too many, and none is none', () => {
    for (const given of [{}, { ...auth, refreshToken: { clientId: 'a', refreshToken: 'r' } }]) {
      expect(() => parseConfig({ auth: given }, place)).toThrow(/exactly one of/);
    }
    expect(() => parseConfig(undefined, place)).toThrow(/auth/);
  });
});

describe('error codes', () => {
  const list = new URL('../../node_modules/@salesforce/types/lib/partner.d.ts', import.meta.url);
  const text = readFileSync(list, 'utf8');
  const codes = [...new Set([...text.matchAll(/'([A-Z][A-Z0-9]*_[A-Z0-9_]+)'/g)].map((match) => match[1] ?? ''))];

  test('every code of the official list has a meaning', () => {
    expect(codes.length).toBeGreaterThan(500);
    const known = new Set(['retry', 'wait', 'park', 'pause', 'relogin', 'gone', 'deleted', 'duplicate', 'stale']);
    for (const code of codes) expect(known.has(recoveryOf(code)), code).toBe(true);
  });

  test.each([
    ['UNABLE_TO_LOCK_ROW', 'retry'],
    ['REQUEST_LIMIT_EXCEEDED', 'wait'],
    ['INVALID_SESSION_ID', 'relogin'],
    ['ENTITY_IS_DELETED', 'deleted'],
    ['FIELD_CUSTOM_VALIDATION_EXCEPTION', 'park'],
    ['STRING_TOO_LONG', 'park'],
    ['REQUIRED_FIELD_MISSING', 'park'],
    ['DUPLICATE_VALUE', 'duplicate'],
    ['API_DISABLED_FOR_ORG', 'pause'],
    ['SERVER_UNAVAILABLE', 'retry'],
    ['constructor', 'park'],
    ['SOMETHING_NEW', 'park'],
  ])('%s means %s', (code, recovery) => {
    expect(recoveryOf(code)).toBe(recovery);
  });

  test('a duplicate names the records that hold the value, from the message or from a duplicate rule', () => {
    const unique = {
      statusCode: 'DUPLICATE_VALUE',
      message: 'duplicate value found: Email__c duplicates value on record with id: 0035g00000AbCdE',
      fields: [],
    };
    expect(rejection(parseErrors([unique]))).toMatchObject({
      recovery: 'duplicate',
      existing: [id18('0035g00000AbCdE')],
    });
    const rule = {
      statusCode: 'DUPLICATES_DETECTED',
      message: 'Use one of these records?',
      duplicateResult: { matchResults: [{ matchRecords: [{ record: { Id: '0035g00000AbCdEAAA' } }] }] },
    };
    expect(rejection(parseErrors([rule]))).toMatchObject({ recovery: 'duplicate', existing: ['0035g00000AbCdEAAA'] });
  });

  test('ids of 15 characters get the suffix that tells their case', () => {
    expect(id18('001A0000006Vm9r')).toBe('001A0000006Vm9rIAC');
    expect(id18('001A0000006Vm9rIAC')).toBe('001A0000006Vm9rIAC');
    expect(id18('short')).toBe('short');
  });
});

describe('query text', () => {
  test('no text gets out of its quotes', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }).filter((given) => !given.includes('\0')),
        (given) => {
          const inner = quoted(given).slice(1, -1);
          expect(inner.replaceAll(/\\./gs, '')).not.toMatch(/['\\]/);
        },
      ),
    );
    expect(quoted("\\' OR Name != '")).toBe("'\\\\\\' OR Name != \\''");
    expect(() => quoted('a\0b')).toThrow(Unspeakable);
  });

  test('a value that does not fit its field is refused', () => {
    const of = (type: Parameters<typeof literal>[0]['type']) => ({ name: 'F', type });
    for (const [type, bad] of [
      ['number', '1 OR 1=1'],
      ['number', Number.NaN],
      ['date', "2026-01-01' OR"],
      ['timestamp', 'soon'],
      ['boolean', 'true'],
      ['id', "x' OR Id != '"],
      ['text', { a: 1 }],
      ['list', 'a'],
    ] as const) {
      expect(() => literal(of(type), bad), `${type} ${String(bad)}`).toThrow(Unspeakable);
    }
    expect(literal(of('timestamp'), '2026-01-01T00:00:00+02:00')).toBe('2025-12-31T22:00:00.000Z');
    expect(literal(of('number'), '12.50')).toBe('12.50');
  });

  test('groups keep their bounds and lose nothing', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 50 })),
        fc.integer({ min: 50, max: 200 }),
        fc.integer({ min: 1, max: 10 }),
        (list, lengthMax, countMax) => {
          const made = groups(list, (n) => n, lengthMax, countMax);
          expect(made.flat()).toEqual(list);
          for (const group of made) {
            expect(group.length).toBeLessThanOrEqual(countMax);
            expect(group.reduce((sum, n) => sum + n, 0)).toBeLessThanOrEqual(lengthMax);
          }
        },
      ),
    );
  });
});

test('a value is the same whether it came as JSON or as CSV', () => {
  const cases = [
    ['number', 12.5, '12.5', 12.5],
    ['number', 0, '0', 0],
    ['boolean', false, 'false', false],
    ['text', null, '', null],
    ['list', 'a;b', 'a;b', ['a', 'b']],
    ['timestamp', '2026-01-01T10:00:00.000+0000', '2026-01-01T10:00:00.000Z', '2026-01-01T10:00:00.000Z'],
    ['date', '2026-01-01', '2026-01-01', '2026-01-01'],
  ] as const;
  for (const [type, json, csv, value] of cases) {
    expect(valueOf({ type }, json)).toEqual(value);
    expect(valueOf({ type }, csv)).toEqual(value);
  }
});

function caught(body: () => unknown): unknown {
  try {
    body();
    return null;
  } catch (error) {
    return error;
  }
}
