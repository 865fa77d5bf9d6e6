// Owns what this process knows of which spokes are paused: one look at the hub a second for all of them. Promises that a spoke paused here is
// paused at once; one that a person or another process paused, within a second.
import type { Clock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import type { SpokeName } from '../model/ids.js';
import type { Pool } from '../store/pool.js';
import { loadSpokes, pauseSpoke } from '../store/spokes.js';
import type { LiveSpoke } from './context.js';
import { describe } from './service.js';

const lookMs = 1_000;
/** Somebody waits for the spoke. */
const lookAgainMs = 500;

export interface PauseDeps {
  readonly pool: Pool;
  readonly clock: Clock;
  readonly log: Log;
}

export class Pauses {
  private paused: ReadonlySet<SpokeName> = new Set();
  private lookedAtMs = Number.NEGATIVE_INFINITY;
  private look: Promise<void> | null = null;
  /** Pauses that this process has made: a look that began before one of them knows nothing of it. */
  private made = 0;

  constructor(private readonly deps: PauseDeps) {}

  gateOf(name: SpokeName): Pick<LiveSpoke, 'whenOpen' | 'pause'> {
    const { deps } = this;
    return {
      whenOpen: async (signal) => {
        while (!signal.aborted) {
          await this.keepFresh(this.paused.has(name) ? lookAgainMs : lookMs);
          if (!this.paused.has(name)) return;
          await deps.clock.sleep(lookAgainMs, signal);
        }
      },
      pause: async (error) => {
        this.made += 1;
        this.paused = new Set([...this.paused, name]);
        deps.log.error({ spoke: name, err: describe(error) }, 'spoke paused');
        const hint = error.hint ?? null;
        await pauseSpoke(deps.pool, name, { atMs: deps.clock.now(), by: 'engine', reason: error.message, hint });
        this.made += 1;
      },
    };
  }

  private async keepFresh(forMs: number): Promise<void> {
    if (this.deps.clock.monotonic() - this.lookedAtMs < forMs) return;
    this.look ??= this.load().finally(() => (this.look = null));
    await this.look;
  }

  private async load(): Promise<void> {
    const { made } = this;
    const atMs = this.deps.clock.monotonic();
    const spokes = await loadSpokes(this.deps.pool);
    if (made !== this.made) return;
    this.paused = new Set(spokes.filter(({ pausedAt }) => pausedAt !== null).map(({ name }) => name));
    this.lookedAtMs = atMs;
  }
}
