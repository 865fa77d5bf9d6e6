// Planted bugs of a connector (the memory one stands for all): reading by cursor skips nothing, results belong to their own writes (laws 5, 7).
import type { PlantedBug } from './bug.js';
import { deaf, fewer, lagging, reordered } from './plans.js';

const changes = 'src/connectors/memory/changes.ts';
const write = 'src/connectors/memory/write.ts';

export const connectorBugs: readonly PlantedBug[] = [
  {
    name: 'no-overlap',
    law: 'law 7',
    file: changes,
    find: `from.after - (config.versions === 'clock' ? config.overlapMs : 0) : from.stamp;`,
    replace: `from.after : from.stamp;`,
    plan: lagging,
    why: 'F96: what was committed late with an older stamp is never read',
  },
  {
    name: 'watermark-without-lag',
    law: 'law 7',
    file: changes,
    find: `      : Math.min(remote.newestStamp(), remote.lowestUnseen(object, remote.faults.indexLagMs) - 1);`,
    replace: `      : remote.newestStamp();`,
    plan: lagging,
    why: 'the window ends where the index has not come yet',
  },
  {
    name: 'greater-than-instead-of-keyset',
    law: 'law 7',
    file: changes,
    find: `const behind = row.stamp > start || (from.until !== null && row.stamp === start && row.id > from.id);`,
    replace: `const behind = row.stamp > start;`,
    plan: deaf,
    why: 'F94: of many records with one stamp the second page is skipped',
  },
  {
    name: 'page-cursor-runs-ahead',
    law: 'law 7',
    file: changes,
    find: `            after: from.after,
            until: page.until,`,
    replace: `            after: page.until,
            until: null,`,
    plan: deaf,
    why: 'the cursor of the first page claims the whole window',
  },
  {
    name: 'results-by-position',
    law: 'law 5',
    file: write,
    find: `      byReference.get(reference) ?? {`,
    replace: `      answers[reference]?.result ?? {`,
    plan: reordered,
    why: 'F70: results come in another order, or fewer than were asked',
  },
  {
    name: 'missing-result-taken-for-success',
    law: 'law 5',
    file: write,
    find: `{ outcome: 'unknown', cause: 'the answer held no result for this record' },`,
    replace: `{
        outcome: 'applied',
        externalId: ('externalId' in _write ? _write.externalId : '') as never,
        version: '' as never,
        record: null,
      },`,
    plan: fewer,
    why: 'F70: a create without a result is linked to nothing',
  },
];
