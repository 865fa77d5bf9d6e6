// Runs one seed on the database that its process keeps for that.
import { resolve } from 'node:path';
import { publicationName } from '../../src/engine/engine.js';
import { prepareSource } from '../../src/outbound/publication.js';
import { migrateHub } from '../../src/store/hub-schema.js';
import { openHubTable, type HubTable } from '../../src/store/hub.js';
import { migrate } from '../../src/store/migrate.js';
import { spokeName } from '../../src/model/ids.js';
import { openPool, transaction } from '../../src/store/pool.js';
import { ensureFullIdentity } from '../../src/store/resync.js';
import { registerSpoke } from '../../src/store/spokes.js';
import { dropDatabase, giveDatabase, takeDatabase } from './database.js';
import { capturedTables, Simulation, type SimulationOptions, type SimulationResult } from './simulation.js';
import { forbidden, mapping, spokeNames } from './world.js';

export type { SimulationOptions, SimulationResult } from './simulation.js';

const template = { name: `simulation_${mapping.digest.slice(0, 12)}`, build: buildTemplate };

export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const db = await takeDatabase(options.cluster, template);
  const run = new Simulation(options, db);
  const result = await run.run();
  run.close();
  // A run that broke off may have left anything behind.
  if (result.violations.length === 0) giveDatabase(options.cluster, template, db);
  else await dropDatabase(db);
  return result;
}

async function buildTemplate(url: string): Promise<void> {
  const pool = openPool({ url, applicationName: 'truespoke simulation template', max: 2 });
  try {
    await migrate(pool, resolve('migrations'));
    await migrateHub(pool, mapping);
    const tables: HubTable[] = [];
    for (const entity of mapping.entities.values()) tables.push(await openHubTable(pool, entity));
    await transaction(pool, (tx) => ensureFullIdentity(tx, tables));
    // Long values are kept outside of the row instead of compressed (F49).
    for (const column of ['name', 'note', 'mood'])
      await pool.query(`alter table hub.person alter column ${column} set storage external`);
    await pool.query(`alter table hub.person add constraint clean check (name not ilike '%${forbidden}%')`);
    for (const name of spokeNames) await registerSpoke(pool, spokeName(name), 'memory');
    await prepareSource(pool, { slot: 'template', publication: publicationName }, capturedTables(tables));
    await pool.query(`select pg_drop_replication_slot('template')`);
  } finally {
    await pool.end();
  }
}
