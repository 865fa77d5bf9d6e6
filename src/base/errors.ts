// Owns the error taxonomy: what the caller should do is part of the type. Each message names place, cause and next step.

/** What whoever catches this should do. */
export type Recovery =
  | 'retry' // the same call may succeed soon
  | 'wait' // the remote told us when to come back
  | 'park' // this record needs a person or a later value; others flow on
  | 'pause' // this spoke needs a person; other spokes flow on
  | 'halt'; // the process cannot go on

export type ExitCode = 0 | 1 | 2 | 3;

export interface ErrorPlace {
  readonly spoke?: string | undefined;
  readonly entity?: string | undefined;
  readonly record?: string | undefined;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
}

export interface ErrorOptions extends ErrorPlace {
  /** Short stable name, e.g. `hub_unreachable`. */
  readonly code: string;
  readonly message: string;
  /** The next step for the reader. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

export abstract class TruespokeError extends Error {
  abstract readonly recovery: Recovery;
  readonly code: string;
  readonly hint: string | undefined;
  readonly place: ErrorPlace;

  constructor(options: ErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = options.code;
    this.hint = options.hint;
    const { spoke, entity, record, file, line, column } = options;
    this.place = { spoke, entity, record, file, line, column };
  }
}

/** Wrong usage or configuration: exit code 2. */
export class ConfigError extends TruespokeError {
  override readonly recovery = 'halt';
}

/** Something cannot be reached or refuses us at start: exit code 3. */
export class Unreachable extends TruespokeError {
  override readonly recovery = 'retry';
}

/** A remote call failed before it can have had an effect, or a read failed: safe to try again. */
export class Retriable extends TruespokeError {
  override readonly recovery = 'retry';
}

/** A remote call whose effect is not known. Never retried blindly. */
export class OutcomeUnknown extends TruespokeError {
  override readonly recovery = 'retry';
}

/** The remote asked us to wait. */
export class RateLimited extends TruespokeError {
  override readonly recovery = 'wait';
  constructor(
    options: ErrorOptions,
    readonly retryAfterMs: number,
  ) {
    super(options);
  }
}

/** One record cannot be handled; it is parked and the rest flows. */
export class BadRecord extends TruespokeError {
  override readonly recovery = 'park';
}

/** The spoke cannot go on without a person: revoked credential, other org, uninstalled app. */
export class SpokePaused extends TruespokeError {
  override readonly recovery = 'pause';
}

/** The hub or the process cannot go on safely. */
export class Halt extends TruespokeError {
  override readonly recovery = 'halt';
}

export interface Problem {
  readonly message: string;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
  readonly hint?: string | undefined;
}

/** Every problem found in one pass over a file or a set of files. */
export class Problems extends TruespokeError {
  override readonly recovery = 'halt';
  constructor(
    readonly problems: readonly Problem[],
    code = 'invalid_configuration',
  ) {
    super({ code, message: problems.map(formatProblem).join('\n') });
  }
}

export function formatProblem(problem: Problem): string {
  const place = [problem.file, problem.line, problem.column].filter((part) => part !== undefined).join(':');
  const hint = problem.hint === undefined ? '' : `\n    ${problem.hint}`;
  return `${place === '' ? '' : `${place}: `}${problem.message}${hint}`;
}
