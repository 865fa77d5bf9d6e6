// Owns the promises of the process itself, over the built program: exit codes, signals, a reader that goes away.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { root } from '../support/source-tree.js';

const built = existsSync(join(root, 'dist', 'cli', 'main.js'));

function start(...args: readonly string[]): {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly code: Promise<number | null>;
} {
  const child = spawn(process.execPath, [join(root, 'bin', 'truespoke.js'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
  const code = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { child, out: () => text, code };
}

// `npm test` builds first; a single test run may find nothing built.
describe.skipIf(!built)('the process', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)('%s ends it within two seconds with exit code 0', async (signal) => {
    const { child, out, code } = start('simulate', 'shopify', '--json');
    await expect.poll(out, { timeout: 20_000 }).toContain('"url"');
    const before = performance.now();
    child.kill(signal);
    expect(await code).toBe(0);
    expect(performance.now() - before).toBeLessThan(2_000);
  });

  test('wrong usage is exit code 2', async () => {
    expect(await start('chek').code).toBe(2);
    expect(await start('check', '--config', '/nowhere/truespoke.yaml').code).toBe(2);
  });

  test('a reader that goes away is no error', async () => {
    const { child, code } = start('--help');
    child.stdout?.destroy();
    expect(await code).toBe(0);
  });
});
