// Owns the house rules: what a reviewer would otherwise have to say twice. Each rule is also shown to fail on a bad sample.
// Proves: Law 10
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import {
  missingPaths,
  missingScripts,
  proofBreaches,
  specBreaches,
  treeBreaches,
  unprovenLaws,
  withTrueProofs,
  withTrueTree,
} from './support/doc-rules.js';
import * as rules from './support/house-rules.js';
import { listFiles, root, testNamesOf, type SourceFile } from './support/source-tree.js';

const src = listFiles('src', ['.ts']);
const tests = listFiles('test', ['.ts']);
const docs = [
  ...listFiles('docs', ['.md']),
  ...['README.md', 'ARCHITECTURE.md', 'SPEC.md', 'CONTRIBUTING.md', 'SECURITY.md'].flatMap(top),
];
const everything = [...src, ...tests];
const known = new Set(everything.map((file) => file.path));
const sample = (path: string, text: string): SourceFile => ({ path, text });

function top(name: string): SourceFile[] {
  return listFiles('.', [name]).filter((file) => file.path === name);
}

const doors = ['pg-logical-replication', 'bottleneck', 'p-queue', 'node-cron', 'jsforce', '@shopify/shopify-api'];
const fileCeiling = 600;
const functionCeiling = 70;
/** Files past the ceiling, with the size they may not exceed. Only ever shrinks. */
const ratchet: Readonly<Record<string, number>> = {};
/** SQL lives in store/. The rest is text that is planned, another language, or what an application would type. */
const sqlHouses = [
  'src/outbound/slot.ts', // the session of the replication connection
  'src/store/',
  'src/mapping/plan',
  'src/connectors/salesforce/',
  'src/simulators/',
  'src/cli/demo',
];
/** Child processes get the environment of their parent; only there may code outside cli/ look at it. */
const processHouses = ['src/cli/', 'src/store/postgres-process.ts'];
const notEntityHouses = ['src/simulators/', 'src/cli/demo'];

/** Files in which the word means something else. */
const homonyms = {
  account: ['embedded', 'postgres-binaries', 'postgres-process'].map((name) => `src/store/${name}.ts`), // of the operating system
};

const entities = listFiles('mappings', ['.yaml']).map((file) => {
  const { entity } = parseYaml(file.text) as { entity: string };
  return entity;
});
const engineFiles = src.filter((file) => !notEntityHouses.some((prefix) => file.path.startsWith(prefix)));

describe('layers', () => {
  test('a file imports only from lower levels', () => {
    expect(rules.layers(src)).toEqual([]);
  });

  test('the layer rule sees an upward import, a sideways one, a dynamic one and a stage that calls a stage', () => {
    const bad = [
      sample('src/base/a.ts', "import { x } from '../engine/engine.js';"),
      sample('src/inbound/a.ts', "import { x } from '../outbound/b.js';"),
      sample('src/model/a.ts', "const x = await import('../cli/main.js');"),
      sample('src/simulators/a.ts', "import { x } from '../connectors/connector.js';"),
      sample('src/engine/a.ts', "import { x } from '../connectors/memory/index.js';"),
      sample('src/inbound/apply.ts', "import { merge } from './merge.js';"),
      sample('src/inbound/merge.ts', "import type { x } from '../base/a.js'; import { y } from '../store/y.js';"),
      sample('src/connectors/memory/read.ts', "import { hub } from '../../store/hub.js';"),
      sample('src/elsewhere/a.ts', "import { x } from '../base/a.js';"),
    ];
    expect(bad.map((file) => rules.layers([file]).length)).toEqual(bad.map(() => 1));
    expect(rules.layers([sample('src/cli/a.ts', "import { x } from '../base/a.js';")])).toEqual([]);
  });

  test('every import of ours points to a file that exists', () => {
    expect(rules.missingImports(everything, known)).toEqual([]);
    expect(rules.missingImports([sample('src/a.ts', "import { b } from './gone.js';")], known)).toHaveLength(1);
  });

  test('only the command line reads the process', () => {
    expect(
      rules.processUse(src.filter((file) => !processHouses.some((prefix) => file.path.startsWith(prefix)))),
    ).toEqual([]);
    expect(rules.processUse([sample('src/store/a.ts', 'const x = process.env;')])).toHaveLength(1);
  });
});

describe('packages', () => {
  test.each(doors)('%s has one importer', (name) => {
    expect(rules.oneDoor(src, [name])).toEqual([]);
  });

  test('the one-door rule counts subpaths, types and dynamic imports', () => {
    const two = [
      sample('src/a.ts', "import type { X } from 'jsforce/lib/http-api.js';"),
      sample('src/b.ts', "const x = await import('jsforce');"),
    ];
    expect(rules.oneDoor(two, ['jsforce'])).toHaveLength(1);
  });

  test('the database drivers are touched in store/ only', () => {
    const drivers = ['pg', 'kysely', 'pg-copy-streams'];
    expect(rules.onlyFrom(src, drivers, ['src/store/'])).toEqual([]);
    expect(rules.onlyFrom([sample('src/engine/a.ts', "import pg from 'pg';")], drivers, ['src/store/'])).toHaveLength(
      1,
    );
  });
});

describe('size', () => {
  test('no file is longer than 600 lines', () => {
    expect(rules.fileSizes(everything, fileCeiling, ratchet)).toEqual([]);
    expect(rules.fileSizes([sample('src/a.ts', '\n'.repeat(601))], fileCeiling, {})).toHaveLength(1);
  });

  test('a ratchet is taken out once its file is back under the ceiling', () => {
    const stale = Object.keys(ratchet).filter((path) => {
      const file = everything.find((each) => each.path === path);
      return file === undefined || file.text.split('\n').length - 1 <= fileCeiling;
    });
    expect(stale).toEqual([]);
  });

  test('no function in src/ has more than 70 lines of its own', () => {
    expect(rules.functionSizes(src, functionCeiling)).toEqual([]);
    const long = `function f() {\n${'g();\n'.repeat(70)}}`;
    expect(rules.functionSizes([sample('src/a.ts', long)], functionCeiling)).toHaveLength(1);
    const factory = `function f() {\nreturn {\na() {\n${'g();\n'.repeat(40)}},\nb() {\n${'g();\n'.repeat(40)}},\n};\n}`;
    expect(rules.functionSizes([sample('src/a.ts', factory)], functionCeiling)).toEqual([]);
  });
});

describe('shape', () => {
  test('no drawers, no vague nouns, kebab-case names', () => {
    expect(rules.fileNames(everything)).toEqual([]);
    const bad = ['src/utils/a.ts', 'src/store/delivery-manager.ts', 'src/store/Pool.ts'].map((path) =>
      sample(path, ''),
    );
    expect(rules.fileNames(bad)).toHaveLength(3);
  });

  test('nothing is re-exported', () => {
    expect(rules.reExports(src)).toEqual([]);
    expect(rules.reExports([sample('src/a.ts', "export { b } from './b.js';")])).toHaveLength(1);
  });

  test('every source file is reached from the command line or a test', () => {
    const entries = [
      ...src.filter((file) => file.path === 'src/cli/main.ts'),
      ...tests.filter((file) => file.path.endsWith('.test.ts')),
    ];
    expect(rules.deadFiles(src, entries, tests)).toEqual([]);
    const lonely = [sample('src/a.ts', ''), sample('src/b.ts', '')];
    expect(rules.deadFiles(lonely, [sample('test/a.test.ts', "import '../src/a.js';")])).toEqual([
      'src/b.ts is imported by nothing',
    ]);
  });

  test('every module opens by saying what it owns', () => {
    expect(rules.openingComments(src)).toEqual([]);
    expect(rules.openingComments([sample('src/a.ts', 'export const a = 1;')])).toHaveLength(1);
  });

  test('nothing is left unfinished', () => {
    expect(
      rules.leftovers([
        ...everything,
        ...docs,
        ...listFiles('migrations', ['.sql']),
        ...listFiles('mappings', ['.yaml']),
      ]),
    ).toEqual([]);
    expect(rules.leftovers([sample('src/a.ts', `// ${'FIX'}ME later`)])).toHaveLength(1);
  });
});

describe('meaning', () => {
  test('entities are data: no entity name in src/ outside simulators and demo', () => {
    expect(entities.length).toBeGreaterThan(0);
    expect(rules.entityNames(engineFiles, entities, homonyms)).toEqual([]);
    const bad = [
      sample('src/store/a.ts', "const t = 'sales_order';"),
      sample('src/store/b.ts', 'function loadSalesOrders() {}'),
      sample('src/cli/c.ts', "const example = 'update hub.sales_order set x';"),
    ];
    expect(rules.entityNames(bad, ['sales_order'])).toHaveLength(3);
    expect(
      rules.entityNames(
        [sample('src/store/a.ts', "// takes account of\nconst accounting = 'takes account of';")],
        ['account'],
      ),
    ).toEqual([]);
  });

  test('SQL stands in store/ only', () => {
    expect(rules.sqlOutside(src, sqlHouses)).toEqual([]);
    const bad = [
      '`SELECT id FROM ${t} WHERE a`',
      "'insert into x values (1)'",
      '`UPDATE hub.x SET a = 1`',
      "'DELETE FROM t'",
    ];
    for (const text of bad)
      expect(rules.sqlOutside([sample('src/engine/a.ts', `const q = ${text};`)], sqlHouses)).toHaveLength(1);
    const fine = [
      "const q = 'select a spoke';",
      "const hint = 'run: SELECT 1 FROM x';",
      "const hint = 'ALTER TABLE x REPLICA IDENTITY FULL';",
    ];
    for (const text of fine) expect(rules.sqlOutside([sample('src/engine/a.ts', text)], sqlHouses)).toEqual([]);
    const runs = sample('src/engine/a.ts', "await pool.query('alter table x add y int');");
    expect(rules.sqlOutside([runs], sqlHouses)).toHaveLength(2);
  });

  test('pure stages return no promise', () => {
    expect(rules.pureStagePromises(src)).toEqual([]);
    expect(rules.pureStagePromises([sample('src/inbound/merge.ts', 'export async function merge() {}')])).toHaveLength(
      1,
    );
  });
});

describe('documents', () => {
  const exists = (path: string): boolean => existsSync(join(root, path));

  test('the documents name only files that exist', () => {
    expect(missingPaths(docs, exists)).toEqual([]);
    expect(missingPaths([sample('A.md', 'see `src/base/gone.ts` and src/connectors/<name>/')], exists)).toHaveLength(1);
  });

  test('the tree in ARCHITECTURE.md is the tree', () => {
    if (process.env['UPDATE_TREE'] === '1') {
      for (const doc of top('ARCHITECTURE.md')) writeFileSync(join(root, doc.path), withTrueTree(doc, src));
    }
    expect(top('ARCHITECTURE.md').flatMap((doc) => treeBreaches(doc, src))).toEqual([]);
    const bad = sample('A.md', '```\nsrc/base/: clock\nsrc/gone/: x\n```');
    expect(treeBreaches(bad, [sample('src/base/clock.ts', ''), sample('src/base/log.ts', '')])).toHaveLength(2);
  });

  test('SPEC.md claims only what a test names, and each law has a test or says that it has none', () => {
    const names = tests.map((file) => ({ path: file.path, names: testNamesOf(file) }));
    expect(top('SPEC.md').flatMap((spec) => [...specBreaches(spec, names), ...unprovenLaws(spec)])).toEqual([]);
    const bad = sample(
      'SPEC.md',
      '### Law 1\nF999 holds\n- Test: `test/a.test.ts`, "no such sentence"\n### Law 2\nnothing',
    );
    expect(specBreaches(bad, [{ path: 'test/a.test.ts', names: ['F1 x'] }])).toHaveLength(2);
    expect(unprovenLaws(bad)).toHaveLength(1);
  });

  test('each test that SPEC.md names says which laws it proves, and no test claims another', () => {
    const [spec] = top('SPEC.md');
    if (spec === undefined) throw new Error('no SPEC.md');
    if (process.env['UPDATE_TREE'] === '1') {
      for (const file of tests) {
        const text = withTrueProofs(spec, file);
        if (text !== file.text) writeFileSync(join(root, file.path), text);
      }
    }
    expect(proofBreaches(spec, listFiles('test', ['.ts']))).toEqual([]);
    const law = sample('SPEC.md', '### Law 1. x\n- Test: `test/a.test.ts`, "y"\n### Law 2. z\n- Gap: all of it');
    const silent = sample('test/a.test.ts', '// About a.\ntest();');
    expect(proofBreaches(law, [silent])).toHaveLength(1);
    expect(proofBreaches(law, [sample('test/a.test.ts', withTrueProofs(law, silent))])).toEqual([]);
    expect(withTrueProofs(law, silent)).toBe('// About a.\n// Proves: Law 1\ntest();');
    expect(proofBreaches(law, [sample('test/a.test.ts', '// Proves: Law 1, Law 2, Law 3')])).toHaveLength(2);
    expect(proofBreaches(law, [sample('test/b.test.ts', '// Proves: Law 1')])).toHaveLength(1);
  });

  test('every script that a page names exists', () => {
    const [manifest] = top('package.json');
    const { scripts } = JSON.parse(manifest?.text ?? '{}') as { scripts: Record<string, string> };
    expect(missingScripts(docs, Object.keys(scripts))).toEqual([]);
    expect(missingScripts([sample('A.md', '`npm run gone -- --all` and npm test')], ['test'])).toHaveLength(1);
  });
});
