// Runs that once broke a law, each with its mend: none of them breaks one again.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, inject, test } from 'vitest';
import { readCase } from './case.js';
import { report } from './report.js';
import { simulate } from './simulate.js';

const folder = path.resolve('test/simulation/corpus');
const files = readdirSync(folder).filter((name) => name.endsWith('.json'));

test.each(files)(
  'corpus: %s keeps every law',
  async (name) => {
    const { seed, operations, plan } = await readCase(path.join(folder, name));
    const result = await simulate({ seed, operations, plan, cluster: inject('postgresUrl') });
    if (result.violations.length > 0) expect.fail(report(result, operations));
    expect(result.faults).toBeGreaterThan(0);
  },
  300_000,
);
