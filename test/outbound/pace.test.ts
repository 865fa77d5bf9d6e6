// When a batch may be claimed: bursts are waited out, single edits never.
import { beforeEach, expect, test } from 'vitest';
import { entityName } from '../../src/model/ids.js';
import { Pace } from '../../src/outbound/pace.js';
import type { Due } from '../../src/store/deliveries.js';

let nowMs = 0;
let pace: Pace;

const crowd = 1_000;
const due = (pending: number, first: string | null = 'at 0'): Due => ({
  entity: entityName('contact'),
  pending,
  first,
  unknown: false,
});

beforeEach(() => {
  nowMs = 0;
  pace = new Pace({ clock: { monotonic: () => nowMs }, writeBatch: 200, bulkWriteFrom: null, lanes: 5 });
});

test('fewer records than the lanes carry at once go out at once', () => {
  expect(pace.countMax).toBe(crowd);
  for (const pending of [1, 199, crowd - 1]) expect(pace.admits(due(pending))).toBe(true);
  expect(pace.againMs).toBeNull();
});

test('a crowd that is edited again and again is claimed when that ends', () => {
  for (let edit = 0; edit < 10; edit += 1, nowMs += 100) {
    expect(pace.admits(due(crowd, `at ${edit}`))).toBe(false);
    expect(pace.againMs).toBeLessThanOrEqual(150);
  }
  nowMs += 450;
  expect(pace.admits(due(crowd, 'at 9'))).toBe(false);
  nowMs += 100;
  expect(pace.admits(due(crowd, 'at 9'))).toBe(true);
  expect(pace.againMs).toBeNull();
});

test('a crowd whose edits never end is held for four seconds and then drained', () => {
  const admitted: number[] = [];
  for (let edit = 0; edit < 60; edit += 1, nowMs += 100)
    if (pace.admits(due(crowd, `at ${edit}`))) admitted.push(nowMs);
  expect(admitted[0]).toBe(4_000);
  expect(admitted).toHaveLength(20);
});

test('after a crowd has been drained, the next one is held anew', () => {
  expect(pace.admits(due(crowd, 'a'))).toBe(false);
  nowMs += 600;
  expect(pace.admits(due(crowd, 'a'))).toBe(true);
  expect(pace.admits(due(crowd, 'b'))).toBe(true);
  expect(pace.admits(due(10, 'c'))).toBe(true);
  expect(pace.admits(due(crowd, 'd'))).toBe(false);
});

test('where bulk work begins at more than the lanes carry, so many are counted', () => {
  pace = new Pace({ clock: { monotonic: () => nowMs }, writeBatch: 200, bulkWriteFrom: 2_000, lanes: 5 });
  expect(pace.countMax).toBe(2_000);
});
