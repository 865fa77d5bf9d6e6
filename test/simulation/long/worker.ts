// One worker's share of the long run, in a process of its own.
import { runSeeds } from './seeds.js';

let failed = 0;
process.on('unhandledRejection', (error) => {
  failed += 1;
  process.stdout.write(`nobody waited for it: ${error instanceof Error ? error.stack : String(error)}\n`);
});
const result = await runSeeds(Number(process.env['SIM_SHARE'] ?? 0));
failed += result.failed.length;
process.exitCode = failed > 0 ? 1 : 0;
