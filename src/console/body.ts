// Owns reading a request's raw bytes: bounded in size and in time, never decoded. A signature covers bytes, not text.
import type { Readable } from 'node:stream';
import { deadline, type Clock } from '../base/clock.js';

export interface BodyLimits {
  readonly bytesMax: number;
  /** From the first header to the last byte. */
  readonly totalMs: number;
}

/** Carries the status that the caller answers with. */
export class BodyRefused extends Error {
  override readonly name = 'BodyRefused';
  constructor(
    readonly statusCode: 400 | 408 | 413 | 415,
    message: string,
  ) {
    super(message);
  }
}

/** Rejects with BodyRefused only: 413 as soon as too much has come, 408 when time is up, 400 when the sender breaks off. */
export function readBody(stream: Readable, limits: BodyLimits, clock: Clock): Promise<Buffer> {
  const timer = deadline(clock, limits.totalMs);
  return new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const settle = (outcome: () => void): void => {
      stream.off('data', onData).off('end', onEnd).off('error', onBroken).off('close', onBroken);
      timer.signal.removeEventListener('abort', onLate);
      timer.cancel();
      outcome();
    };
    const refuse = (status: BodyRefused['statusCode'], message: string): void => {
      stream.pause();
      settle(() => reject(new BodyRefused(status, message)));
    };
    const onData = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes > limits.bytesMax) refuse(413, `body is larger than ${limits.bytesMax} bytes`);
      else chunks.push(chunk);
    };
    const onEnd = (): void => settle(() => resolve(Buffer.concat(chunks)));
    const onLate = (): void => refuse(408, `body did not arrive within ${limits.totalMs} ms`);
    const onBroken = (): void => refuse(400, 'body broke off');
    stream.on('data', onData).on('end', onEnd).on('error', onBroken).on('close', onBroken);
    timer.signal.addEventListener('abort', onLate, { once: true });
  });
}
