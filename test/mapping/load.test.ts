// Proves: Invariant 9
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatProblem, Problems, type Problem } from '../../src/base/errors.js';
import { loadMapping, parseMapping, type LoadedMapping } from '../../src/mapping/load.js';
import { mappingJsonSchema } from '../../src/mapping/schema.js';

const good = `entity: person
fields:
  email: { type: text, match: case-insensitive }
spokes:
  crm: { object: Contact, fields: { email: Email } }
`;

function problemsOf(body: () => LoadedMapping): readonly Problem[] {
  try {
    body();
  } catch (error) {
    if (error instanceof Problems) return error.problems;
    throw error;
  }
  return [];
}

/** Every problem of one file as `line:column message | hint`. */
function told(text: string, spokes?: readonly string[]): string[] {
  return problemsOf(() => parseMapping([{ file: 'x.yaml', text }], { spokes })).map(
    ({ line, column, message, hint }) => `${line ?? 0}:${column ?? 0} ${message} | ${hint ?? ''}`,
  );
}

describe('files', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'truespoke-mapping-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('the starter mappings load, parents before children', async () => {
    const { mapping } = await loadMapping('mappings', { spokes: ['salesforce', 'shopify'] });
    const names = [...mapping.entities.keys()];
    for (const entity of mapping.entities.values()) {
      for (const { ref } of entity.fields)
        if (ref !== null) expect(names.indexOf(ref)).toBeLessThan(names.indexOf(entity.name));
    }
    expect(names.length).toBe(5);
    expect(mapping.deferred).toEqual([]);
  });

  test('mappings/schema.json is what the code checks', async () => {
    expect(JSON.parse(await readFile('mappings/schema.json', 'utf8'))).toEqual(
      JSON.parse(JSON.stringify(mappingJsonSchema())),
    );
  });

  test('a missing or empty folder is told with the next step', async () => {
    await expect(loadMapping(join(folder, 'nowhere'))).rejects.toThrow(/cannot be read\n.*truespoke init/);
    await expect(loadMapping(folder)).rejects.toThrow(/no mapping/);
  });

  test('F125 a file of 50 MB is refused in less than a second without being read', async () => {
    await writeFile(join(folder, 'big.yaml'), Buffer.alloc(50_000_000, 'a'));
    const started = performance.now();
    await expect(loadMapping(folder)).rejects.toThrow(/big.yaml: the file is larger than 1 MB/);
    expect(performance.now() - started).toBeLessThan(1_000);
    await rm(join(folder, 'big.yaml'));
  });

  test('problems of all files come at once', async () => {
    await writeFile(join(folder, 'a.yaml'), 'entity: [');
    await writeFile(join(folder, 'b.yaml'), good.replace('object:', 'objekt:'));
    const error = await loadMapping(folder).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(Problems);
    const text = (error as Problems).problems.map(formatProblem).join('\n');
    expect(text).toMatch(/a\.yaml:1:\d+: not YAML/);
    expect(text).toMatch(/b\.yaml:5:10: unknown key 'objekt' in 'spokes.crm'\n {4}did you mean 'object'\?/);
  });
});

describe('YAML that is refused', () => {
  test('F124 duplicate keys and malformed text are told with line and column', () => {
    expect(told(good.replace('fields:\n  email', 'fields:\n  email: text\n  email'))).toEqual([
      expect.stringMatching(/^4:3 this key stands twice/),
    ]);
    expect(told('entity: person\n\tfields: {}')[0]).toMatch(/^2:\d+ a tab is used/);
    expect(told('')[0]).toMatch(/expected keys below it/);
  });

  test('F125 an alias bomb is refused in less than a second', () => {
    const layers = Array.from(
      { length: 9 },
      (_, i) => `l${i + 1}: &l${i + 1} [${Array.from({ length: 9 }, () => `*l${i}`).join(', ')}]`,
    );
    const started = performance.now();
    expect(told(['l0: &l0 x', ...layers].join('\n'))[0]).toMatch(/more than 50 aliases/);
    expect(
      told(['a: &a [x, x]', ...Array.from({ length: 40 }, (_, i) => `b${i}: [*a]`)].join('\n')).join(),
    ).not.toMatch(/aliases/);
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  test('F125 deep nesting and very many values are refused in less than a second', () => {
    const started = performance.now();
    expect(told(`a: ${'['.repeat(20_000)}`).length).toBeGreaterThan(0);
    expect(told(`a: [${'1,'.repeat(120_000)}1]`).length).toBeGreaterThan(0);
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  test('F126 keys that reach a prototype are refused and Object.prototype stays as it is', () => {
    for (const key of ['__proto__', 'constructor', 'prototype', '"__proto__"']) {
      expect(told(`${good}${key}: { polluted: yes }`).join()).toMatch(/^6:1 the key '\w+' is not allowed/);
      expect(told(good.replace('email: Email', `${key}: Email`)).join()).toMatch(/is not allowed/);
    }
    expect(({} as Record<string, unknown>)['polluted']).toBe(undefined);
  });
});

describe('shape', () => {
  test('unknown keys, wrong words and wrong types each have a place and a suggestion', () => {
    expect(told(good.replace('type: text', 'type: txt'))).toEqual([
      "3:18 'fields.email.type': expected one of text, integer, decimal, boolean, date, timestamp, json, list, ref | did you mean 'text'?",
    ]);
    expect(told(good.replace('match:', 'mach:'))).toEqual([
      expect.stringMatching(/^3:24 unknown key 'mach' .*did you mean 'match'/),
    ]);
    expect(told(good.replace('email: Email', 'email: { remot: Email }'))).toEqual([
      expect.stringMatching(/^5:46 unknown key 'remot'.*did you mean 'remote'/),
    ]);
    expect(told(good.replace('email: Email', 'email: { remote: Email, via: trimm }')).join()).toMatch(
      /did you mean 'trim'/,
    );
    expect(told(good.replace('entity: person', 'entity: 7'))).toEqual([
      expect.stringMatching(/^1:9 'entity': expected a text/),
    ]);
    expect(told(good.replace('entity: person\n', '')).join()).toMatch(/'entity': missing/);
    expect(told(good.replace('object: Contact, ', '')).join()).toMatch(/'spokes.crm.object': missing/);
    expect(told(good.replace('email:', 'E-mail:')).join()).toMatch(/'E-mail': expected lower-case letters/);
  });

  test('F128 names that could leave their place in a query are refused', () => {
    for (const name of ['Contact; DROP TABLE x', "Contact' OR 1=1", 'a b', '{ shop }', 'x)']) {
      expect(told(good.replace('object: Contact', `object: "${name}"`)).join()).toMatch(
        /expected the name of a remote object/,
      );
      expect(told(good.replace('email: Email', `email: { remote: "${name}" }`)).join()).toMatch(
        /expected the name of a remote field/,
      );
    }
    expect(told(good.replace('entity: person', 'entity: "person; drop table x"')).join()).toMatch(
      /expected lower-case letters/,
    );
  });

  test('the digest does not depend on comments, spacing or the order of files', () => {
    const other = good.replace('person', 'company');
    const digest = (...texts: string[]): string =>
      parseMapping(texts.map((text, i) => ({ file: `${i}.yaml`, text }))).mapping.digest;
    expect(digest(good, other)).toBe(digest(other, `# a comment\n${good}`));
    expect(digest(good)).not.toBe(digest(other));
  });

  test('a place is found again for a later check', () => {
    const loaded = parseMapping([{ file: 'p.yaml', text: good }]);
    expect(loaded.place('person', ['spokes', 'crm', 'fields', 'email'])).toEqual({
      file: 'p.yaml',
      line: 5,
      column: 44,
    });
  });
});
