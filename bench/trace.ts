// Owns the answer to "which statement takes the time": wraps the driver's query, sums wall time by statement. For profiling only
// (`--trace`): it costs a little itself, so figures of a traced run are not kept.
import pg from 'pg';

interface Sum {
  calls: number;
  ms: number;
}

export function traceStatements(): () => string {
  const sums = new Map<string, Sum>();
  const prototype = pg.Client.prototype as unknown as { query: (...args: unknown[]) => unknown };
  const { query } = prototype;
  const note = (key: string, from: number): void => {
    const sum = sums.get(key) ?? { calls: 0, ms: 0 };
    sums.set(key, { calls: sum.calls + 1, ms: sum.ms + performance.now() - from });
  };
  prototype.query = function (this: unknown, ...args: unknown[]): unknown {
    const from = performance.now();
    const [first] = args;
    const statement = typeof first === 'string' ? { text: first } : (first as { name?: string; text?: string });
    const key = statement.name ?? (statement.text ?? 'stream').replace(/\s+/g, ' ').slice(0, 70);
    const last = args.at(-1);
    // A pool asks with a callback, everyone else gets a promise.
    if (typeof last === 'function') {
      args[args.length - 1] = (...answer: unknown[]) => {
        note(key, from);
        (last as (...answer: unknown[]) => void)(...answer);
      };
    }
    const result: unknown = query.apply(this, args);
    return result instanceof Promise ? result.finally(() => note(key, from)) : result;
  };
  return () => {
    const lines = [...sums]
      .toSorted(([, a], [, b]) => b.ms - a.ms)
      .slice(0, 25)
      .map(([key, { calls, ms }]) => `   ${ms.toFixed(0).padStart(8)} ms ${String(calls).padStart(7)} calls  ${key}`);
    sums.clear();
    return `${lines.join('\n')}\n`;
  };
}
