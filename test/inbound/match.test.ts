// To which hub record an unlinked remote record belongs.
import { describe, expect, test } from 'vitest';
import { match } from '../../src/inbound/match.js';
import { externalId, hubId } from '../../src/model/ids.js';

const self = externalId('c-1');
const [ann, bob] = [hubId('ann'), hubId('bob')];

describe('match', () => {
  test('a candidate that is linked to this very record is no duplicate: its link was committed while we looked', () => {
    expect(match(self, [{ hubId: ann, linkedTo: self }])).toEqual({ kind: 'raced' });
    expect(
      match(self, [
        { hubId: bob, linkedTo: null },
        { hubId: ann, linkedTo: self },
      ]),
    ).toEqual({ kind: 'raced' });
  });

  test('none is new, a free one is it, several are never guessed at, one that is taken is a duplicate', () => {
    const taken = { hubId: ann, linkedTo: externalId('c-2') };
    expect(match(self, [])).toEqual({ kind: 'new' });
    expect(match(self, [{ hubId: ann, linkedTo: null }])).toEqual({ kind: 'one', hubId: ann });
    expect(match(self, [{ hubId: bob, linkedTo: null }, taken]).kind).toBe('ambiguous');
    expect(match(self, [taken])).toEqual({ kind: 'duplicate', of: taken });
  });
});
