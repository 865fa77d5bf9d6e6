// Owns the process: arguments in, exit code out, and an orderly end. The first SIGINT or SIGTERM asks every loop to end;
// after two seconds, or at a second signal, the process ends anyway: everything that matters is in Postgres.
import { processIo } from './io.js';
import { run } from './program.js';

const graceMs = 1_900;

const stop = new AbortController();
const onSignal = (): void => {
  if (stop.signal.aborted) process.exit(1);
  stop.abort(new Error('stopped by a signal'));
  setTimeout(() => process.exit(1), graceMs).unref();
};
process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);
// Started with a channel, as the demo does: when whoever held the other end is gone, nobody is left to end us.
if (process.channel !== undefined) process.on('disconnect', onSignal);
// A reader that went away (`truespoke status | head`) is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

process.exitCode = await run(process.argv.slice(2), processIo(stop.signal));
// Whatever still holds the loop open (an idle keep-alive socket) has nothing left to tell.
await new Promise((resolve) => process.stdout.write('', resolve));
setTimeout(() => process.exit(), 200).unref();
