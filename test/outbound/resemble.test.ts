// After a lost answer: what the spoke shows is our write in its own spelling, or somebody else's.
// Proves: Law 5
import { describe, expect, test } from 'vitest';
import type { Intent } from '../../src/model/intent.js';
import { externalId, objectName, version, type Version } from '../../src/model/ids.js';
import type { RemoteFields, RemoteRecord, RemoteValue } from '../../src/model/record.js';
import { judge } from '../../src/outbound/outcome.js';
import { judgeTries } from '../../src/outbound/tries.js';
import { parseMapping } from '../../src/mapping/load.js';
import { resembles } from '../../src/mapping/resemble.js';

const ours: readonly [RemoteValue, RemoteValue][] = [
  [' Berta  W21 ', 'Berta W21'],
  ['anna', 'ANNA'],
  ['', null],
  ['+14155552671', '(415) 555-2671'],
  ['b, a', 'a, b'],
  ['a long text that is cut', 'a long text'],
  [13.25, 13.3],
  [13.25, 13],
  ['13.250', 13.25],
  [
    ['b', 'a', 'a'],
    ['A', 'b'],
  ],
  [true, true],
];
const others: readonly [RemoteValue, RemoteValue][] = [
  ['anna', 'hanna'],
  ['anna', null],
  [null, 'anna'],
  ['anna', 'an'],
  [13.25, 14],
  [13.25, 14.3],
  [13.25, 12],
  [13.25, 13.26],
  [['a'], ['a', 'b']],
  [true, false],
  ['2', '20'],
];

describe('resembles', () => {
  test.each(ours)('%j may have become %j', (sent, shown) => expect(resembles(sent, shown)).toBe(true));
  test.each(others)('%j did not become %j', (sent, shown) => expect(resembles(sent, shown)).toBe(false));
});

describe('a write whose answer was lost', () => {
  const fields = (values: Readonly<Record<string, RemoteValue>>): RemoteFields => values;
  const record = (values: Readonly<Record<string, RemoteValue>>, stamp: string): RemoteRecord => ({
    object: objectName('Contact'),
    externalId: externalId('c-1'),
    version: version(stamp),
    deleted: false,
    hubKey: null,
    modifiedBySelf: null,
    mergedInto: null,
    fields: fields(values),
    children: {},
  });
  const intent: Intent = { op: 'update', externalId: 'c-1', fields: fields({ Name: ' Ann ' }), hub: {}, sentAtMs: 0 };
  const before: Version = version('1');

  test('F64 applied and trimmed is applied, though nothing tells who wrote it', () => {
    expect(judge(intent, record({ Name: 'Ann' }, '2'), before).kind).toBe('applied');
  });

  test('F64 a write that never arrived is not taken for done because the old value is near: 124.50 is not 124.51 rounded', () => {
    const raised: Intent = { ...intent, fields: fields({ Price: '124.51' }) };
    expect(judge(raised, record({ Price: '124.50' }, '1'), before).kind).toBe('not_applied');
    expect(judge(raised, record({ Price: '124.51' }, '1'), before).kind).toBe('applied');
    expect(judge(raised, record({ Price: '124.5' }, '2'), before).kind).toBe('applied');
  });

  test('F64 under a coarse stamp that has not moved: what looks like ours and was not there before is ours; what stands as before is not', () => {
    const both: Intent = { ...intent, fields: fields({ Name: 'Ann', Price: '124.51' }) };
    const stood = fields({ Name: 'EVE', Price: '124.50' });
    expect(judge(both, record({ Name: 'ANN', Price: '124.51' }, '1'), before, stood).kind).toBe('applied');
    expect(judge(both, record({ Name: 'ANN', Price: '124.50' }, '1'), before, stood).kind).toBe('changed');
    expect(judge(both, record({ Name: 'EVE', Price: '124.50' }, '1'), before, stood).kind).toBe('not_applied');
  });

  test('F64 a create that someone edited before we looked: the edit does not pass for our write', () => {
    const created: Intent = { ...intent, op: 'create', externalId: null };
    expect(judge(created, record({ Name: 'Ann', Note: null }, '2'), before).kind).toBe('applied');
    expect(judge(created, record({ Name: 'Eve', Note: null }, '2'), before).kind).toBe('changed');
    expect(judge(created, record({ Name: 'Ann', Note: 'hers' }, '2'), before).kind).toBe('changed');
  });

  test('F78 a record that shows nothing of what was sent proves nothing; a part of it proves all', () => {
    expect(judge(intent, record({ Price: 1 }, '2'), before).kind).toBe('not_shown');
    expect(judge(intent, record({ Price: 1 }, '1'), before).kind).toBe('not_shown');
    const both: Intent = { ...intent, fields: fields({ Name: 'Ann', Price: 2 }) };
    expect(judge(both, record({ Price: 2 }, '2'), before, fields({ Price: 1 })).kind).toBe('applied');
    const created: Intent = { ...intent, op: 'create', externalId: null };
    expect(judge(created, record({}, '2'), before).kind).toBe('applied');
  });

  test('another value is somebody else’s, and the old one was never overwritten', () => {
    expect(judge(intent, record({ Name: 'Eve' }, '2'), before).kind).toBe('changed');
    expect(judge(intent, record({ Name: 'Eve' }, '1'), before).kind).toBe('not_applied');
  });

  describe('of several writes that nobody answered', () => {
    const { mapping } = parseMapping(
      [
        {
          file: 'thing.yaml',
          text: 'entity: thing\nfields: { name: text, note: text }\nspokes:\n  crm: { object: Contact, fields: { name: Name, note: Note } }\n',
        },
      ],
      { spokes: ['crm'] },
    );
    const spoke = [...mapping.entities.values()][0]?.spokes.values().next().value;
    if (spoke === undefined) throw new Error('not mapped');
    const sent = (name: string, note: string): Intent => ({
      op: 'update',
      externalId: 'c-1',
      fields: fields({ Name: name, Note: note }),
      hub: { name, note } as Intent['hub'],
      sentAtMs: 0,
    });
    const [first, second] = [sent('anna', 'one'), sent('berta', 'two')];
    const both: Intent = { ...second, late: [first] };
    const stood = fields({ Name: 'carl', Note: 'none' });
    const told = (name: string, note: string, stamp: string, bySelf: boolean | null): [RemoteValue, string] => {
      const shown = { ...record({ Name: name, Note: note }, stamp), modifiedBySelf: bySelf };
      const { tried, verdict } = judgeTries(spoke, both, shown, before, stood);
      return [tried.fields['Name' as never] ?? null, verdict.kind];
    };

    test('F65 the one that the record shows has come, whoever wrote last', () => {
      expect(told('BERTA', 'two', '2', true)).toEqual(['berta', 'applied']);
      expect(told('ANNA', 'one', '2', true)).toEqual(['anna', 'applied']);
      expect(told('ANNA', 'one', '2', null)).toEqual(['anna', 'applied']);
      expect(told('ANNA', 'one', '1', null)).toEqual(['anna', 'applied']);
    });

    test('F65 made over beyond recognition it passes for the oldest; a record that shows nothing new for none', () => {
      expect(told('xx', 'yy', '2', true)).toEqual(['anna', 'applied']);
      expect(told('carl', 'none', '1', true)).toEqual(['berta', 'not_applied']);
    });

    test('F65 edited since by somebody, it is the one of which most still shows', () => {
      expect(told('dora', 'one', '2', false)).toEqual(['anna', 'changed']);
      expect(told('dora', 'two', '2', false)).toEqual(['berta', 'changed']);
      expect(told('dora', 'her own', '2', false)).toEqual(['berta', 'changed']);
    });
  });
});
