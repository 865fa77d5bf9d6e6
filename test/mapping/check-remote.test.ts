import { expect, test } from 'vitest';
import { checkAgainst, type Described, type DescribedField } from '../../src/mapping/check-remote.js';
import { parseMapping } from '../../src/mapping/load.js';

const field = (path: string, more: Partial<DescribedField> = {}): DescribedField => ({
  path,
  type: 'text',

  createable: true,
  updateable: true,
  ...more,
});
const object = (
  name: string,
  fields: readonly DescribedField[],
  more: Partial<Described['objects'][number]> = {},
): Described['objects'][number] => ({
  name,
  fields,
  children: {},
  createable: true,
  updateable: true,
  deletable: true,
  ...more,
});

const crm: Described = {
  objects: [
    object('Contact', [
      field('Email'),
      field('LastName', { required: true }),
      field('Tier', { values: ['Free', 'Pro'] }),
      field('AccountId', { references: ['Account'] }),
      field('CreatedDate', { createable: false, updateable: false }),
      field('Born', { updateable: false }),
      field('entry.price'),
    ]),
    object('Order', [field('number')], {
      children: { lines: [field('title', { createable: false, updateable: false })] },
      createable: false,
    }),
  ],
};

function findings(fields: string, mapped: string, more = '', hub = ''): { problems: string[]; warnings: string[] } {
  const text = `entity: person\nfields: ${fields}\nspokes:\n  crm:\n    object: Contact\n    fields: ${mapped}\n${more}`;
  const loaded = parseMapping([{ file: 'p.yaml', text }, ...(hub === '' ? [] : [{ file: 'q.yaml', text: hub }])]);
  const { problems, warnings } = checkAgainst(loaded.mapping, new Map([['crm', crm]]), (entity, path) =>
    loaded.place(entity, path),
  );
  const told = (list: typeof problems): string[] =>
    list.map(
      ({ file, line, column, message, hint }) => `${file ?? ''}:${line ?? 0}:${column ?? 0} ${message} | ${hint ?? ''}`,
    );
  return { problems: told(problems), warnings: told(warnings) };
}

test('a mapping that fits says nothing', () => {
  expect(
    findings(
      '{ email: text, name: text, tier: { values: [free] } }',
      '{ email: Email, name: LastName, tier: { remote: Tier, via: { values: { free: Free } } } }',
    ),
  ).toEqual({ problems: [], warnings: [] });
});

test('an unknown object and an unknown field are told with place and suggestion', () => {
  expect(findings('{ a: text }', '{ a: Emial }').problems).toEqual([
    "p.yaml:6:18 Contact in crm has no field 'Emial' | did you mean 'Email'? (or our user may not see it)",
  ]);
  expect(findings('{ a: text }', '{ a: entry.pric }').problems).toEqual([
    expect.stringMatching(/no field 'entry.pric' \| did you mean 'entry.price'/),
  ]);
  const other = findings(
    '{ a: text }',
    '{ a: LastName }',
    '',
    'entity: other\nfields: { a: text }\nspokes: { crm: { object: Contcat, fields: { a: Email } } }',
  );
  expect(other.problems).toEqual([
    expect.stringMatching(/^q.yaml:3:26 crm has no object 'Contcat' \| did you mean 'Contact'/),
  ]);
});

test('what only exists through a relationship is a warning', () => {
  expect(
    findings('{ a: text, n: text }', '{ n: LastName, a: { remote: Owner.Name, direction: in } }').warnings,
  ).toEqual([expect.stringMatching(/Owner.Name leads through a relationship/)]);
});

test('read-only and create-only fields', () => {
  expect(findings('{ a: text, n: text }', '{ n: LastName, a: CreatedDate }').problems).toEqual([
    expect.stringMatching(/CreatedDate is read-only in crm \| write direction: in/),
  ]);
  expect(
    findings('{ a: text, n: text }', '{ n: LastName, a: { remote: CreatedDate, direction: in } }').problems,
  ).toEqual([]);
  expect(findings('{ a: text, n: text }', '{ n: LastName, a: Born }').warnings).toEqual([
    expect.stringMatching(/Born in crm can be given only when a record is created/),
  ]);
});

test('F115 each value of a closed list must be one that the spoke takes', () => {
  const fields = '{ n: text, tier: { values: [free, pro, gold] } }';
  const problems = findings(
    fields,
    '{ n: LastName, tier: { remote: Tier, via: { values: { free: Free, pro: Pr } } } }',
  ).problems;
  expect(problems).toEqual([
    expect.stringMatching(/'pro' becomes 'Pr', which Tier in crm does not take \| did you mean 'Pro'/),
    expect.stringMatching(/the hub value 'gold' has no counterpart in crm/),
  ]);
});

test('a reference must lead to the object that its entity is mapped to', () => {
  const firm = (name: string): string =>
    `entity: firm\nfields: { a: text }\nspokes: { crm: { object: ${name}, create: false, fields: { a: number } } }`;
  expect(
    findings('{ n: text, firm: { ref: firm } }', '{ n: LastName, firm: AccountId }', '', firm('Order')).problems,
  ).toEqual([expect.stringMatching(/AccountId in crm points to Account, but 'firm' is mapped to Order/)]);
});

test('required fields without a value are a warning, unless nothing is created there', () => {
  expect(findings('{ a: text }', '{ a: Email }').warnings).toEqual([
    expect.stringMatching(/Contact in crm insists on LastName/),
  ]);
  expect(findings('{ a: text }', '{ a: Email }', '    defaults: { LastName: none }\n').warnings).toEqual([]);
  expect(findings('{ a: text }', '{ a: Email }', '    create: false\n').warnings).toEqual([]);
});

test('defaults and where name fields that exist', () => {
  const told = findings(
    '{ n: text }',
    '{ n: LastName }',
    '    defaults: { Statuss: x, CreatedDate: y }\n    where: "remote.Emial == \'x\'"\n',
  ).problems;
  expect(told).toEqual([
    expect.stringMatching(/no field 'Statuss'/),
    expect.stringMatching(/CreatedDate cannot be given/),
    expect.stringMatching(/^p.yaml:8:12 .*no field 'Emial'/),
  ]);
});

test('embedded children are looked up in their parent', () => {
  const parent =
    'entity: purchase\nfields: { no: text }\nspokes: { crm: { object: Order, direction: in, fields: { no: number } } }';
  const child = (lines: string, direction: string): string =>
    `entity: line\nfields: { up: { ref: purchase }, t: text }\nspokes: { crm: { object: Order.${lines}, direction: ${direction}, fields: { up: '@parent', t: title } } }`;
  const problems = (text: string): string[] =>
    checkAgainst(
      parseMapping([
        { file: 'a', text: parent },
        { file: 'b', text },
      ]).mapping,
      new Map([['crm', crm]]),
    ).problems.map(({ message }) => message);
  expect(problems(child('lines', 'in'))).toEqual([]);
  expect(problems(child('lines', 'both'))).toEqual(['title is read-only in crm']);
  expect(problems(child('line', 'in'))).toEqual(["Order in crm embeds no 'line'"]);
});
