// Can the spokes of a mapping ever agree on a value? What `truespoke check` says when they cannot.
// Proves: Law 2
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Described } from '../../src/mapping/check-remote.js';
import { parseMapping } from '../../src/mapping/load.js';
import { findUnsettled } from '../../src/mapping/settling.js';
import { listFiles } from '../support/source-tree.js';

function told(text: string, schemas: ReadonlyMap<string, Described> = new Map()): string[] {
  const { mapping, place } = parseMapping([{ file: 'm.yaml', text }]);
  return findUnsettled(mapping, place, schemas).map(
    ({ file, line, column, message, hint }) => `${file ?? ''}:${line ?? 0}:${column ?? 0} ${message} | ${hint ?? ''}`,
  );
}

const two = (field: string, left: string, right: string): string =>
  `entity: thing\nfields: { f: ${field} }\nspokes:\n  left: { object: A, fields: { f: ${left} } }\n  right: { object: B, fields: { f: ${right} } }\n`;

test('two spokes that write the same text in different case never settle, and an example says so', () => {
  expect(told(two('text', '{ remote: F, via: uppercase }', '{ remote: F, via: lowercase }'))).toEqual([
    'm.yaml:5:36 \'f\' never settles between left and right: "Ann Lee" ends as "ANN LEE" in left, then "ann lee" in right, and so on' +
      " | give 'f' the same lens in left and right, or let it go one way (direction: in or out) in one of them",
  ]);
});

test('one way in one of the two is enough to settle', () => {
  const upper = '{ remote: F, via: uppercase, direction: in }';
  expect(told(two('text', upper, '{ remote: F, via: lowercase }'))).toEqual([]);
  expect(told(two('text', '{ remote: F, via: uppercase }', '{ remote: F, via: lowercase, direction: out }'))).toEqual(
    [],
  );
});

test('an expression that does not give back what it wrote grows by itself', () => {
  const text = (out: string): string =>
    `entity: thing\nfields: { name: text }\nspokes:\n  crm:\n    object: A\n    fields:\n      name: { in: "remote.First + ' ' + remote.Last", out: ${out} }\n`;
  expect(told(text('{ Last: hub.name }'))).toEqual([
    expect.stringMatching(
      /^m\.yaml:7:13 'name' never settles in crm: .* \| what `in` reads must give back what `out` wrote/,
    ),
  ]);
  const parts = `{ First: "hub.name.split(' ')[0]", Last: "hub.name.split(' ')[size(hub.name.split(' ')) - 1]" }`;
  expect(told(text(parts))).toEqual([]);
});

test('fields that are made of each other through two spokes are seen', () => {
  const circle = (ending: string): string => `entity: thing
fields: { a: text, b: text }
spokes:
  one: { object: A, fields: { a: { remote: P, direction: in }, b: { remote: P, direction: out } } }
  two:
    object: B
    fields:
      a: { remote: Q, out: "hub.a${ending}" }
      b: { remote: Q, direction: in }
`;
  expect(told(circle(" + 'x'"))).toEqual([expect.stringMatching(/'a' and 'b' never settle between one and two/)]);
  expect(told(circle(''))).toEqual([]);
});

test('a whole name in one spoke and its parts in another settle', () => {
  const text = `entity: thing
fields: { whole: text, first: text, last: text }
spokes:
  parts:
    object: A
    fields: { first: First, last: Last, whole: { in: "text(remote.First) + ' ' + text(remote.Last)" } }
  names:
    object: B
    fields:
      whole: Name
      first: { in: "remote.Name.split(' ')[0]" }
`;
  expect(told(text)).toEqual([]);
});

test.each([
  ['text', 'F', '{ remote: F, via: [trim, lowercase] }'],
  ['text', '{ remote: F, via: { phone-e164: { country: US, invalid: keep } } }', 'F'],
  ['text', "{ remote: F, via: { null-as: '-' } }", '{ remote: F, via: blank-as-null }'],
  ['text', '{ remote: [F, G], via: { join: {} } }', '{ remote: F, via: trim }'],
  ['text', '{ remote: F, via: strip-html }', 'F'],
  [
    '{ type: decimal, scale: 2 }',
    '{ remote: F, via: { decimal: { scale: 0 } } }',
    '{ remote: F, via: { decimal: { as: text } } }',
  ],
  ['{ type: decimal, scale: 2 }', '{ in: "double(remote.Cents) / 100.0", out: { Cents: "hub.f * 100.0" } }', 'F'],
  ['list', "{ remote: F, via: { tags: { separator: ';' } } }", '{ remote: F, via: tags }'],
  ['date', '{ remote: F, via: { date: { zone: Europe/Berlin } } }', 'F'],
  ['timestamp', '{ remote: F, via: { timestamp: { zone: Asia/Tokyo } } }', 'F'],
  ['{ values: [a, b] }', '{ remote: F, via: { values: { a: [A, AA], b: B } } }', 'F'],
  ['json', 'F', 'F'],
])('spokes that only lose something settle: %s, %s against %s', (field, left, right) => {
  expect(told(two(field, left, right))).toEqual([]);
});

test('what a spoke describes is tried too: two price lists that round to different steps', () => {
  const text = two(
    '{ type: decimal, scale: 4 }',
    '{ in: "double(remote.F) * 0.3", out: { F: "hub.f / 0.3" } }',
    '{ in: "double(remote.F) * 0.5", out: { F: "hub.f / 0.5" } }',
  );
  expect(told(text)).toEqual([]);
  const schema = (object: string): Described => ({
    objects: [
      {
        name: object,
        fields: [{ path: 'F', type: 'number', scale: 0, createable: true, updateable: true }],
        children: {},
        createable: true,
        updateable: true,
        deletable: true,
      },
    ],
  });
  expect(
    told(
      text,
      new Map([
        ['left', schema('A')],
        ['right', schema('B')],
      ]),
    ),
  ).toEqual([
    expect.stringMatching(
      /'f' never settles between left and right: .* \| left keeps 0 digits after the point in F; right keeps 0/,
    ),
  ]);
});

test('the starter mappings and those of the documentation settle', () => {
  const starter = listFiles('mappings', ['.yaml']).map(({ path, text }) => ({ file: path, text }));
  const pages = ['README.md', 'docs/mappings.md'].map((file) => {
    const text = /```yaml\n([^]*?)```/.exec(readFileSync(file, 'utf8'))?.[1] ?? '';
    return [{ file, text }];
  });
  for (const files of [starter, ...pages]) {
    const { mapping, place } = parseMapping(files);
    expect(mapping.entities.size).toBeGreaterThan(0);
    expect(findUnsettled(mapping, place)).toEqual([]);
  }
});
