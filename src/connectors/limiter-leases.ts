// Owns the tokens that this process has taken from the ledger in advance, so that not every call costs a statement. What lies
// idle goes back; what a crash loses comes back with the refill. Never holds tokens of one lane for another.
import type { Clock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import type { Grant, QuotaLane, QuotaLedger } from '../model/quota.js';

export interface LeaseOptions {
  readonly spoke: string;
  readonly ledger: QuotaLedger;
  readonly clock: Clock;
  readonly log: Log;
  /** Tokens taken in advance. */
  readonly batch: number;
  /** Unused for so long, they are returned. */
  readonly idleMs: number;
}

interface Lease {
  tokens: number;
  usedAtMs: number;
  /** The ledger said no: nobody asks again before then. */
  refusedUntilMs: number;
  refusal: Grant | null;
  /** Requests of one lane ask one after another: the second usually finds what the first one took. */
  turn: Promise<unknown>;
  returning: boolean;
}

export class Leases {
  private readonly lanes = new Map<QuotaLane, Lease>();
  private readonly closing = new AbortController();

  constructor(private readonly options: LeaseOptions) {}

  /** Tokens taken and not spent. */
  get held(): number {
    let sum = 0;
    for (const lease of this.lanes.values()) sum += lease.tokens;
    return sum;
  }

  acquire(lane: QuotaLane, cost: number): Promise<Grant> {
    const lease = this.lease(lane);
    const mine = lease.turn.then(() => this.take(lane, lease, cost));
    lease.turn = mine.catch(() => undefined);
    return mine;
  }

  /** The call did not happen: its tokens serve the next one. */
  giveBack(lane: QuotaLane, cost: number): void {
    const lease = this.lease(lane);
    lease.tokens += cost;
    this.startReturning(lease);
  }

  /** The remote says the budget is smaller than we believed: what was taken in advance is not there. */
  forget(): void {
    for (const lease of this.lanes.values()) lease.tokens = 0;
  }

  async close(): Promise<void> {
    this.closing.abort();
    for (const lease of this.lanes.values()) await this.returnTokens(lease);
  }

  private async take(lane: QuotaLane, lease: Lease, cost: number): Promise<Grant> {
    const nowMs = this.options.clock.monotonic();
    lease.usedAtMs = nowMs;
    if (lease.tokens >= cost) {
      lease.tokens -= cost;
      return { granted: cost, waitMs: 0, reason: null };
    }
    if (lease.refusal !== null && lease.refusedUntilMs > nowMs)
      return { ...lease.refusal, waitMs: lease.refusedUntilMs - nowMs };
    const missing = cost - lease.tokens;
    const grant = await this.options.ledger.take(this.options.spoke, {
      lane,
      cost: missing,
      wanted: Math.max(missing, this.options.batch),
    });
    if (grant.granted === 0) {
      lease.refusal = grant;
      lease.refusedUntilMs = nowMs + grant.waitMs;
      return grant;
    }
    lease.refusal = null;
    lease.tokens += grant.granted - cost;
    this.startReturning(lease);
    return { granted: cost, waitMs: 0, reason: null };
  }

  private lease(lane: QuotaLane): Lease {
    const known = this.lanes.get(lane);
    if (known !== undefined) return known;
    const fresh: Lease = {
      tokens: 0,
      usedAtMs: 0,
      refusedUntilMs: 0,
      refusal: null,
      turn: Promise.resolve(),
      returning: false,
    };
    this.lanes.set(lane, fresh);
    return fresh;
  }

  private startReturning(lease: Lease): void {
    if (lease.returning || lease.tokens === 0) return;
    lease.returning = true;
    void this.returnWhenIdle(lease).finally(() => (lease.returning = false));
  }

  private async returnWhenIdle(lease: Lease): Promise<void> {
    const { clock, idleMs } = this.options;
    for (;;) {
      const idleForMs = clock.monotonic() - lease.usedAtMs;
      if (idleForMs < idleMs) await clock.sleep(idleMs - idleForMs, this.closing.signal);
      if (this.closing.signal.aborted || lease.tokens === 0) return;
      if (clock.monotonic() - lease.usedAtMs >= idleMs) return this.returnTokens(lease);
    }
  }

  private async returnTokens(lease: Lease): Promise<void> {
    const { tokens } = lease;
    if (tokens === 0) return;
    lease.tokens = 0;
    try {
      await this.options.ledger.refund(this.options.spoke, tokens);
    } catch (error) {
      // The correct fallback is to lose them: the remote's next answer, or the refill, sets the ledger right.
      this.options.log.warn({ spoke: this.options.spoke, tokens, err: error }, 'unspent quota was not returned');
    }
  }
}
