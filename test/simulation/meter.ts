// Tells what a run cost: CPU of this process and of the Postgres under it, apart. Seconds on the wall say how busy the machine was.
import { readdir, readFile } from 'node:fs/promises';

/** Of Linux, which counts in hundredths. */
const tickMs = 10;

/** Call the answer at the end: `wall 9000 ms, node 2500 ms, postgres 1800 ms`. */
export async function startMeter(postmaster: number): Promise<() => Promise<string>> {
  const [wall, own, server] = [performance.now(), process.cpuUsage(), await serverMs(postmaster)];
  return async () => {
    const { user, system } = process.cpuUsage(own);
    const [wallMs, nodeMs] = [performance.now() - wall, (user + system) / 1_000];
    const serverSpent = server === null ? '' : `, postgres ${((await serverMs(postmaster)) ?? 0) - server} ms`;
    return `wall ${wallMs.toFixed(0)} ms, node ${nodeMs.toFixed(0)} ms${serverSpent}`;
  };
}

/** CPU of the postmaster, of its children, and of those it has buried; null where there is no /proc. */
async function serverMs(postmaster: number): Promise<number | null> {
  const pids = await readdir('/proc').catch(() => null);
  if (pids === null) return null;
  let ticks = 0;
  for (const pid of pids) {
    if (!/^\d+$/.test(pid)) continue;
    const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    // After the name, which may hold anything: state, parent, … user and system time, the same of children that ended.
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [user = 0, system = 0, userOfDead = 0, systemOfDead = 0] = fields.slice(11, 15);
    if (Number(pid) === postmaster) ticks += user + system + userOfDead + systemOfDead;
    else if (fields[1] === postmaster) ticks += user + system;
  }
  return ticks * tickMs;
}
