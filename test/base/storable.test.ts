import { expect, test } from 'vitest';
import { storableJson } from '../../src/base/storable.js';

test('F107 F108 what jsonb refuses is replaced; everything else stays as it is', () => {
  expect(storableJson({ a: 'x\u0000y', 'k\ud800': ['\udc00', 1, null], ok: '😀 \\u0000' })).toBe(
    JSON.stringify({ a: 'x\ufffdy', 'k\ufffd': ['\ufffd', 1, null], ok: '😀 \\u0000' }),
  );
  expect(storableJson({ plain: 'text', deep: [{ a: 1 }] })).toBe('{"plain":"text","deep":[{"a":1}]}');
});
