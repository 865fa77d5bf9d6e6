// Owns which transaction a handler works in: its own, or the one of an all-or-none composite request around it.
import type { Call } from './call.js';
import type { Transaction } from './transaction.js';

/** Runs `work`; commits when it returns, takes everything back when it throws. */
export async function transact<T>(call: Call, work: (tx: Transaction) => T): Promise<T> {
  if (call.joined !== null) {
    const { joined } = call;
    return joined.attempt(() => work(joined));
  }
  const tx = call.app.org.transaction(call.actor);
  const result = tx.attempt(() => work(tx));
  await tx.commit();
  return result;
}
