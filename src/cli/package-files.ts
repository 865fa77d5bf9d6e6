// Owns where the files that ship beside the code stand: the same from src/ and from dist/.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

export const mappingsFolder = join(root, 'mappings');
export const migrationsFolder = join(root, 'migrations');
/** Runs the command line in a process of its own. */
export const executable = join(root, 'bin', 'truespoke.js');

export function version(): string {
  const { version: text } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  return text;
}
