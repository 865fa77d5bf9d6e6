// Owns the loading of an engine with a bug in it beside the clean one, in one process: a process for each would cost more than its hunt.
import { createServer } from 'vite';
import type { PlantedBug } from './bug.js';
import type { hunt, Hunt, HuntOptions } from './hunt.js';
import { plantedBug } from './plugin.js';

export async function huntApart(bug: PlantedBug, options: HuntOptions): Promise<Hunt> {
  const server = await createServer({
    configFile: false,
    appType: 'custom',
    logLevel: 'error',
    optimizeDeps: { noDiscovery: true },
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
    plugins: [plantedBug(bug.name)],
  });
  try {
    const planted = (await server.ssrLoadModule('/test/simulation/planted/hunt.ts')) as { hunt: typeof hunt };
    return await planted.hunt(bug, options);
  } finally {
    await server.close();
  }
}
