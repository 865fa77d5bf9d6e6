import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.js';
import { parseMapping } from '../../src/mapping/load.js';
import { mappingSchema } from '../../src/mapping/schema.js';

const blocks = (text: string): string[] => [...text.matchAll(/```yaml\n([^]*?)```/g)].map((match) => match[1] ?? '');

test('the mapping in docs/mappings.md is one that loads', async () => {
  const texts = blocks(await readFile('docs/mappings.md', 'utf8'));
  expect(texts.length).toBe(1);
  for (const text of texts) expect(parseMapping([{ file: 'docs/mappings.md', text }]).mapping.entities.size).toBe(1);
});

test('docs/mappings.md names every lens', async () => {
  const page = await readFile('docs/mappings.md', 'utf8');
  const words = JSON.stringify(mappingSchema.toJSONSchema()).match(
    /"(?:phone-e164|null-as|blank-as-null|strip-html|trim|lowercase|uppercase|tags|prefix|join|values|decimal|date|timestamp)"/g,
  );
  for (const word of new Set(words)) expect(page, word).toContain(word.replaceAll('"', ''));
});

test('the configuration in docs/configuration.md says the defaults', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'truespoke-docs-'));
  try {
    const [text] = blocks(await readFile('docs/configuration.md', 'utf8'));
    await writeFile(join(folder, 'a.yaml'), text ?? '');
    await writeFile(join(folder, 'b.yaml'), 'spokes: { crm: { connector: salesforce, limits: { concurrency: 4 } } }');
    const [said, defaults] = await Promise.all(
      ['a.yaml', 'b.yaml'].map((name) =>
        loadConfig(join(folder, name), { SF_CLIENT_ID: 'i', SF_CLIENT_SECRET: 'secret' }),
      ),
    );
    const bare = (config: typeof said) => ({
      ...config,
      file: '',
      secrets: [],
      spokes: [...(config?.spokes.values() ?? [])].map((spoke) => ({ ...spoke, options: {}, place: null })),
    });
    expect(bare(said)).toEqual(bare(defaults));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
