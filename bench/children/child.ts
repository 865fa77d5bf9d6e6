// Owns the processes beside the bench: the engine, the remote, the application and the bare reader each have one, so that none waits for
// another's event loop. Messages are small; a child ends with its parent, whatever ends that.
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What a child can be asked, by name. */
export type Door = Readonly<Record<string, (input: never) => unknown>>;

export interface Child<D extends Door> {
  readonly pid: number;
  ask<K extends keyof D & string>(what: K, input: Parameters<D[K]>[0]): Promise<Awaited<ReturnType<D[K]>>>;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
}

interface Question {
  readonly id: number;
  readonly what: string;
  readonly input: unknown;
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly failure?: string;
}

/** One clock for all processes of the machine, in milliseconds. */
export const sharedMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** `file`: a module in this folder that calls `serve`, without its ending. */
export async function startChild<D extends Door>(file: string, execArgv: readonly string[] = []): Promise<Child<D>> {
  const process = fork(fileURLToPath(new URL(`${file}.js`, import.meta.url)), [], {
    serialization: 'advanced',
    execArgv: [...execArgv],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const open = new Map<number, (answer: Answer) => void>();
  const ended = new Promise<void>((resolve) => process.once('exit', () => resolve()));
  void ended.then(() => {
    for (const [id, settle] of open) settle({ id, failure: `${file} ended` });
  });
  process.on('message', (answer: Answer) => {
    open.get(answer.id)?.(answer);
    open.delete(answer.id);
  });
  let asked = 0;
  const ask = (what: string, input: unknown): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const id = (asked += 1);
      open.set(id, ({ value, failure }) =>
        failure === undefined ? resolve(value) : reject(new Error(`${file} ${what}: ${failure}`)),
      );
      process.send({ id, what, input } satisfies Question, (error) => {
        if (error !== null) reject(error);
      });
    });
  await ask('ready', null);
  return {
    pid: pidOf(process),
    ask: ask as Child<D>['ask'],
    async kill() {
      process.kill('SIGKILL');
      await ended;
    },
  };
}

function pidOf(child: ChildProcess): number {
  if (child.pid === undefined) throw new Error('the process did not start');
  return child.pid;
}

/** The child's side. */
export function serve(door: Door): void {
  process.on('disconnect', () => process.exit(0));
  process.on('message', (question: Question) => void answer(door, question));
}

async function answer(door: Door, { id, what, input }: Question): Promise<void> {
  const reply = await Promise.resolve()
    .then(() => (what === 'ready' ? null : door[what]?.(input as never)))
    .then(
      (value): Answer => ({ id, value }),
      (error: unknown): Answer => ({
        id,
        failure: error instanceof Error ? (error.stack ?? error.message) : String(error),
      }),
    );
  process.send?.(reply);
}
