// `npm run simulate:engine -- --seeds 1000 [--from 1] [--operations 300] [--twice] [--workers 2]`: the long run of the seeded simulation.
// `npm run simulate:engine -- --bugs [--only name,…] [--seeds 200] [--operations 150] [--open] [--keep]`: each planted bug must be
// caught; --keep records it in planted/README.md, --open hunts those that are not there. One of them under the ordinary run: --bug NAME
// --from SEED --seeds 1.
// --traces FOLDER keeps every trace, not only those of seeds that fail.
// Replay of one seed, or of the case that a failing one was shrunk to: --replay SEED|FILE. The report names where its whole trace is.
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { runWorkers } from './long/workers.mjs';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    operations: { type: 'string' },
    workers: { type: 'string', default: '2' },
    twice: { type: 'boolean', default: false },
    replay: { type: 'string', default: '' },
    shrink: { type: 'string', default: '120' },
    bugs: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    bug: { type: 'string', default: '' },
    open: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    traces: { type: 'string', default: '' },
  },
});
const env = {
  ...process.env,
  SIM_ONLY: values.only,
  SIM_BUG: values.bug,
  SIM_OPEN: values.open ? '1' : '',
  SIM_KEEP: values.keep ? '1' : '',
  SIM_SEEDS: values.seeds ?? (values.bugs ? '200' : '100'),
  SIM_FROM: values.from,
  SIM_OPERATIONS: values.operations ?? (values.bugs ? '150' : '300'),
  SIM_WORKERS: values.workers,
  SIM_TWICE: values.twice ? '1' : '',
  SIM_REPLAY: values.replay,
  SIM_SHRINK: values.shrink,
  SIM_TRACES: values.traces,
};

if (values.bugs) {
  const campaign = ['run', '--config', 'test/simulation/vitest.config.ts', '--reporter', 'dot'];
  const child = spawn(process.execPath, ['node_modules/vitest/vitest.mjs', ...campaign], { stdio: 'inherit', env });
  child.on('exit', (code) => process.exit(code ?? 1));
} else process.exitCode = await runWorkers({ workers: values.replay === '' ? Number(values.workers) : 1, env });
