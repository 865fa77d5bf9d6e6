// Step g: a record is damaged behind the engine's back: no stamp, no event, nothing to notice. The reconciler finds it, and it is repaired through the
// ordinary way of a delivery.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { executable } from '../../package-files.js';
import { customerSides } from '../sides.js';
import type { Step, Tour } from '../tour.js';
import { chooseCustomer } from './chosen.js';

const restedMs = 3_600_000;

export const damage: Step = {
  name: 'damage',
  title: 'A record is damaged in Salesforce behind the engine’s back',
  async run(tour) {
    const { world } = tour;
    const { clock } = world;
    // Polls go on showing what changed of late, and another value under a young stamp is taken for an edit made within the same second.
    const customer = await chooseCustomer(tour, 20, clock.now() - restedMs);
    const good = (await customerSides(world, customer.id)).hub['last_name'] ?? '';
    world.salesforce.org.damage('Contact', customer.salesforceId, { LastName: '\u00C3\u00A4\u00C3\u00B6?' });
    tour.act(
      'damage',
      `Salesforce: Contact ${customer.salesforceId}, LastName overwritten without a stamp or an event`,
    );
    tour.show(await customerSides(world, customer.id), ['email', 'last_name']);
    const started = clock.monotonic();
    const found = await reconcile(tour);
    tour.act('found', `${found.drifted} of ${found.compared.toLocaleString('en-US')} records compared differ`);
    tour.expect('records found to differ', 1, found.drifted);
    await tour.until(async () => (await customerSides(world, customer.id)).salesforce?.['last_name'] === good);
    const took = clock.monotonic() - started;
    const sides = await customerSides(world, customer.id);
    tour.show(sides, ['email', 'last_name']);
    tour.expect('last_name in Salesforce', good, sides.salesforce?.['last_name']);
    const again = await reconcile(tour);
    tour.act('again', `${again.drifted} differ, ${again.repaired} earlier difference repaired, ${again.open} open`);
    tour.expect('records that differ afterwards', 0, again.drifted);
    tour.expect('open differences', 0, again.open);
    return took;
  },
};

interface Reconciled {
  readonly compared: number;
  readonly drifted: number;
  readonly repaired: number;
  readonly open: number;
}

/** The command that a person would type. */
async function reconcile(tour: Tour): Promise<Reconciled> {
  const config = join(tour.world.folder, 'truespoke.yaml');
  const command = ['reconcile', 'salesforce', '--entity', 'customer'];
  tour.act('command', `truespoke ${command.join(' ')}`);
  const text = await output([executable, ...command, '--json', '-c', config], tour.signal);
  const { reports, open } = JSON.parse(text) as { reports: readonly Reconciled[]; open: number };
  const sum = (key: 'compared' | 'drifted' | 'repaired'): number => reports.reduce((total, one) => total + one[key], 0);
  return { compared: sum('compared'), drifted: sum('drifted'), repaired: sum('repaired'), open };
}

function output(args: readonly string[], signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    const text = { out: '', err: '' };
    const end = (): void => void child.kill('SIGKILL');
    signal.addEventListener('abort', end, { once: true });
    child.stdout?.on('data', (chunk: Buffer) => (text.out += chunk.toString('utf8')));
    child.stderr?.on('data', (chunk: Buffer) => (text.err += chunk.toString('utf8')));
    child.once('error', reject);
    child.once('close', () => {
      signal.removeEventListener('abort', end);
      if (text.out === '') reject(new Error(`truespoke ${args[1] ?? ''} said nothing: ${text.err.trim()}`));
      else resolve(text.out);
    });
  });
}
