// Owns the promises of `check`: what `init` writes is sound, all problems of all files come at once with their places.
// Proves: Law 2, Invariant 8, Invariant 9
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createLog } from '../../src/base/log.js';
import { warnOfUnsettled } from '../../src/cli/run.js';
import { parseMapping } from '../../src/mapping/load.js';
import { root } from '../support/source-tree.js';
import { truespoke, withFolder } from './support.js';

/** Values for every variable of .env.example. */
async function environment(folder: string): Promise<void> {
  const text = await readFile(join(folder, '.env.example'), 'utf8');
  const filled = text
    .replace(/^(\w+)=$/gm, '$1=filled-in-for-the-test')
    .replace('HUB_URL=filled-in-for-the-test', 'HUB_URL=');
  await writeFile(join(folder, '.env'), filled);
}

describe('check', () => {
  test('what init writes is sound once .env is filled in', () =>
    withFolder(async (cwd) => {
      await truespoke(['init'], { cwd });
      await environment(cwd);
      const { code, out, err } = await truespoke(['check', '--json'], { cwd });
      expect([err, code]).toEqual(['', 0]);
      const result = JSON.parse(out) as { ok: boolean; entities: { entity: string }[]; spokes: { name: string }[] };
      expect(result.ok).toBe(true);
      expect(result.entities.map((each) => each.entity)).toEqual(
        expect.arrayContaining(['account', 'customer', 'product', 'sales_order', 'sales_order_line']),
      );
      expect(result.spokes.map((each) => each.name)).toEqual(['salesforce', 'shopify']);
      expect((await truespoke(['check'], { cwd })).out).toMatch(
        /customer +hub\.customer .*salesforce Contact, shopify Customer/,
      );
    }));

  test('every problem of configuration and mappings at once, as file:line:column, exit code 2', () =>
    withFolder(async (cwd) => {
      await truespoke(['init'], { cwd });
      await environment(cwd);
      const config = join(cwd, 'truespoke.yaml');
      await writeFile(
        config,
        (await readFile(config, 'utf8'))
          .replace('\nserver:', '\nsevrer:')
          .replace('connector: shopify', 'connector: shopfy'),
      );
      const mapping = join(cwd, 'mappings', 'customer.yaml');
      await writeFile(mapping, (await readFile(mapping, 'utf8')).replace(/^fields:/m, 'feilds:'));
      const { code, out, err } = await truespoke(['check'], { cwd });
      expect([code, out]).toEqual([2, '']);
      expect(err).toMatch(/^truespoke\.yaml:\d+:\d+: unknown key 'sevrer'\n +did you mean 'server'\?/m);
      expect(err).toMatch(/customer\.yaml:\d+:\d+: unknown key 'feilds'\n +did you mean 'fields'\?/m);
      expect(err).toMatch(/\d+ problems\n$/);
      expect(err).not.toMatch(/\bat .*\.ts/);
      const json = JSON.parse((await truespoke(['check', '--json'], { cwd })).out) as {
        error: { problems: unknown[] };
      };
      expect(json.error.problems.length).toBeGreaterThanOrEqual(2);
    }));

  test('a field that its spokes can never agree on: place, both spokes, an example and the next step, exit code 2', () =>
    withFolder(async (cwd) => {
      await truespoke(['init'], { cwd });
      await environment(cwd);
      const spoke = (object: string, lens: string): string =>
        `{ object: ${object}, fields: { label: { remote: F, via: ${lens} } } }`;
      await writeFile(
        join(cwd, 'mappings', 'thing.yaml'),
        `entity: thing\nfields: { label: text }\nspokes:\n  salesforce: ${spoke('A', 'uppercase')}\n  shopify: ${spoke('B', 'lowercase')}\n`,
      );
      const { code, out, err } = await truespoke(['check'], { cwd });
      expect([code, out]).toEqual([2, '']);
      expect(err).toMatch(
        /thing\.yaml:5:\d+: 'label' never settles between salesforce and shopify: "Ann Lee" ends as "ANN LEE" in salesforce, then "ann lee" in shopify/,
      );
      expect(err).toMatch(/\n +give 'label' the same lens in salesforce and shopify, or let it go one way/);
    }));

  test('a start with such a mapping warns, with the place and the next step', async () => {
    const lens = (via: string): string => `{ object: A, fields: { label: { remote: F, via: ${via} } } }`;
    const text = `entity: thing\nfields: { label: text }\nspokes:\n  a: ${lens('uppercase')}\n  b: ${lens('lowercase')}\n`;
    const lines: string[] = [];
    const log = createLog({ level: 'warn', destination: { write: (line: string) => void lines.push(line) } });
    await warnOfUnsettled({ mappings: parseMapping([{ file: 'thing.yaml', text }]) }, { log });
    expect(lines).toEqual([
      expect.stringMatching(/thing\.yaml:5:\d+.*give 'label' the same lens.*never settles between a and b/),
    ]);
  });

  test('without a configuration the next step is named', () =>
    withFolder(async (cwd) => {
      const { code, err } = await truespoke(['check'], { cwd });
      expect(code).toBe(2);
      expect(err).toMatch(/next: .*truespoke init/);
    }));

  test('F130 a secret written out is refused and not repeated', () =>
    withFolder(async (cwd) => {
      await truespoke(['init'], { cwd });
      await environment(cwd);
      const config = join(cwd, 'truespoke.yaml');
      const canary = 'shpat_0123456789abcdef0123456789abcdef';
      await writeFile(config, (await readFile(config, 'utf8')).replace('${SHOPIFY_ACCESS_TOKEN}', canary));
      const { code, out, err } = await truespoke(['check', '--verbose'], { cwd });
      expect(code).toBe(2);
      expect(err).toMatch(/accessToken.* secret written out/);
      expect(out + err).not.toContain(canary);
    }));

  test('an empty .env is told variable by variable', () =>
    withFolder(async (cwd) => {
      await truespoke(['init'], { cwd });
      const { err } = await truespoke(['check'], { cwd });
      for (const name of ['SALESFORCE_CLIENT_ID', 'SHOPIFY_ACCESS_TOKEN'])
        expect(err).toContain(`needs the variable ${name}`);
      await rm(join(cwd, 'mappings'), { recursive: true });
      expect((await truespoke(['check'], { cwd })).err).toContain('the folder of mappings cannot be read');
    }));
});

describe('README', () => {
  test('the mapping on its first screen is sound and has at most ten lines', async () => {
    const text = await readFile(join(root, 'README.md'), 'utf8');
    const yaml = /```yaml\n([\s\S]*?)```/.exec(text)?.[1] ?? '';
    expect(yaml.trimEnd().split('\n').length).toBeLessThanOrEqual(10);
    const { mapping } = parseMapping([{ file: 'README.md', text: yaml }], { spokes: ['salesforce', 'shopify'] });
    expect([...mapping.entities.keys()]).toEqual(['customer']);
  });
});
