// Owns the promises of the status page in a real browser: it shows the snapshot under its own content policy, and a text from outside stays
// text. Without a browser on this machine these tests are skipped, and say so.
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { EngineStatus, SpokeStatus } from '../../src/model/status.js';
import { closeAll, healthy, start } from './support.js';

const browser = ['chromium', 'chromium-browser', 'google-chrome'].find(
  (name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0,
);
if (browser === undefined) process.stderr.write('page.test.ts: no chromium on this machine, the page is not tested\n');

afterEach(closeAll);

interface Seen {
  readonly html: string;
  /** What the browser had to say: refused scripts, uncaught errors. */
  readonly complaints: readonly string[];
}

async function look(url: string): Promise<Seen> {
  const profile = await mkdtemp(join(tmpdir(), 'truespoke-page-'));
  const quiet = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', `--user-data-dir=${profile}`];
  const wanted = ['--enable-logging=stderr', '--virtual-time-budget=3000', '--dump-dom', url];
  try {
    return await new Promise((resolve, reject) => {
      execFile(browser ?? '', [...quiet, ...wanted], { timeout: 50_000 }, (error, html, err) => {
        if (error !== null) reject(error);
        else resolve({ html, complaints: err.split('\n').filter((line) => line.includes('CONSOLE')) });
      });
    });
  } finally {
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

const crm = healthy.spokes[0] as SpokeStatus;
const withSpoke = (change: Partial<SpokeStatus>): EngineStatus => ({ ...healthy, spokes: [{ ...crm, ...change }] });
const shown = (html: string): string => html.slice(html.indexOf('<main>'), html.indexOf('<script>'));

describe.skipIf(browser === undefined)('the page', () => {
  test('shows hub and spokes, with an order for each that a keyboard reaches', { timeout: 60_000 }, async () => {
    const server = await start();
    const { html, complaints } = await look(server.url);
    expect(complaints).toEqual([]);
    const page = shown(html);
    expect(page).toMatch(/<dt>Links<\/dt><dd[^>]*>793<\/dd>/);
    expect(page).toMatch(/<dt>Deliveries waiting<\/dt><dd[^>]*>4<\/dd>/);
    expect(page).toMatch(/<dt>Behind, at most<\/dt><dd[^>]*>0\.5 s<\/dd>/);
    expect(page).toMatch(/<button type="button" aria-label="Pause crm">Pause<\/button>/);
    expect(page).toMatch(/role="status"[^>]*>all well</);
  });

  test(
    'F134 a reason from outside stays text, and a paused spoke calls for a person',
    { timeout: 60_000 },
    async () => {
      const evil = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
      const server = await start({ status: () => Promise.resolve(withSpoke({ state: 'paused', reason: evil })) });
      const { html, complaints } = await look(server.url);
      expect(complaints).toEqual([]);
      expect(html).toContain('<title>! Truespoke</title>');
      const page = shown(html);
      expect(page).toContain('&lt;img src=x onerror=');
      expect(page).not.toContain('<img');
      expect(page).toMatch(/aria-label="Resume crm">Resume</);
      expect(page).toContain('needs you');
    },
  );
});
