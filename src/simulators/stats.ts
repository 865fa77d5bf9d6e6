// Owns the count of API calls by route since the last reset. Calls under /__control/ are not counted.
import type { Clock } from '../base/clock.js';

export interface CallStats {
  /** ISO 8601: when counting (re)started. */
  readonly since: string;
  readonly total: number;
  /** Answers by status class and broken connections: `2xx`, `4xx`, `5xx`, `broken`. */
  readonly byOutcome: Readonly<Record<string, number>>;
  readonly byRoute: Readonly<Record<string, number>>;
}

export class CallCounter {
  private routes = new Map<string, number>();
  private outcomes = new Map<string, number>();
  private total = 0;
  private since: number;

  constructor(private readonly clock: Clock) {
    this.since = clock.now();
  }

  /** Counts one call as it arrives. */
  called(route: string): void {
    this.total += 1;
    this.routes.set(route, (this.routes.get(route) ?? 0) + 1);
  }

  /** Notes how a call ended: its HTTP status, or null when the connection was broken. */
  ended(status: number | null): void {
    const key = status === null ? 'broken' : `${String(Math.floor(status / 100))}xx`;
    this.outcomes.set(key, (this.outcomes.get(key) ?? 0) + 1);
  }

  read(): CallStats {
    return {
      since: new Date(this.since).toISOString(),
      total: this.total,
      byOutcome: Object.fromEntries(this.outcomes),
      byRoute: Object.fromEntries([...this.routes].sort(([a], [b]) => (a < b ? -1 : 1))),
    };
  }

  reset(): void {
    this.routes = new Map();
    this.outcomes = new Map();
    this.total = 0;
    this.since = this.clock.now();
  }
}
