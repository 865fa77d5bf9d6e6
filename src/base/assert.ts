// Owns invariants that must hold or the process must not go on. Never used for bad input: that is an error with a hint.

export class AssertionFailed extends Error {
  override readonly name = 'AssertionFailed';
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailed(message);
}

/** Unwraps a value that the surrounding logic guarantees to exist. */
export function must<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new AssertionFailed(`missing ${what}`);
  return value;
}
