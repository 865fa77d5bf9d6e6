// Owns the small read-only routes: versions, resources of a version, limits, recently used.
import { json, type Call, type Route } from './call.js';
import type { Reply } from '../faults.js';

export const newestVersion = 66;
const seasons = ['Spring', 'Summer', 'Winter'];

export const versions: readonly object[] = Array.from({ length: newestVersion - 30 }, (_, i) => {
  const n = 31 + i;
  // Version 31 is Summer '14; three releases a year.
  const index = n - 31 + 1;
  const season = seasons[index % 3] ?? '';
  const year = 14 + Math.floor(index / 3) + (season === 'Winter' ? 1 : 0);
  return { label: `${season} '${String(year)}`, url: `/services/data/v${String(n)}.0`, version: `${String(n)}.0` };
});

export const versionRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/', handle: resources },
  { method: 'GET', pattern: '/limits', handle: (call) => json(200, call.app.limits.describe()) },
  { method: 'GET', pattern: '/recent', handle: () => json(200, []) },
  { method: 'GET', pattern: '/tabs', handle: () => json(200, []) },
];

function resources(call: Call): Reply {
  const base = `/services/data/v${call.version}`;
  const names = ['sobjects', 'query', 'queryAll', 'limits', 'composite', 'jobs', 'recent', 'tabs'];
  const identity = `${call.app.auth.baseUrl()}/id/${call.app.org.orgId}/${call.actor.userId}`;
  return json(200, { ...Object.fromEntries(names.map((name) => [name, `${base}/${name}`])), identity });
}
