// Owns the promise that spokes whose names differ in one sign only have links of their own.
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { spokeName } from '../../src/model/ids.js';
import { migrate } from '../../src/store/migrate.js';
import { openPool } from '../../src/store/pool.js';
import { loadSpokes, registerSpoke } from '../../src/store/spokes.js';
import { testDatabase } from '../support/postgres.js';

test('a-b and a_b are two spokes, and registering them again changes nothing', async () => {
  const db = await testDatabase();
  const pool = openPool({ url: db.url, applicationName: 'test', max: 1 });
  try {
    await migrate(pool, resolve('migrations'));
    const names = ['a-b', 'a_b', `z${'9'.repeat(38)}-`].map((name) => spokeName(name));
    for (const name of [...names, ...names]) await registerSpoke(pool, name, 'memory');
    const link = `insert into truespoke.link (spoke, entity, external_id, hub_id, state, base_hub, base_remote, version, created_at, updated_at)
                  values ($1, 'widget', '1', '1', 'live', '{}', '{}', '', now(), now())`;
    for (const name of names) await pool.query(link, [name]);
    expect((await loadSpokes(pool)).map(({ name }) => name).sort()).toEqual([...names].sort());
  } finally {
    await pool.end();
    await db.drop();
  }
});
