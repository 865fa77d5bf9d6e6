// Owns the command line's promises: usage errors, help, exit codes, how errors look.
import { describe, expect, test } from 'vitest';
import { BadRecord, ConfigError, Halt, Problems, Unreachable } from '../../src/base/errors.js';
import { errorView, exitCodeOf, paintFor, renderError } from '../../src/cli/render.js';
import { adviceFor } from '../../src/cli/conflicts.js';
import { createProgram } from '../../src/cli/program.js';
import { fakeIo, truespoke } from './support.js';

const plain = paintFor(fakeIo().io.out, {});

describe('usage', () => {
  test('an unknown command is exit code 2 and suggests the one that was meant', async () => {
    const { code, err } = await truespoke(['tokn']);
    expect(code).toBe(2);
    expect(err).toContain("unknown command 'tokn'");
    expect(err).toContain('Did you mean token?');
  });

  test('an unknown option, a missing argument and a wrong choice are exit code 2', async () => {
    for (const args of [['init', '--jsno'], ['token'], ['token', 'x', '--role', 'king'], ['init', 'a', 'b']]) {
      const { code, err, out } = await truespoke(args);
      expect([args, code]).toEqual([args, 2]);
      expect(err).toMatch(/^error: /);
      expect(out).toBe('');
    }
  });

  test('no command shows help and is exit code 2', async () => {
    const { code, err } = await truespoke([]);
    expect(code).toBe(2);
    expect(err).toContain('Usage: truespoke');
  });

  test('--help and --version go to stdout with exit code 0', async () => {
    const help = await truespoke(['--help']);
    expect([help.code, help.err]).toEqual([0, '']);
    expect(help.out).toContain('Exit codes:');
    expect((await truespoke(['--version'])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test('every command has a description, an example and shows the common options', async () => {
    const program = createProgram({ io: fakeIo().io, code: 0 });
    expect(program.commands.length).toBeGreaterThan(1);
    for (const command of program.commands) {
      const { code, out } = await truespoke([command.name(), '--help']);
      expect([command.name(), code]).toEqual([command.name(), 0]);
      expect(command.description()).not.toBe('');
      expect(out).toMatch(/Examples:\n(?: {2}# .*\n)? {2}\$ truespoke /);
      expect(out).toContain('--json');
    }
  });
});

describe('errors', () => {
  test('the kind of error decides the exit code', () => {
    const one = { code: 'x', message: 'm' };
    expect(exitCodeOf(new ConfigError(one))).toBe(2);
    expect(exitCodeOf(new Problems([{ message: 'm' }]))).toBe(2);
    expect(exitCodeOf(new Unreachable(one))).toBe(3);
    for (const error of [new Halt(one), new BadRecord(one), new Error('x'), 'text']) expect(exitCodeOf(error)).toBe(1);
  });

  test('an error is its place, its cause and the next step, without a stack', () => {
    const error = new ConfigError({
      code: 'x',
      message: 'the port is taken',
      hint: 'Choose another.',
      file: 'truespoke.yaml',
      line: 3,
      column: 9,
      spoke: 'shop',
    });
    expect(renderError(error, plain, false)).toBe(
      'error: truespoke.yaml:3:9 shop: the port is taken\n  next: Choose another.',
    );
    expect(renderError(error, plain, true)).toContain('program.test.ts');
    expect(errorView(error)).toMatchObject({ code: 'x', hint: 'Choose another.', place: { line: 3 } });
  });

  test('all problems are listed with file, line and column, and counted', () => {
    const error = new Problems([
      { message: 'unknown key', file: 'a.yaml', line: 1, column: 2, hint: "did you mean 'hub'?" },
      { message: 'no such field', file: 'b.yaml', line: 4, column: 1 },
    ]);
    expect(renderError(error, plain, false)).toBe(
      "a.yaml:1:2: unknown key\n    did you mean 'hub'?\nb.yaml:4:1: no such field\n2 problems",
    );
  });

  test('an unforeseen error says what to do and hides its stack', () => {
    const text = renderError(new TypeError('x is not a function'), plain, false);
    expect(text).toContain('--verbose');
    expect(text).not.toMatch(/\bat .*:\d+/);
  });

  test('colour only where a person watches and did not forbid it', () => {
    const coloured = (terminal: boolean, env: Record<string, string>): boolean =>
      paintFor(fakeIo({ terminal }).io.out, env).red('x') !== 'x';
    expect(coloured(true, {})).toBe(true);
    expect(coloured(false, {})).toBe(false);
    expect(coloured(true, { NO_COLOR: '1' })).toBe(false);
    expect(coloured(true, { TERM: 'dumb' })).toBe(false);
    expect(coloured(false, { FORCE_COLOR: '1' })).toBe(true);
  });
});

test('F120 what waits for a person says why and what ends it', () => {
  const paint = paintFor({ terminal: false } as never, {});
  expect(adviceFor([{ state: 'decided', policy: 'latest' }], paint)).toEqual([]);
  const review = adviceFor([{ state: 'open', policy: 'review' }], paint).join('\n');
  expect(review).toMatch(/next: truespoke conflicts resolve <id> hub \| spoke \| value/);
  expect(review).not.toContain('ping_pong');
  expect(adviceFor([{ state: 'open', policy: 'ping_pong' }], paint).join('\n')).toMatch(
    /ping_pong: this spoke and another one rewrote the field in turn[^]*next: truespoke conflicts resolve/,
  );
});
