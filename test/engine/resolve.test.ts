// The `review` policy: both values stay until a person decides; the decision is journaled and pushed.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { resolveConflict, type Choice } from '../../src/engine/resolve.js';
import { parseMapping } from '../../src/mapping/load.js';
import { remotePath, type EntityName } from '../../src/model/ids.js';
import type { RemoteFields } from '../../src/model/record.js';
import { openHubTable, type HubTable } from '../../src/store/hub.js';
import { openWheel, type Wheel } from '../support/wheel.js';

const thing = `
entity: thing
fields: { code: { type: text, match: exact }, label: { type: text, policy: review } }
spokes:
  left: { object: Thing, fields: { code: Code, label: Label } }
  right: { object: Thing, fields: { code: Code, label: Label } }
`;
const objects = { Thing: { fields: { Code: {}, Label: {} } } };
const label = remotePath('Label');

let wheel: Wheel;
beforeEach(async () => {
  wheel = await openWheel({ spokes: { left: { objects }, right: { objects } }, mappings: [thing] });
});
afterEach(() => wheel.end());

async function disagree(): Promise<string> {
  wheel.start();
  await wheel.sql(`insert into hub.thing (code, label) values ('t', 'old')`);
  const left = await wheel.until(() => wheel.remote('left').list('Thing')[0]);
  await wheel.until(() => wheel.remote('right').list('Thing')[0]);
  await wheel.settled();
  // Nothing goes out until intake has seen both edits.
  await wheel.restart({ roles: ['capture', 'inbound'] });
  await wheel.sql(`update hub.thing set label = 'from hub'`);
  wheel.remote('left').edit('Thing', left.id, { [label]: 'from left' } as RemoteFields);
  const row = await wheel.until(
    async () => (await wheel.sql(`select id from truespoke.conflict where state = 'open'`))[0],
  );
  await wheel.restart({ roles: ['capture', 'inbound', 'outbound'] });
  await wheel.until(() => shown('right') === 'from hub');
  return row['id'] ?? '';
}

async function decide(id: string, choice: Choice): Promise<void> {
  const { mapping } = parseMapping([{ file: 'thing.yaml', text: thing }]);
  const tables = new Map<EntityName, HubTable>();
  for (const [name, entity] of mapping.entities) tables.set(name, await openHubTable(wheel.db.pool, entity));
  await resolveConflict({ pool: wheel.db.pool, clock: systemClock, tables }, id, choice, 'tester');
}

const shown = (name: string): unknown => wheel.remote(name).list('Thing')[0]?.fields[label];

test.each([
  [{ kind: 'hub' }, 'from hub'],
  [{ kind: 'spoke' }, 'from left'],
  [{ kind: 'value', value: 'a third' }, 'a third'],
] as const)('F116 both edited under review: %o gives everyone one value', async (choice, expected) => {
  const id = await disagree();
  await wheel.settled();
  expect([shown('left'), shown('right')]).toEqual(['from left', 'from hub']);
  await decide(id, choice);
  await wheel.until(() => shown('left') === expected && shown('right') === expected);
  await wheel.settled();
  expect(await wheel.sql('select label from hub.thing')).toEqual([{ label: expected }]);
  const [kept] = await wheel.sql('select hub_value, spoke_value, state, decided_by from truespoke.conflict');
  expect(kept).toEqual({ hub_value: 'from hub', spoke_value: 'from left', state: 'resolved', decided_by: 'tester' });
  await expect(decide(id, choice)).rejects.toThrow('no open conflict');
});
