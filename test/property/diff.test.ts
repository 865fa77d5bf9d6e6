// What was sent and confirmed leaves nothing to send, whatever the spoke makes of the values on the way in.
// Proves: Law 2
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseMapping } from '../../src/mapping/load.js';
import type { SpokeMapping } from '../../src/mapping/mapping.js';
import {
  entityName,
  externalId,
  fieldName,
  hubId,
  objectName,
  spokeName,
  version,
  type FieldName,
} from '../../src/model/ids.js';
import type { Base, Link } from '../../src/model/link.js';
import type { HubFields, HubValue, RemoteFields, RemoteRecord, RemoteValue } from '../../src/model/record.js';
import { diff, type Difference, type DiffInput } from '../../src/outbound/diff.js';
import { confirmedBase } from '../../src/outbound/settle.js';

/** `npm run properties` asks for ten times as many. */
const runs = 2_000 * Math.max(1, Number(process.env['TRIPLES'] ?? 0) / 1_000_000);

const text = `
entity: person
fields:
  name: text
  mail: text
  size: { type: decimal, scale: 2 }
  count: integer
  active: boolean
  labels: list
spokes:
  crm:
    object: Contact
    fields:
      name: { remote: Name, via: trim }
      mail: { remote: Mail, via: [trim, lowercase] }
      size: Size
      count: Count
      active: Active
      labels: Labels
`;
const { mapping: whole } = parseMapping([{ file: 'person.yaml', text }], { spokes: ['crm'] });
const found = whole.entities.get(entityName('person'))?.spokes.get(spokeName('crm'));
if (found === undefined) throw new Error('not mapped');
const mapping: SpokeMapping = found;

const nullable = (values: fc.Arbitrary<string>): fc.Arbitrary<HubValue> => fc.option(values, { freq: 5 });
const words = fc.constantFrom('', ' ', 'Ann', ' ann', 'ANN', 'Béa', 'x'.repeat(40));
const row = fc.record({
  name: nullable(words),
  mail: nullable(words),
  size: nullable(fc.constantFrom('0.00', '1.50', '1.5', '-3.25', '12345678901234567890.12')),
  count: nullable(fc.constantFrom('0', '7', '-7', '9007199254740993')),
  active: nullable(fc.constantFrom('true', 'false')),
  labels: nullable(fc.constantFrom('{}', '{a}', '{b,a}')),
}) as unknown as fc.Arbitrary<HubFields>;

type Normaliser = (value: RemoteValue) => RemoteValue;
const normalisers: readonly Normaliser[] = [
  (value) => value,
  (value) => (typeof value === 'string' ? value.trim() : value),
  (value) => (typeof value === 'string' ? value.toUpperCase() : value),
  (value) => (value === '' ? null : value),
  (value) => (typeof value === 'number' ? Math.round(value) : value),
  (value) => (typeof value === 'string' ? value.slice(0, 5) : value),
  (value) => (Array.isArray(value) ? [...(value as readonly string[])].sort() : value),
];

const input = (fields: HubFields, link: Link | null): DiffInput => ({
  mapping,
  row: { id: hubId('1'), fields, deletedAt: null },
  link,
  held: new Set(),
  observed: null,
  deferred: new Set(),
  resolve: () => undefined,
  mapped: () => true,
  undelete: true,
});

const linkOf = (base: Base): Link => ({
  spoke: spokeName('crm'),
  entity: entityName('person'),
  hubId: hubId('1'),
  externalId: externalId('c-1'),
  state: 'live',
  base,
  overruled: {},
  version: version('1'),
});

/** The spoke's record after our write, as it shows it. */
function written(before: RemoteFields, sent: RemoteFields, normalise: Normaliser): RemoteRecord {
  const made = Object.fromEntries(Object.entries(sent).map(([path, value]) => [path, normalise(value)]));
  const blank = Object.fromEntries(mapping.paths.map((path) => [path, null]));
  return {
    object: objectName('Contact'),
    externalId: externalId('c-1'),
    version: version('2'),
    deleted: false,
    hubKey: null,
    modifiedBySelf: true,
    mergedInto: null,
    fields: { ...blank, ...before, ...made } as RemoteFields,
    children: {},
  };
}

const isSending = (one: Difference): one is Extract<Difference, { kind: 'create' | 'update' }> =>
  one.kind === 'create' || one.kind === 'update';

describe('diff after apply', () => {
  test('is empty after a create and after every later edit', () => {
    fc.assert(
      fc.property(row, fc.array(row, { maxLength: 4 }), fc.constantFrom(...normalisers), (first, edits, normalise) => {
        const created = diff(input(first, null));
        if (!isSending(created)) throw new Error('a new row is created');
        let record = written({}, created.fields, normalise);
        let base = confirmedBase(mapping, created.hub, created.fields, record);
        expect(diff(input(first, linkOf(base))).kind).toBe('none');
        for (const fields of edits) {
          const changed = diff(input(fields, linkOf(base)));
          if (isSending(changed)) {
            record = written(record.fields, changed.fields, normalise);
            base = { ...base, ...agreedOf(changed), ...confirmedBase(mapping, changed.hub, changed.fields, record) };
          }
          const after = diff(input(fields, linkOf(base)));
          expect(after.kind).toBe('none');
        }
      }),
      { numRuns: runs },
    );
  });

  test('sends only what differs, and what it sends is the hub’s own value', () => {
    fc.assert(
      fc.property(row, row, (before, now) => {
        const created = diff(input(before, null));
        if (!isSending(created)) throw new Error('a new row is created');
        const record = written({}, created.fields, (value) => value);
        const base = confirmedBase(mapping, created.hub, created.fields, record);
        const changed = diff(input(now, linkOf(base)));
        if (!isSending(changed)) return;
        for (const [name, value] of Object.entries(changed.hub) as [FieldName, HubValue][]) {
          expect(value).toBe(now[name] ?? null);
          expect(value).not.toBe(before[name] ?? null);
        }
      }),
      { numRuns: runs },
    );
  });

  test('a field that a person must decide about is not sent', () => {
    fc.assert(
      fc.property(row, (fields) => {
        const held = { ...input(fields, linkOf({})), held: new Set([fieldName('name')]) };
        const changed = diff(held);
        if (isSending(changed)) expect(Object.keys(changed.fields)).not.toContain('Name');
      }),
    );
  });
});

function agreedOf(changed: Difference): Base {
  return changed.kind === 'update' ? changed.agreed : {};
}

describe('a repair', () => {
  test('writes again what was emptied: null that was seen is not absent', () => {
    const fields = {
      name: 'Ann',
      mail: null,
      size: null,
      count: null,
      active: null,
      labels: null,
    } as unknown as HubFields;
    const link = linkOf({ [fieldName('name')]: { hub: 'Ann', remote: 'Ann' } });
    const seen = (observed: DiffInput['observed']): Difference => diff({ ...input(fields, link), observed });
    expect(seen({ name: 'Bob' })).toMatchObject({ kind: 'update', fields: { Name: 'Ann' } });
    expect(seen({ name: null })).toMatchObject({ kind: 'update', fields: { Name: 'Ann' } });
    expect(seen({})).toMatchObject({ kind: 'none' });
  });
});
