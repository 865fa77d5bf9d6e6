// One bug's hunt, in a process of its own: the bug is in the engine that this process loads.
import { writeFile } from 'node:fs/promises';
import { inject, test } from 'vitest';
import { hunt } from './hunt.js';
import { bugNamed } from './plugin.js';

test('a planted bug is caught', async () => {
  const number = (name: string): number => Number(process.env[`SIM_${name}`]);
  const result = await hunt(bugNamed(process.env['SIM_BUG'] ?? ''), {
    cluster: inject('postgresUrl'),
    from: number('FROM'),
    seeds: number('SEEDS'),
    operations: number('OPERATIONS'),
  });
  await writeFile(process.env['SIM_RESULT'] ?? '', JSON.stringify(result));
});
