// Owns the engine of the demo as a process of its own, so that it can be killed without mercy and started again. Holds a channel to it: when
// the demo itself dies, the channel breaks and the engine ends. Nothing that this starts outlives it.
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Halt } from '../../base/errors.js';
import type { Io } from '../io.js';
import { executable } from '../package-files.js';

const startMsMax = 30_000;
const endMsMax = 1_000;
const shownLines = 5;

export class EngineProcess {
  private child: ChildProcess | null = null;
  private ended: Promise<void> = Promise.resolve();

  constructor(
    private readonly folder: string,
    private readonly io: Pick<Io, 'clock' | 'env' | 'signal'>,
  ) {}

  get pid(): number | null {
    return this.child?.pid ?? null;
  }

  /** Resolves when the engine says that it runs. Rejects with what it said when it ends before, and when the signal aborts. */
  async start(): Promise<void> {
    const log = openSync(this.logFile, 'a', 0o600);
    const child = spawn(process.execPath, [executable, 'run', '--json', '-c', join(this.folder, 'truespoke.yaml')], {
      stdio: ['ignore', 'pipe', log, 'ipc'],
      env: { ...this.io.env },
    });
    closeSync(log);
    this.child = child;
    let text = '';
    const waiting = new AbortController();
    const until = AbortSignal.any([waiting.signal, this.io.signal]);
    const running = new Promise<boolean>((resolve) => {
      child.stdout?.on('data', (chunk: Buffer) => {
        text += chunk.toString('utf8');
        if (text.includes('"running"')) resolve(true);
      });
      child.once('error', () => resolve(false));
      child.once('exit', () => resolve(false));
      void this.io.clock.sleep(startMsMax, until).then(() => resolve(false));
    });
    this.ended = new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
    const started = await running;
    waiting.abort();
    if (started) return;
    await this.stop();
    this.io.signal.throwIfAborted();
    throw await this.failure(text);
  }

  /** No warning, no clean-up: what a power cut does. */
  async kill(): Promise<void> {
    this.child?.kill('SIGKILL');
    await this.ended;
    this.child = null;
  }

  /** Without waiting: for the last instant of this process. */
  killNow(): void {
    this.child?.kill('SIGKILL');
  }

  /** Asks; after a second it is killed, which is safe: everything that matters is in Postgres. */
  async stop(): Promise<void> {
    if (this.child === null) return;
    this.child.kill('SIGTERM');
    const waiting = new AbortController();
    await Promise.race([this.ended, this.io.clock.sleep(endMsMax, waiting.signal)]);
    waiting.abort();
    await this.kill();
  }

  /** What the engine itself said is the best explanation; else the end of its log. */
  private async failure(output: string): Promise<Halt> {
    const code = 'demo_engine_failed';
    const said = /^\{"error":.*\}$/m.exec(output)?.[0];
    if (said !== undefined) {
      const { error } = JSON.parse(said) as { error: { message: string; hint: string | null } };
      return new Halt({ code, message: `the engine did not start: ${error.message}`, hint: error.hint ?? undefined });
    }
    const lines = (await readFile(this.logFile, 'utf8').catch(() => '')).trim().split('\n').slice(-shownLines);
    return new Halt({
      code,
      message: `the engine did not start:\n${lines.join('\n')}`,
      hint: `read ${this.logFile}, or delete ${this.folder} and start over`,
    });
  }

  private get logFile(): string {
    return join(this.folder, 'engine.log');
  }
}
