// Owns joining of abort signals. AbortSignal.any leaves a trace in its sources for as long as they live (some 50 bytes each, seen on
// Node 20): joined once per pair and remembered, it costs nothing per call.

const joined = new WeakMap<AbortSignal, WeakMap<AbortSignal, AbortSignal>>();

/** Aborts when either does. The same pair gives the same signal. */
export function eitherOf(a: AbortSignal | undefined, b: AbortSignal): AbortSignal {
  if (a === undefined || a === b) return b;
  const known = joined.get(a) ?? new WeakMap<AbortSignal, AbortSignal>();
  joined.set(a, known);
  const signal = known.get(b) ?? AbortSignal.any([a, b]);
  known.set(b, signal);
  return signal;
}
