// Owns how many batches of one spoke are under way: those that hold a lane, and those ahead of one. p-queue bounds both.
import PQueue from 'p-queue';

/** One batch on its way. */
export interface Way {
  /** It has work. */
  claimed(): void;
  /** Runs its calls when a lane is free. */
  call<T>(calls: () => Promise<T>): Promise<T>;
}

/**
 * A lane holds a batch from its first look to its last answer. Meanwhile others are claimed and compared, or settled: with as many batches
 * as lanes, the lanes of a 50 ms spoke stood idle while the hub worked (bench row 9). What a batch ahead compared is checked once more as
 * it is recorded as sent (`markSent`); few are ahead, so that few are compared in vain.
 */
export class Lanes {
  private readonly batches: PQueue;
  private readonly calls: PQueue;
  /** Without a lane yet: batches that look for work or have some, and those of them that have. */
  private ahead = 0;
  private claimedAhead = 0;

  /** `onRoom`: called when a batch has got its lane, has left it, or has ended. */
  constructor(
    readonly count: number,
    private readonly onRoom: () => void,
  ) {
    this.batches = new PQueue({ concurrency: 2 * count });
    this.calls = new PQueue({ concurrency: count });
  }

  /**
   * Could a batch that is claimed now begin its calls at once, and is no other one being compared? Small batches wait for that and grow: a
   * busy hub, whose answers take longer, is asked less often for more, and leaves its time to the applications (bench row 12).
   */
  get isFree(): boolean {
    return this.calls.pending < this.count && this.claimedAhead === 0;
  }

  /** As many batches as may be are under way, or ahead of a lane. */
  get isFull(): boolean {
    const aheadMax = Math.max(Math.ceil(this.count / 2), this.count - this.calls.pending);
    return this.batches.pending >= this.batches.concurrency || this.ahead >= aheadMax;
  }

  /** Begins a batch, unless one has not begun yet. */
  begin(batch: (way: Way) => Promise<void>): void {
    if (this.batches.size === 0) void this.batches.add(() => this.run(batch));
  }

  /** Nothing more begins; resolves when what is under way has ended. */
  async end(): Promise<void> {
    this.batches.clear();
    await this.batches.onIdle();
  }

  private async run(batch: (way: Way) => Promise<void>): Promise<void> {
    this.ahead += 1;
    let [isAhead, isClaimed] = [true, false];
    const leave = (): void => {
      if (isAhead) this.ahead -= 1;
      if (isAhead && isClaimed) this.claimedAhead -= 1;
      isAhead = false;
    };
    const way: Way = {
      claimed: () => {
        if (isAhead && !isClaimed) this.claimedAhead += 1;
        isClaimed = true;
      },
      call: (calls) =>
        this.calls
          .add(() => {
            leave();
            this.onRoom();
            return calls();
          })
          .finally(this.onRoom),
    };
    try {
      await batch(way);
    } finally {
      leave();
      this.onRoom();
    }
  }
}
