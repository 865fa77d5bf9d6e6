// Owns how progress reads: count, rate, time left; redrawn on a terminal, sparse elsewhere.
import { describe, expect, test } from 'vitest';
import { createProgress, progressLine } from '../../src/cli/progress.js';
import { bytesText, paintFor, renderTable, secondsText } from '../../src/cli/render.js';
import { fakeIo } from './support.js';

const paint = paintFor(fakeIo().io.err, {});

describe('progress', () => {
  test('a line tells count, rate and time left', () => {
    const task = { label: 'crm', done: 500, total: 1500, startedMs: 0, endedMs: null };
    expect(progressLine(task, 2000, 5, paint)).toBe(
      `crm    ${'█'.repeat(8)}${'░'.repeat(16)}  500 / 1,500  250/s  4.0 s left`,
    );
    expect(progressLine({ ...task, total: null }, 2000, 3, paint)).toBe('crm  500  250/s');
    expect(progressLine({ ...task, done: 0 }, 2000, 3, paint)).toContain('0/s  – left');
    expect(progressLine({ ...task, done: 1500, endedMs: 3000 }, 9000, 3, paint)).toBe('crm  done  1,500  500/s  3.0 s');
  });

  test('a terminal is redrawn in place; a pipe gets few plain lines', () => {
    let now = 0;
    const clock = { now: () => now, monotonic: () => now, sleep: () => Promise.resolve() };
    const feed = (terminal: boolean): string => {
      now = 0;
      const fake = fakeIo({ terminal, clock, env: { NO_COLOR: '1' } });
      const progress = createProgress(fake.io);
      for (; now < 4000; now += 100) progress.update('a', { label: 'a', done: now, total: 4000 });
      progress.end('a');
      progress.stop();
      return fake.err();
    };
    expect(feed(true)).toContain('\u001b[1A');
    const piped = feed(false).trimEnd().split('\n');
    expect(piped.length).toBeLessThanOrEqual(3);
    expect(piped.at(-1)).toContain('done');
    expect(piped.join('')).not.toContain('\u001b');
  });
});

describe('numbers', () => {
  test('bytes and seconds read well, and unknown is a dash', () => {
    expect([bytesText(0), bytesText(2048), bytesText(3 * 1024 ** 3), bytesText(null)]).toEqual([
      '0 B',
      '2.0 kB',
      '3.0 GB',
      '–',
    ]);
    expect([0.4, 42, 600, 7200, 864_000, null].map(secondsText)).toEqual([
      '0.4 s',
      '42 s',
      '10 min',
      '2.0 h',
      '10 days',
      '–',
    ]);
  });

  test('a table has no walls and no trailing blanks', () => {
    const text = renderTable(
      [{ head: 'spoke' }, { head: 'links', right: true }],
      [
        ['crm', '1'],
        ['shop-two', '20'],
      ],
      paint,
    );
    expect(text).toBe('spoke     links\ncrm           1\nshop-two     20');
  });
});
