// Owns when a batch may be claimed, beyond that something is due: a burst of edits is waited out. Promises: one edit alone never waits, a
// burst waits `holdMsMax` at most. Decides nothing about records.
import type { Clock } from '../base/clock.js';
import type { EntityName } from '../model/ids.js';
import type { Due } from '../store/deliveries.js';

/**
 * Without a new edit of the record that is first in line for so long, a burst counts as over. Capture brings ten thousand edits at a time,
 * every 0.4 s where they never end: less than that took a burst for over (1.10–1.30 times the fewest calls, bench row 9).
 */
const quietMs = 600;
const holdMsMax = 4_000;
/** Fewer than this are never held, however little a call of the spoke takes. */
const burstRecordsMin = 100;

export interface PaceOptions {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly writeBatch: number;
  readonly bulkWriteFrom: number | null;
  readonly lanes: number;
  /** Could a batch that is claimed now begin its calls at once, with the hub at its hands? Left out = always. */
  readonly isLaneFree?: (() => boolean) | undefined;
}

interface Burst {
  readonly sinceMs: number;
  /** When the first in line was last seen to be edited again. */
  readonly movedMs: number;
  readonly first: string | null;
  readonly over: boolean;
}

/**
 * More records due than all lanes carry at once take a while in any case. If they are being edited again right now, each batch sent would
 * have to be sent once more: ten edits of 10,000 records within a second cost up to 3.4 times the calls; held, they cost one each.
 * The price: such a crowd starts 0.6 s later, or 4 s when the edits do not end.
 */
export class Pace {
  private readonly bursts = new Map<EntityName, Burst>();
  private readonly crowd: number;
  private isWaiting = false;

  constructor(private readonly options: PaceOptions) {
    this.crowd = Math.max(burstRecordsMin, options.lanes * options.writeBatch);
  }

  /** So many due records need to be counted, no more. */
  get countMax(): number {
    return Math.max(this.crowd, this.options.bulkWriteFrom ?? 0);
  }

  /** How long until it is worth looking again at what was held; null = nothing is held. */
  get againMs(): number | null {
    return [...this.bursts.values()].some(({ over }) => !over) ? quietMs / 4 : null;
  }

  /** Was less than a full batch left for when a lane and the hub are free, since `begin`? */
  get waitsForLane(): boolean {
    return this.isWaiting;
  }

  /** Somebody looks what is due. */
  begin(): void {
    this.isWaiting = false;
  }

  admits(due: Due): boolean {
    // Ahead of a free lane, and beside other work in the hub, only a full batch: what waits may grow, and a batch of ten costs nearly what
    // one of two hundred does.
    this.isWaiting = due.pending < this.options.writeBatch && this.options.isLaneFree?.() === false;
    return !this.isWaiting && this.isOver(due);
  }

  private isOver({ entity, pending, first }: Due): boolean {
    if (pending < this.crowd) {
      this.bursts.delete(entity);
      return true;
    }
    const nowMs = this.options.clock.monotonic();
    const seen = this.bursts.get(entity) ?? { sinceMs: nowMs, movedMs: nowMs, first, over: false };
    const movedMs = seen.first === first ? seen.movedMs : nowMs;
    const over = seen.over || nowMs - movedMs >= quietMs || nowMs - seen.sinceMs >= holdMsMax;
    this.bursts.set(entity, { sinceMs: seen.sinceMs, movedMs, first, over });
    return over;
  }
}
