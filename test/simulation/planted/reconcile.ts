// Planted bugs of reconcile and replay: they only re-enqueue, and never act on a look that is out of date (laws 4, 8, 9).
import type { PlantedBug } from './bug.js';
import { growing, parked, stale, staleSweeps, sweeps } from './plans.js';

const sweep = 'src/reconcile/sweep.ts';
const classify = 'src/reconcile/classify.ts';

export const reconcileBugs: readonly PlantedBug[] = [
  {
    name: 'missed-edit-taken-for-damage',
    law: 'law 4',
    file: classify,
    find: `const stamped = record.version !== '' && record.version !== link.version;`,
    replace: `const stamped = false;`,
    plan: sweeps,
    why: 'an edit that the next poll would bring is written over by the repair',
  },
  {
    name: 'what-is-under-way-counts-as-drift',
    law: 'law 4',
    file: classify,
    find: `  if (explained) return { kind: 'explained' };`,
    replace: ``,
    also: [
      {
        file: classify,
        find: `record.version !== '' && record.version !== link.version;`,
        replace: `record.version !== '' && record.version > link.version;`,
      },
    ],
    plan: staleSweeps,
    why: 'a read older than our own write is repaired as damage',
  },
  {
    name: 'damage-repaired-in-the-base',
    law: 'law 2',
    file: sweep,
    find: `        into.dirty.push(this.dirty(link.hubId, verdict.shown));`,
    replace: ``,
    plan: { damage: true },
    why: 'found, reported, never written again',
  },
  {
    name: 'replayed-records-not-sent',
    law: 'law 9',
    file: 'src/engine/replay.ts',
    find: `    outward.map(({ spoke, entity, key }) => ({`,
    replace: `    outward.slice(1).map(({ spoke, entity, key }) => ({`,
    plan: parked,
    why: 'marked as tried again, and one of them is not',
  },
  {
    name: 'believed-gone-at-first-sight',
    law: 'law 8',
    file: 'src/engine/inbox-service.ts',
    find: `absent.filter(([, all]) => all.some((hint) => hint.deleted));`,
    replace: `absent;`,
    plan: { ...stale, ...growing },
    why: 'a read that lags behind the creation deletes the record everywhere',
  },
];
