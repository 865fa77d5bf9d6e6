// Owns the event stream: hints only, bounded, and it says so when events were lost.
import type { ObjectName } from '../../model/ids.js';
import type { StreamEvent } from '../connector.js';
import type { MemoryClient } from './client.js';

const eventsMax = 10_000;

export async function* listen(
  { remote, closed }: MemoryClient,
  objects: readonly ObjectName[],
  signal: AbortSignal,
): AsyncGenerator<StreamEvent> {
  let waiting: StreamEvent[] = [];
  let wake: (() => void) | null = null;
  const stop = remote.subscribe((event) => {
    if (event.kind === 'hint' && !objects.includes(event.hint.object)) return;
    if (waiting.length >= eventsMax) waiting = [{ kind: 'gap', reason: `more than ${eventsMax} events were waiting` }];
    else waiting.push(event);
    wake?.();
  });
  const onAbort = (): void => wake?.();
  for (const end of [signal, closed]) end.addEventListener('abort', onAbort);
  try {
    while (!signal.aborted && !closed.aborted) {
      const next = waiting.shift();
      if (next !== undefined) yield next;
      else await new Promise<void>((resolve) => (wake = resolve));
      wake = null;
    }
  } finally {
    for (const end of [signal, closed]) end.removeEventListener('abort', onAbort);
    stop();
  }
}
