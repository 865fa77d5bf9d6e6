// Owns the org's request budget: counted calls, the Sforce-Limit-Info header, refusal when the day's budget is spent.
import type { Clock } from '../../base/clock.js';
import { ApiError } from './errors.js';

const dayMs = 86_400_000;

export class Limits {
  private max: number;
  private spent = 0;
  private resetAt: number;

  constructor(
    private readonly clock: Clock,
    dailyApiRequests: number,
  ) {
    this.max = dailyApiRequests;
    this.resetAt = clock.now() + dayMs;
  }

  /** Counts one call; throws REQUEST_LIMIT_EXCEEDED when the budget is spent. Refused calls are not counted. */
  spend(): void {
    if (this.clock.now() >= this.resetAt) {
      this.spent = 0;
      this.resetAt = this.clock.now() + dayMs;
    }
    if (this.spent >= this.max) throw new ApiError('REQUEST_LIMIT_EXCEEDED', 'TotalRequests Limit exceeded.');
    this.spent += 1;
  }

  set(change: { readonly max?: number | undefined; readonly spent?: number | undefined }): void {
    this.max = change.max ?? this.max;
    this.spent = change.spent ?? this.spent;
  }

  header(): string {
    return `api-usage=${String(this.spent)}/${String(this.max)}`;
  }

  describe(): object {
    const plenty = (max: number): object => ({ Max: max, Remaining: max });
    return {
      ConcurrentAsyncGetReportInstances: plenty(200),
      DailyApiRequests: { Max: this.max, Remaining: Math.max(0, this.max - this.spent) },
      DailyAsyncApexExecutions: plenty(250000),
      DailyBulkApiBatches: plenty(15000),
      DailyBulkV2QueryFileStorageMB: plenty(976562),
      DailyBulkV2QueryJobs: plenty(10000),
      DailyDeliveredPlatformEvents: plenty(10000),
      DailyStreamingApiEvents: plenty(10000),
      DataStorageMB: plenty(5),
      FileStorageMB: plenty(20),
      HourlyPublishedPlatformEvents: plenty(50000),
      SingleEmail: plenty(15),
    };
  }
}
