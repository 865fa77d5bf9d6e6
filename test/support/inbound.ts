// The inbound door over a hub of its own, without an engine: for tests that hand it pages and look at what it has made of them.
import { resolve } from 'node:path';
import { systemClock } from '../../src/base/clock.js';
import { silentLog } from '../../src/base/log.js';
import { systemIds } from '../../src/base/random.js';
import { defaultLimits } from '../../src/engine/engine.js';
import type { InboundLimits } from '../../src/inbound/page.js';
import { createInbound, type Inbound } from '../../src/inbound/pipeline.js';
import type { Mapping } from '../../src/mapping/mapping.js';
import type { EntityName, SpokeName } from '../../src/model/ids.js';
import { migrateHub } from '../../src/store/hub-schema.js';
import { openHubTable, type HubTable } from '../../src/store/hub.js';
import { migrate } from '../../src/store/migrate.js';
import type { Pool } from '../../src/store/pool.js';
import { registerSpoke } from '../../src/store/spokes.js';
import { testDatabase, type TestDatabase } from './postgres.js';

export async function openHub(mapping: Mapping, spoke: SpokeName): Promise<TestDatabase> {
  const db = await testDatabase();
  await migrate(db.pool, resolve('migrations'));
  await migrateHub(db.pool, mapping);
  await registerSpoke(db.pool, spoke, 'memory');
  return db;
}

/** `pool`: another one to the same hub, for what must happen between two statements. */
export async function openInbound(
  db: TestDatabase,
  mapping: Mapping,
  { pool = db.pool, limits = {} }: { readonly pool?: Pool; readonly limits?: Partial<InboundLimits> } = {},
): Promise<Inbound> {
  const tables = new Map<EntityName, HubTable>();
  for (const [name, entity] of mapping.entities) tables.set(name, await openHubTable(db.pool, entity));
  const common = { clock: systemClock, ids: systemIds(systemClock), log: silentLog };
  return createInbound({ ...common, pool, mapping, tables, limits: { ...defaultLimits.inbound, ...limits } });
}
