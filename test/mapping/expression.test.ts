import { describe, expect, test } from 'vitest';
import { compileExpression, type CelInput, type Expression } from '../../src/mapping/expression.js';
import { BadValue, type FieldType } from '../../src/mapping/mapping.js';
import type { RemoteValue } from '../../src/model/record.js';

function remote(source: string, want: 'bool' | 'value' = 'value'): Expression {
  const result = compileExpression(source, { root: 'remote', want });
  if (!result.ok) throw new Error(result.message);
  return result.expression;
}

function compute(source: string, values: Readonly<Record<string, CelInput>>): RemoteValue {
  return remote(source).evaluate(new Map(Object.entries(values)));
}

const hubFields = new Map<string, FieldType>([
  ['email', 'text'],
  ['quantity', 'integer'],
  ['price', 'decimal'],
  ['active', 'boolean'],
  ['labels', 'list'],
]);

function refusal(source: string, root: 'remote' | 'hub' = 'remote', want: 'bool' | 'value' = 'value'): string {
  const result = compileExpression(source, root === 'hub' ? { root, fields: hubFields, want } : { root, want });
  return result.ok ? 'accepted' : `${result.message} | ${result.hint ?? ''}`;
}

describe('what an expression reads', () => {
  test('paths are found, nested ones and ones with brackets too', () => {
    expect(remote('remote.RecordType.DeveloperName == "x" || remote["Name"] == "y"').names).toEqual([
      'RecordType.DeveloperName',
      'Name',
    ]);
    expect(remote('remote.firstName.lowerAscii() + remote.tags[0]').names).toEqual(['firstName', 'tags']);
  });

  test('an absent value is null and never an error', () => {
    expect(compute('remote.a == null', {})).toBe(true);
    expect(compute("remote.RecordType.Name == 'x'", {})).toBe(false);
    expect(compute("remote.firstName + ' ' + remote.lastName", { lastName: 'Lee' })).toBe(' Lee');
    expect(compute("(text(remote.firstName) + ' ' + text(remote.lastName)).trim()", { lastName: 'Lee' })).toBe('Lee');
  });

  test('numbers of both kinds work together', () => {
    expect(compute('remote.quantity * 2 + 1', { quantity: 2.5 })).toBe(6);
    expect(compute('remote.quantity > 2', { quantity: 5 })).toBe(true);
    expect(compute('remote.quantity == 5', { quantity: 5 })).toBe(true);
    expect(compute('9007199254740993', {})).toBe('9007199254740993');
  });

  test('results are JSON', () => {
    expect(compute("{'city': remote.city, 'n': 2, 'l': [remote.city]}", { city: 'Rome' })).toEqual({
      city: 'Rome',
      n: 2,
      l: ['Rome'],
    });
    expect(compute("timestamp('2026-01-01T00:00:00Z')", {})).toBe('2026-01-01T00:00:00.000Z');
  });
});

describe('what is refused when it is loaded', () => {
  test('types that do not fit, unknown names and things that are not there', () => {
    expect(refusal('remote.a +')).toMatch(/not a CEL expression/);
    expect(refusal('hub.emial == "x"', 'hub')).toMatch(/hub.emial cannot be used here \| did you mean 'email'/);
    expect(refusal('hub.email + 1', 'hub')).toMatch(/does not type-check/);
    expect(refusal('hub.email == null ? hub.quantity : 0', 'hub')).toBe('accepted');
    expect(refusal('hub.email != null && hub.price > 1.0 && hub.active', 'hub', 'bool')).toBe('accepted');
    expect(refusal('hub.email', 'hub', 'bool')).toMatch(/must be true or false, but it is string/);
    expect(refusal('process.exit(1)')).toMatch(/not available|Unknown variable/);
    expect(refusal('remote')).toMatch(/alone is not a value/);
    expect(refusal('has(remote.a)')).toMatch(/write remote.x != null/);
    expect(refusal('remote.a == 1 && remote.a.b == 2')).toMatch(/both as a value and as a parent/);
  });

  test('F127 loops, regular expressions, length and nesting are bounded', () => {
    expect(refusal(`remote.s.matches('(a+)+$')`)).toMatch(/matches\(\) is not available/);
    expect(refusal('remote.l.map(x, remote.l.map(y, x + y))')).toMatch(/only one of/);
    expect(refusal("remote.l.join(remote.l.join(','))")).toMatch(/join\(\) inside/);
    expect(refusal(`remote.a + '${'x'.repeat(1000)}'`)).toMatch(/1000 is the most/);
    expect(refusal(`${'('.repeat(400)}1${')'.repeat(400)}`)).not.toBe('accepted');
    expect(refusal(`${'1+'.repeat(400)}1`)).not.toBe('accepted');
  });
});

describe('what is refused when it runs', () => {
  function code(body: () => unknown): string {
    try {
      body();
      return 'no error';
    } catch (error) {
      return error instanceof BadValue ? `${error.code}: ${error.message}` : 'wrong error';
    }
  }

  test('F127 the worst accepted loop ends at once, larger input is parked', () => {
    const worst = "remote.s.split('').map(x, remote.s).join('')";
    const started = performance.now();
    expect(String(compute(worst, { s: 'a'.repeat(1_000) })).length).toBe(1_000_000);
    expect(performance.now() - started).toBeLessThan(1_000);
    expect(code(() => compute(worst, { s: 'a'.repeat(1_001) }))).toMatch(/too_big_for_expression/);
    expect(code(() => compute('remote.s + remote.s', { s: 'a'.repeat(4_001) }))).toMatch(/too_big_for_expression/);
    expect(code(() => compute('size(remote.l)', { l: Array.from({ length: 1_001 }, () => 'x') }))).toMatch(/too_big/);
  });

  test('a failure is a bad value that does not show the customer value', () => {
    const message = code(() => compute('int(remote.a)', { a: 'canary-value' }));
    expect(message).toMatch(/expression_failed/);
    expect(message).not.toMatch(/canary-value/);
    expect(code(() => compute('remote.a / 0.0', { a: 1 }))).toMatch(/not_number|expression_failed/);
  });

  test('F126 a prototype cannot be reached', () => {
    expect(compute('remote.constructor == null', {})).toBe(true);
    expect(code(() => compute('remote.a.constructor', { 'a.constructor': null }))).toBe('no error');
    expect(code(() => compute("remote.m['x'].constructor", {}))).not.toBe('wrong error');
  });
});
