// The shop's configuration: defaults, and every problem at once with its place.
import { expect, test } from 'vitest';
import { Problems } from '../../src/base/errors.js';
import { parseConfig } from '../../src/connectors/shopify/config.js';

const place = (path: readonly (string | number)[]) => ({ file: 'truespoke.yaml', line: path.length });

function problemsOf(raw: unknown): readonly string[] {
  try {
    parseConfig(raw, place);
  } catch (error) {
    if (error instanceof Problems) return error.problems.map((problem) => problem.message);
    throw error;
  }
  return [];
}

test('two lines are enough', () => {
  expect(parseConfig({ shop: 'Acme.myshopify.com', accessToken: 'shpat_1' }, place)).toEqual({
    shop: 'acme.myshopify.com',
    apiVersion: '2026-10',
    accessToken: 'shpat_1',
    hubKey: { namespace: 'truespoke', key: 'hub_id' },
    lagSeconds: 2,
    overlapSeconds: 120,
    deadlineSeconds: 30,
  });
});

test('every problem is told at once, with its place', () => {
  const raw = {
    shop: 'https://acme.com',
    apiVersion: '2025-01',
    webhookSecrets: [],
    lagSeconds: -1,
    colour: 'red',
    hubKey: { key: 'a" }' },
  };
  const found = problemsOf(raw);
  for (const word of ['shop:', 'apiVersion', 'accessToken', 'webhookSecrets', 'lagSeconds', '"colour"', 'hubKey.key']) {
    expect(found.filter((message) => message.includes(word))).toHaveLength(1);
  }
});

test.each([
  ['http://shop.example.com', 1],
  ['http://10.0.0.1', 1],
  ['http://127.0.0.1:4000', 0],
  ['http://localhost:4000', 0],
  ['https://proxy.example.com', 0],
  ['ftp://127.0.0.1', 1],
])('the access token travels in plain text on loopback only: %s', (apiUrl, problems) => {
  expect(problemsOf({ shop: 'acme.myshopify.com', accessToken: 'x', apiUrl })).toHaveLength(problems);
});

test('F130 a secret is in no message', () => {
  const raw = {
    shop: 'x',
    accessToken: 7,
    webhookSecrets: ['CANARY-1', 'CANARY-2', 'CANARY-3'],
    apiUrl: 'http://user:CANARY-4@example.com',
  };
  expect(problemsOf(raw).join('\n')).not.toContain('CANARY');
});
