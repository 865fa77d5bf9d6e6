// Owns the promises of `init` and `token`: complete, nothing overwritten, one clear error, a token that opens the server.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { starterEnvironment } from '../../src/cli/starter.js';
import { findToken } from '../../src/console/tokens.js';
import { root } from '../support/source-tree.js';
import { truespoke, withFolder } from './support.js';

describe('init', () => {
  test('writes configuration, environment and every starter mapping', () =>
    withFolder(async (cwd) => {
      const { code, out } = await truespoke(['init', 'new', '--json'], { cwd });
      expect(code).toBe(0);
      const result = JSON.parse(out) as { written: string[]; kept: string[] };
      const shipped = (await readdir(join(root, 'mappings'))).filter((name) => /\.(yaml|json)$/.test(name)).sort();
      expect(result.written).toEqual([
        'truespoke.yaml',
        '.env.example',
        ...shipped.map((name) => join('mappings', name)),
      ]);
      expect(result.kept).toEqual([]);
      expect((await readdir(join(cwd, 'new', 'mappings'))).sort()).toEqual(shipped);
    }));

  test('a second time keeps what is there, edits included', () =>
    withFolder(async (cwd) => {
      await truespoke(['init'], { cwd });
      await writeFile(join(cwd, 'truespoke.yaml'), 'mine');
      const { code, out } = await truespoke(['init'], { cwd });
      expect(code).toBe(0);
      expect(out).toContain('kept     truespoke.yaml');
      expect(out).not.toContain('written');
      expect(await readFile(join(cwd, 'truespoke.yaml'), 'utf8')).toBe('mine');
    }));

  test('a folder that cannot be written to is one clear error', () =>
    withFolder(async (cwd) => {
      await writeFile(join(cwd, 'file'), '');
      const { code, err } = await truespoke(['init', 'file'], { cwd });
      expect(code).toBe(2);
      expect(err).toMatch(/^error: .*file cannot be written to \((ENOTDIR|EEXIST)\)\n {2}next: /);
    }));

  test('the .env.example of the repository is the one that init writes', async () => {
    expect(await readFile(join(root, '.env.example'), 'utf8')).toBe(starterEnvironment);
  });
});

describe('token', () => {
  test('the printed hash is that of the printed token, and no two are alike', async () => {
    const make = async (): Promise<{ token: string; sha256: string; role: string }> =>
      JSON.parse((await truespoke(['token', 'ops', '--role', 'operator', '--json'])).out) as {
        token: string;
        sha256: string;
        role: string;
      };
    const [one, two] = [await make(), await make()];
    expect(one.role).toBe('operator');
    expect(one.token).not.toBe(two.token);
    const entry = { name: 'ops', role: 'operator' as const, sha256: one.sha256 };
    expect(findToken(`Bearer ${one.token}`, [entry])).toBe(entry);
    expect(findToken(`Bearer ${two.token}`, [entry])).toBeNull();
  });
});
