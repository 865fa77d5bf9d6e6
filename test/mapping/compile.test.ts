// Proves: Law 9
import { describe, expect, test } from 'vitest';
import { Problems } from '../../src/base/errors.js';
import { parseMapping } from '../../src/mapping/load.js';
import { BadValue, type Entity, type FieldMapping, type Mapping } from '../../src/mapping/mapping.js';
import { orderEntities } from '../../src/mapping/order.js';
import { entityName, spokeName } from '../../src/model/ids.js';
import type { HubFields, RemoteFields } from '../../src/model/record.js';

const files = (...texts: string[]): { file: string; text: string }[] =>
  texts.map((text, i) => ({ file: `${String.fromCharCode(97 + i)}.yaml`, text }));

function compiled(...texts: string[]): Mapping {
  return parseMapping(files(...texts)).mapping;
}

function told(texts: readonly string[], spokes?: readonly string[]): string {
  try {
    parseMapping(files(...texts), { spokes });
    return 'accepted';
  } catch (error) {
    if (error instanceof Problems) return error.message;
    throw error;
  }
}

function entityOf(mapping: Mapping, name: string): Entity {
  const entity = mapping.entities.get(entityName(name));
  if (entity === undefined) throw new Error(`no ${name}`);
  return entity;
}

/** One entity with one spoke; `fields` and `spoke` are YAML in braces. */
const one = (fields: string, spoke: string, more = ''): string =>
  `entity: person\n${more}fields: ${fields}\nspokes:\n  crm: ${spoke}\n`;

function fieldOf(spoke: string, fields = '{ name: text, active: boolean, labels: list }', name = 'name'): FieldMapping {
  const mapping = entityOf(compiled(one(fields, spoke)), 'person').spokes.get(spokeName('crm'));
  const field = mapping?.fields.find((candidate) => candidate.field.name === name);
  if (field === undefined) throw new Error('no such field');
  return field;
}

describe('fields', () => {
  test('a plain path goes both ways', () => {
    const field = fieldOf('{ object: C, fields: { name: Name } }');
    expect(field).toMatchObject({ direction: 'both', reads: ['Name'], writes: ['Name'], fromParent: false });
    expect(field.get(['x'])).toBe('x');
    expect(field.put('x')).toEqual(['x']);
  });

  test('a field that goes in is never written, one that goes out is still read for comparison', () => {
    const inward = fieldOf('{ object: C, fields: { name: { remote: Name, direction: in } } }');
    expect(inward).toMatchObject({ direction: 'in', reads: ['Name'], writes: [] });
    expect(inward.put('x')).toEqual([]);
    expect(fieldOf('{ object: C, fields: { name: { remote: Name, direction: out } } }')).toMatchObject({
      direction: 'out',
      reads: ['Name'],
      writes: ['Name'],
    });
    expect(fieldOf('{ object: C, direction: in, fields: { name: Name } }')).toMatchObject({
      direction: 'in',
      writes: [],
    });
  });

  test('expressions name what they read, and each path that they write', () => {
    const field = fieldOf(
      `{ object: C, fields: { name: { in: "remote.first + ' ' + remote.last", out: { first: "hub.name.split(' ')[0]", last: "hub.name.split(' ')[1]" } } } }`,
    );
    expect(field).toMatchObject({ direction: 'both', reads: ['first', 'last'], writes: ['first', 'last'] });
    expect(field.get(['Ann', 'Lee'])).toBe('Ann Lee');
    expect(field.put('Ann Lee')).toEqual(['Ann', 'Lee']);
    expect(() => field.put('Ann')).toThrow(BadValue);
    expect(fieldOf(`{ object: C, fields: { name: { in: "remote.a" } } }`)).toMatchObject({
      direction: 'in',
      writes: [],
    });
    expect(fieldOf(`{ object: C, fields: { name: { remote: A, out: "hub.name" } } }`)).toMatchObject({
      direction: 'out',
      reads: [],
      writes: ['A'],
    });
  });

  test('several paths are joined', () => {
    const field = fieldOf('{ object: C, fields: { name: { remote: [first, last], via: join } } }');
    expect(field.get(['Ann', 'Lee'])).toBe('Ann Lee');
    expect(field.put('Ann van Lee')).toEqual(['Ann', 'van Lee']);
    expect(field.put('Lee')).toEqual([null, 'Lee']);
  });

  test('where and when decide what belongs', () => {
    const mapping = compiled(
      one(
        '{ name: text, active: boolean, size: integer }',
        `{ object: C, where: "remote.Type == 'a'", when: "hub.active && hub.size > 2", fields: { name: Name } }`,
      ),
    );
    const spoke = entityOf(mapping, 'person').spokes.get(spokeName('crm'));
    expect(spoke?.paths).toEqual(['Name', 'Type']);
    expect(spoke?.accepts({ Type: 'a' } as RemoteFields)).toBe(true);
    expect(spoke?.accepts({} as RemoteFields)).toBe(false);
    expect(spoke?.wants({ active: 'true', size: '3' } as HubFields)).toBe(true);
    expect(spoke?.wants({ active: 'true', size: '2' } as HubFields)).toBe(false);
  });
});

describe('contradictions', () => {
  const refused: readonly (readonly [string, string, RegExp])[] = [
    [
      'a reserved word as field',
      one('{ order: text }', '{ object: C, fields: {} }'),
      /a.yaml:2:11: 'order' is a reserved word of SQL[^]*something like/,
    ],
    ['a reserved word as entity', 'entity: user\nfields: { a: text }\nspokes: {}', /'user' is a reserved word/],
    ['a column of the engine', one('{ id: text }', '{ object: C, fields: {} }'), /'id' belongs to the engine/],
    [
      'an unknown hub field',
      one('{ name: text }', '{ object: C, fields: { nmae: Name } }'),
      /4:31: 'nmae' is not a field of person\n {4}did you mean 'name'/,
    ],
    [
      'an unknown reference',
      one('{ boss: { ref: persn } }', '{ object: C, fields: {} }'),
      /unknown entity 'persn'\n {4}did you mean 'person'/,
    ],
    [
      'a reference with another type',
      one('{ boss: { ref: person, type: text } }', '{ object: C, fields: {} }'),
      /cannot be of type text/,
    ],
    [
      'two fields that write one path',
      one('{ a: text, b: text }', '{ object: C, fields: { a: X, b: X } }'),
      /'b' and 'a' both write X\n {4}give one of them direction: in/,
    ],
    [
      'a default that a field writes',
      one('{ a: text }', '{ object: C, fields: { a: X }, defaults: { X: 1 } }'),
      /X has a default, but 'a' writes it/,
    ],
    [
      'two deciders of conflicts',
      one('{ a: { authority: crm, policy: max, type: integer } }', '{ object: C, fields: {} }'),
      /both decide conflicts/,
    ],
    [
      'an unknown authority',
      one('{ a: { authority: crmm } }', '{ object: C, fields: {} }'),
      /'crmm' is not a spoke of this mapping\n {4}did you mean 'crm'/,
    ],
    [
      'an authority that never shows the field',
      one(
        '{ a: { authority: crm }, b: { authority: crm } }',
        '{ object: C, fields: { b: { remote: X, direction: out } } }',
      ),
      /'crm' is the authority for 'a', but[^]*'crm' is the authority for 'b', but/,
    ],
    [
      'union of a text',
      one('{ a: { type: text, policy: union } }', '{ object: C, fields: {} }'),
      /union belongs to list/,
    ],
    [
      'delta of a text',
      one('{ a: { type: text, policy: delta } }', '{ object: C, fields: {} }'),
      /delta belongs to numbers/,
    ],
    ['max of a text', one('{ a: { type: text, policy: max } }', '{ object: C, fields: {} }'), /max belongs to/],
    [
      'scale of a text',
      one('{ a: { type: text, scale: 2 } }', '{ object: C, fields: {} }'),
      /`scale` belongs to decimal/,
    ],
    [
      'a match without case of a number',
      one('{ a: { type: integer, match: case-insensitive } }', '{ object: C, fields: {} }'),
      /needs text/,
    ],
    [
      'a match rule with an unknown field',
      one('{ a: text }', '{ object: C, fields: {} }', 'match: [[a, bb]]\n'),
      /unknown field 'bb'/,
    ],
    [
      'a direction against the spoke',
      one('{ a: text }', '{ object: C, direction: in, fields: { a: { remote: X, direction: out } } }'),
      /goes 'out', but the whole spoke goes 'in'/,
    ],
    [
      'both directions with one expression',
      one('{ a: text }', '{ object: C, fields: { a: { in: remote.x, direction: both } } }'),
      /needs both `in` and `out`/,
    ],
    [
      'a lens and expressions',
      one('{ a: text }', '{ object: C, fields: { a: { in: remote.x, via: trim } } }'),
      /exclude each other/,
    ],
    [
      'a lens of another type',
      one('{ a: integer }', '{ object: C, fields: { a: { remote: X, via: tags } } }'),
      /'tags' yields list, but the field is of type integer/,
    ],
    [
      'several paths without a lens',
      one('{ a: text }', '{ object: C, fields: { a: { remote: [X, Y] } } }'),
      /need a lens that joins them/,
    ],
    [
      'an unknown country',
      one('{ a: text }', '{ object: C, fields: { a: { remote: X, via: { phone-e164: { country: XX } } } } }'),
      /'XX' is not a country code/,
    ],
    [
      'an unknown zone',
      one('{ a: date }', '{ object: C, fields: { a: { remote: X, via: { date: { zone: Mars } } } } }'),
      /'Mars' is not a time zone/,
    ],
    [
      'values outside the closed list',
      one('{ a: { values: [x] } }', '{ object: C, fields: { a: { remote: X, via: { values: { y: Y } } } } }'),
      /'y' is not among the field's values/,
    ],
    [
      'one remote value for two',
      one('{ a: text }', '{ object: C, fields: { a: { remote: X, via: { values: { x: A, y: A } } } } }'),
      /stands for both 'x' and 'y'/,
    ],
    [
      'two lenses in one step',
      one('{ a: text }', '{ object: C, fields: { a: { remote: X, via: { prefix: a, tags: {} } } } }'),
      /exactly one lens/,
    ],
    [
      'creating where nothing goes',
      one('{ a: text }', '{ object: C, direction: in, create: true, fields: {} }'),
      /nothing can be created there/,
    ],
    [
      'a child without a parent',
      one('{ a: text }', '{ object: Order.lines, fields: { a: A } }'),
      /exactly one reference must be mapped to '@parent'/,
    ],
    [
      'a parent mark without a child',
      one('{ boss: { ref: person } }', "{ object: C, fields: { boss: '@parent' } }"),
      /'@parent' needs an embedded object/,
    ],
    [
      'a bad where',
      one('{ a: text }', '{ object: C, where: "remote.x ==", fields: {} }'),
      /4:28: not a CEL expression/,
    ],
    [
      'a when with an unknown field',
      one('{ a: text }', '{ object: C, when: "hub.b == 1", fields: {} }'),
      /hub.b cannot be used here/,
    ],
  ];

  test.each(refused)('%s is refused with its place', (_name, text, message) => {
    expect(told([text])).toMatch(message);
    expect(told([text])).toMatch(/^a\.yaml:\d+:\d+: /);
  });

  test('everything wrong in several files is told at once', () => {
    const text = told([
      one('{ order: text }', '{ object: C, fields: { x: X } }'),
      'entity: other\nfields: { a: { ref: nobody } }\nspokes: { crm: { object: D, fields: {} } }',
    ]);
    expect(text.match(/^[ab]\.yaml/gm)?.length).toBe(3);
  });

  test('an unknown spoke, an entity mapped twice and a reference into nowhere', () => {
    expect(told([one('{ a: text }', '{ object: C, fields: {} }')], ['crmm'])).toMatch(
      /the spoke 'crm' is not configured\n {4}did you mean 'crmm'/,
    );
    expect(
      told([one('{ a: text }', '{ object: C, fields: {} }'), one('{ a: text }', '{ object: C, fields: {} }')]),
    ).toMatch(/b.yaml:1:9: the entity 'person' is already mapped in a.yaml/);
    const firm = 'entity: firm\nfields: { a: text }\nspokes: { erp: { object: F, fields: {} } }';
    expect(told([one('{ firm: { ref: firm } }', '{ object: C, fields: { firm: FirmId } }'), firm])).toMatch(
      /ids of 'firm' cannot be translated for crm/,
    );
  });
});

describe('references', () => {
  const link = (name: string, ref: string, required = false): string =>
    `entity: ${name}\nfields: { other: { ref: ${ref}, required: ${required} } }\nspokes: { crm: { object: ${name}, fields: { other: Other } } }`;

  test('F121 a circle is broken at an optional reference', () => {
    const mapping = compiled(link('aa', 'bb', true), link('bb', 'cc'), link('cc', 'aa', true));
    expect(mapping.deferred).toEqual([{ entity: 'bb', field: 'other' }]);
    expect([...mapping.entities.keys()]).toEqual(['bb', 'aa', 'cc']);
  });

  test('F121 a reference to its own entity waits', () => {
    expect(compiled(link('aa', 'aa')).deferred).toEqual([{ entity: 'aa', field: 'other' }]);
  });

  test('F121 a circle of required references is refused', () => {
    expect(told([link('aa', 'bb', true), link('bb', 'aa', true)])).toMatch(
      /a circle of required references: aa.other → bb.other/,
    );
    expect(told([link('aa', 'aa', true)])).toMatch(/a circle of required references: aa.other/);
  });

  test('F122 any order of files puts parents first', () => {
    const references = [
      ['d', 'c'],
      ['c', 'b'],
      ['d', 'a'],
      ['b', 'a'],
    ].map(([from, to]) => ({ from: from ?? '', field: 'f', to: to ?? '', firm: false }));
    for (const given of [
      ['a', 'b', 'c', 'd'],
      ['d', 'c', 'b', 'a'],
      ['c', 'a', 'd', 'b'],
    ])
      expect(orderEntities(given, references).order).toEqual(['a', 'b', 'c', 'd']);
  });

  test('an embedded child knows its parent, and the parent its children', () => {
    const parent =
      'entity: purchase\nfields: { number: text }\nspokes: { shop: { object: Order, fields: { number: name } } }';
    const child =
      "entity: line\nfields: { purchase: { ref: purchase }, title: text }\nspokes: { shop: { object: Order.lineItems, fields: { purchase: '@parent', title: title } } }";
    const mapping = compiled(child, parent);
    expect(entityOf(mapping, 'line').spokes.get(spokeName('shop'))?.embedded).toEqual({
      parentEntity: 'purchase',
      parentObject: 'Order',
      child: 'lineItems',
    });
    expect(entityOf(mapping, 'purchase').spokes.get(spokeName('shop'))?.embeds).toEqual([
      { child: 'lineItems', entity: 'line' },
    ]);
    expect(entityOf(mapping, 'line').spokes.get(spokeName('shop'))?.fields[0]).toMatchObject({
      fromParent: true,
      reads: [],
      writes: [],
    });
    expect(told([child, parent.replace('object: Order', 'object: Basket')])).toMatch(
      /'purchase' is not mapped to Order in shop/,
    );
  });
});

test('defaults are literals or look-ups', () => {
  const mapping = compiled(
    one(
      '{ a: text }',
      '{ object: C, fields: {}, defaults: { S: Draft, N: 3, A: { find: { object: Account, key: { Name: Shop } } }, J: { literal: { x: 1 } } } }',
    ),
  );
  expect(entityOf(mapping, 'person').spokes.get(spokeName('crm'))?.defaults).toEqual({
    S: { kind: 'literal', value: 'Draft' },
    N: { kind: 'literal', value: 3 },
    A: { kind: 'find', object: 'Account', key: { Name: 'Shop' } },
    J: { kind: 'literal', value: { x: 1 } },
  });
});

test('match rules keep their order, each once', () => {
  const text = one(
    '{ email: { match: case-insensitive }, first: text, last: text, no: { type: integer, match: exact } }',
    '{ object: C, fields: {} }',
    'match: [[no], [first, { last: case-insensitive }]]\n',
  );
  expect(entityOf(compiled(text), 'person').match).toEqual([
    { keys: [{ field: 'no', kind: 'exact' }] },
    {
      keys: [
        { field: 'first', kind: 'exact' },
        { field: 'last', kind: 'case-insensitive' },
      ],
    },
    { keys: [{ field: 'email', kind: 'case-insensitive' }] },
  ]);
});
