// Owns running one command line without a process: a fake Io that remembers what was written.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.js';
import type { Io } from '../../src/cli/io.js';
import { run } from '../../src/cli/program.js';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface FakeIo {
  readonly io: Io;
  readonly out: () => string;
  readonly err: () => string;
}

export function fakeIo(
  options: Partial<Pick<Io, 'cwd' | 'env' | 'signal' | 'clock'>> & { readonly terminal?: boolean } = {},
): FakeIo {
  const written = { out: '', err: '' };
  const output = (name: 'out' | 'err'): Io['out'] => ({
    write: (text) => void (written[name] += text),
    terminal: options.terminal ?? false,
    columns: 100,
  });
  const io: Io = {
    out: output('out'),
    err: output('err'),
    env: options.env ?? {},
    cwd: options.cwd ?? '/',
    clock: options.clock ?? systemClock,
    signal: options.signal ?? new AbortController().signal,
  };
  return { io, out: () => written.out, err: () => written.err };
}

export async function truespoke(args: readonly string[], options: Parameters<typeof fakeIo>[0] = {}): Promise<Ran> {
  const fake = fakeIo(options);
  const code = await run(args, fake.io);
  return { code, out: fake.out(), err: fake.err() };
}

export async function withFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'truespoke-cli-'));
  try {
    return await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
