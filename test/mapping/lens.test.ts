// Proves: Law 2, Law 3
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lens, type LensField, type Stage } from '../../src/mapping/lens.js';
import { BadValue, type FieldType } from '../../src/mapping/mapping.js';
import * as stages from '../../src/mapping/stages.js';
import { formatList, sameHub, sameRemote, toHubText } from '../../src/mapping/values.js';
import type { HubValue, RemoteValue } from '../../src/model/record.js';

const field = (type: FieldType, more: Partial<LensField> = {}): LensField => ({
  type,
  scale: null,
  maxLength: null,
  values: null,
  ...more,
});
const words = fc.string({ unit: 'grapheme', maxLength: 12 });
const name = fc.constantFrom('Ann', 'de la', "O'Neil", 'Ann Marie', '', ' x ', 'é', '\ufeffB');
const decimals = fc.stringMatching(/^-?[1-9][0-9]{0,11}(\.[0-9]{1,6})?$/);
const stamps = fc
  .date({ min: new Date('1900-01-01'), max: new Date('2200-01-01'), noInvalidDate: true })
  .map((at) => at.toISOString());
const phones = fc.oneof(
  fc.stringMatching(/^\+1[2-9][0-9]{2}[2-9][0-9]{6}$/),
  fc.stringMatching(/^\([2-9][0-9]{2}\) [2-9][0-9]{2}-[0-9]{4}$/),
  fc.constantFrom('', '+44 20 7946 0958', '(212) 555-0100 ext. 7', 'call me', '1'),
);
const html = fc
  .array(
    fc.constantFrom('<p>', '</p>', '<br>', '<b>', 'a < b', '&amp;', '&lt;', '&', '\n', ' ', 'text', '<', '>', '"'),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

interface LawCase {
  readonly label: string;
  readonly field: LensField;
  readonly stages: readonly Stage[];
  readonly remote: fc.Arbitrary<RemoteValue>;
  readonly hub: fc.Arbitrary<HubValue>;
  readonly paths?: number;
}

const hubText = words as fc.Arbitrary<HubValue>;
const cases: readonly LawCase[] = [
  { label: 'plain text', field: field('text'), stages: [], remote: words, hub: hubText },
  { label: 'trim', field: field('text'), stages: [stages.trim()], remote: words, hub: hubText },
  {
    label: 'lowercase',
    field: field('text'),
    stages: [stages.trim(), stages.lowercase()],
    remote: words,
    hub: hubText,
  },
  { label: 'uppercase', field: field('text'), stages: [stages.uppercase()], remote: words, hub: hubText },
  {
    label: 'blank-as-null',
    field: field('text'),
    stages: [stages.blankAsNull()],
    remote: fc.option(words),
    hub: fc.option(words),
  },
  {
    label: 'null-as',
    field: field('text'),
    stages: [stages.nullAs('-')],
    remote: fc.option(fc.oneof(words, fc.constant('-'))),
    hub: fc.option(words),
  },
  {
    label: 'phone, drop',
    field: field('text'),
    stages: [stages.phoneE164({ country: 'US', invalid: 'drop' })],
    remote: phones,
    hub: phones,
  },
  {
    label: 'phone, keep',
    field: field('text'),
    stages: [stages.phoneE164({ country: 'US', invalid: 'keep' })],
    remote: phones,
    hub: phones,
  },
  {
    label: 'values',
    field: field('text'),
    stages: [stages.valuesMap({ free: 'Free', paid: ['Professional', 'Enterprise'] })],
    remote: fc.constantFrom('Free', 'Professional', 'Enterprise', null),
    hub: fc.constantFrom('free', 'paid', null),
  },
  {
    label: 'values of a boolean',
    field: field('boolean'),
    stages: [stages.valuesMap({ true: ['ACTIVE', 'UNLISTED'], false: ['DRAFT', 'ARCHIVED'] })],
    remote: fc.constantFrom('ACTIVE', 'UNLISTED', 'DRAFT', 'ARCHIVED'),
    hub: fc.constantFrom('true', 'false', null),
  },
  {
    label: 'decimal of the field',
    field: field('decimal', { scale: 2 }),
    stages: [],
    remote: fc.oneof(decimals, fc.double({ noNaN: true, min: -1e9, max: 1e9 })),
    hub: decimals,
  },
  {
    label: 'decimal as text',
    field: field('decimal', { scale: 4 }),
    stages: [stages.decimal({ scale: 2, as: 'text' })],
    remote: decimals,
    hub: decimals,
  },
  {
    label: 'integer',
    field: field('integer'),
    stages: [],
    remote: fc.maxSafeInteger(),
    hub: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  },
  {
    label: 'date',
    field: field('date'),
    stages: [stages.date({ zone: 'America/New_York' })],
    remote: fc.option(stamps),
    hub: stamps.map((at) => at.slice(0, 10)),
  },
  {
    label: 'timestamp',
    field: field('timestamp'),
    stages: [stages.timestamp({ zone: 'UTC' })],
    remote: fc.option(stamps),
    hub: stamps.map((at) => toHubText('timestamp', at)),
  },
  {
    label: 'tags',
    field: field('list'),
    stages: [stages.tags({})],
    remote: fc.array(words),
    hub: fc.array(words).map(formatList),
  },
  {
    label: 'tags with a separator',
    field: field('list'),
    stages: [stages.tags({ separator: ', ' })],
    remote: fc.string({ maxLength: 20 }),
    hub: fc.array(fc.stringMatching(/^[a-z ]{0,5}$/)).map(formatList),
  },
  {
    label: 'prefix',
    field: field('text'),
    stages: [stages.prefix('gid://')],
    remote: words.map((word) => `gid://${word}`),
    hub: hubText,
  },
  {
    label: 'join',
    field: field('text'),
    stages: [stages.join({ separator: ' ', paths: 2 })],
    paths: 2,
    remote: fc.tuple(fc.option(name), fc.option(name)) as fc.Arbitrary<RemoteValue>,
    hub: fc.option(fc.array(name).map((parts) => parts.join(' '))),
  },
  { label: 'strip-html', field: field('text'), stages: [stages.stripHtml()], remote: html, hub: html },
];

describe('laws', () => {
  test.each(cases)(
    '$label: reading what was written changes nothing any more',
    ({ field: of, stages: chain, remote, hub, paths }) => {
      const subject = lens(of, chain);
      const toPaths = (value: RemoteValue): readonly RemoteValue[] =>
        paths === undefined ? [value] : (value as readonly RemoteValue[]);
      fc.assert(
        fc.property(remote, (value) => {
          const once = subject.get(toPaths(value));
          expect(sameHub(of.type, subject.get(subject.put(once)), once), 'get∘put∘get = get').toBe(true);
        }),
      );
      fc.assert(
        fc.property(hub, (value) => {
          const once = subject.put(value);
          expect(sameRemote(subject.put(subject.get(once)), once), 'put∘get∘put = put').toBe(true);
        }),
      );
    },
  );

  test('every step lets null through as null', () => {
    for (const { field: of, stages: chain, paths, label } of cases) {
      if (label === 'null-as') continue;
      const subject = lens(of, chain);
      const nothing = Array.from({ length: paths ?? 1 }, () => null);
      expect(subject.get(nothing), label).toBe(null);
      expect(subject.put(null), label).toEqual(nothing);
    }
  });

  test('a lens that changes a value says so', () => {
    for (const { field: of, stages: chain, label, remote, paths } of cases) {
      const subject = lens(of, chain);
      if (subject.losses.length > 0) continue;
      fc.assert(
        fc.property(remote, (value) => {
          const shown = paths === undefined ? [value] : (value as readonly RemoteValue[]);
          expect(sameRemote(subject.put(subject.get(shown)), shown), label).toBe(true);
        }),
      );
    }
  });
});

describe('single lenses', () => {
  const get = (stage: Stage, value: RemoteValue, of = field('text')): HubValue => lens(of, [stage]).get([value]);
  const codeOf = (body: () => unknown): string => {
    try {
      body();
      return 'no error';
    } catch (error) {
      return error instanceof BadValue ? error.code : 'wrong error';
    }
  };

  test('telephone numbers in any spelling become one', () => {
    const us = stages.phoneE164({ country: 'US' });
    for (const text of ['(415) 555-2671', '415.555.2671', '+1 415 555 2671', '1-415-555-2671'])
      expect(get(us, text)).toBe('+14155552671');
    expect(codeOf(() => get(us, 'call me'))).toBe('not_phone');
    expect(codeOf(() => get(stages.phoneE164({}), '415 555 2671'))).toBe('not_phone');
    expect(get(stages.phoneE164({ country: 'US', invalid: 'drop' }), 'call me')).toBe(null);
  });

  test('F115 an unknown picklist value is refused, not blanked', () => {
    const tier = stages.valuesMap({ free: 'Free' });
    expect(codeOf(() => get(tier, 'Platinum'))).toBe('unknown_value');
    expect(codeOf(() => lens(field('text'), [tier]).put('gold'))).toBe('unknown_value');
    expect(get(tier, null)).toBe(null);
  });

  test('F114 a stamp without a zone is read with the zone that the mapping names', () => {
    const zoneless = '2026-07-01T00:30:00';
    expect(codeOf(() => lens(field('timestamp'), []).get([zoneless]))).toBe('timestamp_zoneless');
    expect(get(stages.timestamp({ zone: 'Europe/Berlin' }), zoneless, field('timestamp'))).toBe(
      '2026-06-30 22:30:00+00',
    );
    expect(get(stages.date({}), '2026-07-01T00:30:00+02:00', field('date'))).toBe('2026-06-30');
    expect(get(stages.date({ zone: 'Europe/Berlin' }), '2026-06-30T22:30:00Z', field('date'))).toBe('2026-07-01');
  });

  test("F111 '' is null for numbers and dates, and stays '' in texts", () => {
    for (const type of ['integer', 'decimal', 'boolean', 'date', 'timestamp'] as const)
      expect(lens(field(type), []).get([''])).toBe(null);
    expect(lens(field('text'), []).get([''])).toBe('');
  });

  test('F109 trimming leaves a leading BOM alone', () => {
    expect(get(stages.trim(), ' \ufeffa \u00a0')).toBe('\ufeffa');
  });

  test('a separator inside an entry is refused', () => {
    expect(codeOf(() => lens(field('list'), [stages.tags({ separator: ';' })]).put('{"a;b"}'))).toBe(
      'separator_in_entry',
    );
    expect(lens(field('list'), [stages.tags({ separator: ';' })]).put('{b,a}')).toEqual(['a;b']);
  });

  test('F127 long hostile text costs linear time', () => {
    const hostile = `${'<'.repeat(100_000)}${'&'.repeat(100_000)}${' '.repeat(100_000)}x`;
    const started = performance.now();
    get(stages.stripHtml(), hostile);
    get(stages.phoneE164({ country: 'US', invalid: 'drop' }), '('.repeat(200_000));
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});
