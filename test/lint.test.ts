// Owns the proof that nothing ambient can enter a decision unseen: each source of time, chance or network that Node offers is refused by
// the linter, and who is exempt stands here by name. The same for the SQL of the engine.
// Proves: Law 10
import { ESLint, Linter } from 'eslint';
import tseslint from 'typescript-eslint';
import { beforeAll, expect, test } from 'vitest';
import { ambientSql } from './support/house-rules.js';
import { listFiles, root } from './support/source-tree.js';

const named = ['no-restricted-syntax', 'no-restricted-globals', '@typescript-eslint/no-restricted-imports'] as const;

let rulesOf: (path: string) => Promise<Linter.RulesRecord>;
let lint: (code: string) => number;
beforeAll(async () => {
  const eslint = new ESLint({ cwd: root });
  rulesOf = async (path) => {
    const { rules = {} } = (await eslint.calculateConfigForFile(path)) as { rules?: Linter.RulesRecord };
    return Object.fromEntries(named.flatMap((name) => (rules[name] === undefined ? [] : [[name, rules[name]]])));
  };
  const rules = await rulesOf('src/inbound/merge.ts');
  const linter = new Linter();
  lint = (code) =>
    linter.verify(code, {
      languageOptions: { parser: tseslint.parser },
      plugins: { '@typescript-eslint': tseslint.plugin },
      rules,
    }).length;
});

test.each([
  'Date.now();',
  'new Date();',
  'Date();',
  'performance.now();',
  'process.hrtime.bigint();',
  'process.uptime();',
  'Math.random();',
  'setTimeout(f, 1);',
  'setInterval(f, 1);',
  'setImmediate(f);',
  'globalThis.setTimeout(f, 1);',
  'AbortSignal.timeout(1);',
  'fetch("http://x");',
  'crypto.randomUUID();',
  'crypto.subtle;',
  "import { randomUUID } from 'node:crypto';",
  "import { randomBytes as bytes } from 'crypto';",
  "import * as anything from 'node:crypto';",
  "import { setTimeout as sleep } from 'node:timers/promises';",
  "import timers from 'timers';",
  "import { performance as p } from 'node:perf_hooks';",
  "import { request } from 'node:http';",
  "import https from 'https';",
  "import { connect } from 'node:http2';",
  "import { Socket } from 'node:net';",
  "import net from 'net';",
  "import { connect } from 'tls';",
  "import { lookup } from 'node:dns/promises';",
  "import { createSocket } from 'dgram';",
  "import { request } from 'undici';",
  "export * from './a.js';",
])('refused in the engine: %s', (code) => {
  expect(lint(code)).toBeGreaterThan(0);
});

test.each([
  'new Date(0).toISOString();',
  'Date.parse(text);',
  'clock.now();',
  'await clock.sleep(1);',
  'random.next();',
  "import { createHash, timingSafeEqual } from 'node:crypto';",
  "import { isIP } from 'node:net';",
  "import type { AddressInfo } from 'node:net';",
  "import type { IncomingHttpHeaders } from 'node:http';",
])('fine in the engine: %s', (code) => {
  expect(lint(code)).toBe(0);
});

test('the doors are these files and no others', async () => {
  const open: Record<string, string[]> = {};
  for (const { path } of listFiles('src', ['.ts'])) {
    const rules = await rulesOf(path);
    const missing = named.filter((name) => rules[name] === undefined);
    if (missing.length > 0)
      (open[missing.join(' ')] ??= []).push(path.replace(/^src\/(simulators|cli)\/.*/, 'src/$1/'));
  }
  const unique = Object.fromEntries(Object.entries(open).map(([key, paths]) => [key, [...new Set(paths)]]));
  expect(unique).toEqual({
    [named.join(' ')]: ['src/base/clock.ts', 'src/base/random.ts', 'src/cli/', 'src/simulators/'],
    '@typescript-eslint/no-restricted-imports': [
      'src/base/address-guard.ts',
      'src/base/http-undici.ts',
      'src/outbound/slot.ts',
      'src/store/embedded.ts',
      'src/store/postgres-process.ts',
    ],
  });
});

test('the SQL of the engine takes times and ids as parameters', () => {
  const allowed = {
    // For rows and waits of applications, which no engine decides about.
    'migrations/0001_engine.sql': ['gen_random_uuid()', 'clock_timestamp()'],
    'migrations/0003_applications.sql': ['clock_timestamp()'],
    // The age of the oldest transaction, for people.
    'src/store/slots.ts': ['clock_timestamp()'],
  };
  const files = [...listFiles('src/store', ['.ts']), ...listFiles('migrations', ['.sql'])];
  expect(ambientSql(files, allowed)).toEqual([]);
  const bad = (path: string, text: string): number => ambientSql([{ path, text }], allowed).length;
  expect(bad('src/store/a.ts', 'const q = `update t set at = now()`;')).toBe(1);
  expect(bad('src/store/a.ts', "const q = 'select random() from t';")).toBe(1);
  expect(bad('migrations/0009_a.sql', 'create table t (at timestamptz default current_timestamp);')).toBe(1);
  expect(bad('migrations/0009_a.sql', '-- no now() here')).toBe(0);
});
