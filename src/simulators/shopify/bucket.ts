// Owns the leaky bucket: points that refill with time. A query needs its requested cost up front; what it did not use comes
// back when it is done.
import type { Clock } from '../../base/clock.js';

export interface ThrottleStatus {
  readonly maximumAvailable: number;
  readonly currentlyAvailable: number;
  readonly restoreRate: number;
}

export class Bucket {
  private available: number;
  private at: number;

  constructor(
    private max: number,
    private restorePerSecond: number,
    private readonly clock: Clock,
  ) {
    this.available = max;
    this.at = clock.monotonic();
  }

  /** False, and nothing taken, when there is not enough. */
  take(points: number): boolean {
    this.refill();
    if (this.available < points) return false;
    this.available -= points;
    return true;
  }

  giveBack(points: number): void {
    this.refill();
    this.available = Math.min(this.max, this.available + points);
  }

  /** A new plan; a full bucket. */
  resize(max: number, restorePerSecond: number): void {
    this.max = max;
    this.restorePerSecond = restorePerSecond;
    this.available = max;
    this.at = this.clock.monotonic();
  }

  /** Spends points as another app would. */
  drain(points: number): void {
    this.refill();
    this.available = Math.max(0, this.available - points);
  }

  status(): ThrottleStatus {
    this.refill();
    return {
      maximumAvailable: this.max,
      currentlyAvailable: Math.floor(this.available),
      restoreRate: this.restorePerSecond,
    };
  }

  private refill(): void {
    const now = this.clock.monotonic();
    this.available = Math.min(this.max, this.available + ((now - this.at) / 1000) * this.restorePerSecond);
    this.at = now;
  }
}
