// Owns the promises of a demo's folder: it goes on where the last one ended, starts over where that one was cut off, and belongs to one at a time.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { DemoFolder, type Kept } from '../../src/cli/demo/folder.js';
import { openWorld } from '../../src/cli/demo/world.js';
import { fakeIo, withFolder } from '../cli/support.js';

const kept: Kept = {
  runs: 1,
  salesforce: { orgId: 'o', tables: {}, ids: [], autoNumbers: [], bin: [] },
  shopify: {
    domain: 'd',
    tables: {},
    indexes: {},
    owned: [],
    ordersOfCustomer: [],
    lastOrderNumber: 1,
    lastMinor: 1,
  },
};

const at = (path: string): DemoFolder => new DemoFolder(path, systemClock);

describe('the folder of a demo', () => {
  test('the second demo goes on from what the first one saved', () =>
    withFolder(async (path) => {
      expect(await at(path).enter()).toEqual({ kind: 'fresh' });
      await at(path).leave(kept);
      expect(await at(path).enter()).toEqual({ kind: 'resumed', kept });
    }));

  test('a demo that was cut off is started over: what its simulators knew is gone, so its hub goes too', () =>
    withFolder(async (path) => {
      await at(path).enter();
      await at(path).leave(kept);
      await at(path).enter();
      // Cut off: nothing was saved since, and the process is no more.
      const gone = spawn(process.execPath, ['-e', '']);
      await once(gone, 'exit');
      await writeFile(join(path, 'demo.json'), JSON.stringify({ pid: gone.pid, runs: 1 }));
      await mkdir(join(path, 'postgres'));
      await writeFile(join(path, 'notes.txt'), 'mine');
      expect(await at(path).enter()).toEqual({ kind: 'over' });
      expect(existsSync(join(path, 'postgres'))).toBe(false);
      expect(existsSync(join(path, 'simulators.json'))).toBe(false);
      expect(await readFile(join(path, 'notes.txt'), 'utf8')).toBe('mine');
    }));

  test('mappings that the user changed stay as they are', () =>
    withFolder(async (path) => {
      await at(path).enter();
      const file = join(path, 'mappings', 'account.yaml');
      await writeFile(file, 'mine');
      await at(path).abandon();
      expect(await at(path).enter()).toEqual({ kind: 'over' });
      expect(await readFile(file, 'utf8')).toBe('mine');
    }));

  test('two demos never share a folder', () =>
    withFolder(async (path) => {
      const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
      try {
        await once(other, 'spawn');
        await writeFile(join(path, 'demo.json'), JSON.stringify({ pid: other.pid, runs: 0 }));
        await expect(at(path).enter()).rejects.toMatchObject({ code: 'demo_runs_already' });
      } finally {
        other.kill();
      }
    }));

  test('a folder that cannot be written is refused with a next step', () =>
    withFolder(async (path) => {
      await writeFile(join(path, 'file'), '');
      await expect(at(join(path, 'file', 'demo')).enter()).rejects.toMatchObject({ code: 'cannot_write' });
    }));

  test('a stop during the start leaves no server and gives the folder back', { timeout: 60_000 }, () =>
    withFolder(async (path) => {
      const stop = new AbortController();
      const { io } = fakeIo({ cwd: path, signal: stop.signal });
      const opening = openWorld(join(path, 'demo'), io);
      setTimeout(() => stop.abort(new Error('stopped')), 300);
      await expect(opening).rejects.toThrow('stopped');
      expect(existsSync(join(path, 'demo', 'postgres', 'postmaster.pid'))).toBe(false);
      expect(JSON.parse(await readFile(join(path, 'demo', 'demo.json'), 'utf8'))).toEqual({ pid: null, runs: 0 });
    }),
  );
});
