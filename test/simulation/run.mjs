// `npm run simulate:engine -- --seeds 1000 [--from 1] [--operations 300] [--twice] [--workers 2]`: the long run of the seeded simulation.
// Replay of one seed: --from SEED --seeds 1; its whole trace is written to the path that the report names.
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    operations: { type: 'string', default: '300' },
    workers: { type: 'string', default: '2' },
    twice: { type: 'boolean', default: false },
  },
});
const child = spawn(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/simulation/vitest.config.ts', '--reporter', 'dot'],
  {
    stdio: 'inherit',
    env: {
      ...process.env,
      SIM_SEEDS: values.seeds,
      SIM_FROM: values.from,
      SIM_OPERATIONS: values.operations,
      SIM_WORKERS: values.workers,
      SIM_TWICE: values.twice ? '1' : '',
    },
  },
);
child.on('exit', (code) => process.exit(code ?? 1));
