// Of several writes of ours to one record that nobody answered, which one does the record show? Pure. A write that was looked for and not
// found may arrive after the next one was planned (F65); and an answer to the next one is forgotten where its worker dies before it is
// settled. That the last to write was us says then that one of them came, not which.
import type { SpokeMapping } from '../mapping/mapping.js';
import { sameRemote } from '../mapping/values.js';
import type { RemotePath, Version } from '../model/ids.js';
import type { Intent, Try } from '../model/intent.js';
import type { RemoteFields, RemoteRecord } from '../model/record.js';
import { judge, stillShown, type ReadBack } from './outcome.js';

/** What a read-back says, and of which of our writes it says so. `stood`: what each path showed when both sides last agreed. */
export interface Judged {
  readonly tried: Try;
  readonly verdict: ReadBack;
}

export function judgeTries(
  mapping: SpokeMapping,
  intent: Intent,
  found: RemoteRecord | null,
  before: Version,
  stood: RemoteFields,
): Judged {
  const newest: Judged = { tried: intent, verdict: judge(intent, found, before, stood) };
  const earlier = found === null || found.deleted ? [] : earlierOf(intent, found, before, stood);
  if (found === null || earlier.length === 0) return newest;
  // Whoever wrote last tells nothing here.
  const anonymous = { ...found, modifiedBySelf: null };
  const all = [intent, ...earlier].map((tried): Judged => ({ tried, verdict: judge(tried, anonymous, before, stood) }));
  const shown = all.find(({ verdict }) => verdict.kind === 'applied');
  if (shown !== undefined) return { tried: shown.tried, verdict: { kind: 'applied', record: found } };
  if (newest.verdict.kind === 'not_shown') return newest;
  // Made over by the spoke beyond recognition: taken for the oldest, what the hub holds is sent once more where that was wrong; taken for
  // the newest, it would never be.
  if (newest.verdict.kind === 'applied') return { tried: earlier.at(-1) ?? intent, verdict: newest.verdict };
  const changed = all.filter(({ verdict }) => verdict.kind === 'changed');
  const kept = ({ tried }: Judged): number => Object.keys(stillShown(mapping, tried, found, stood)).length;
  const most = changed.reduce<Judged | null>(
    (best, one) => (best !== null && kept(best) >= kept(one) ? best : one),
    null,
  );
  return most === null ? newest : { ...most, verdict: { kind: 'changed', record: found } };
}

/** Newest first: those of its kind (a create is over once its record is linked), if the record shows anything that is not agreed on. */
function earlierOf(intent: Intent, found: RemoteRecord, before: Version, stood: RemoteFields): readonly Try[] {
  if (intent.op !== 'create' && intent.op !== 'update') return [];
  const isOther = (path: RemotePath): boolean => {
    const [known, shown] = [stood[path], found.fields[path]];
    return known !== undefined && shown !== undefined && !sameRemote(known, shown);
  };
  const late = (intent.late ?? []).filter(({ op }) => op === intent.op).toReversed();
  return late.filter(({ op, fields }) => {
    const paths = Object.keys(fields) as RemotePath[];
    return op === 'create' || (found.version !== '' && found.version > before) || paths.some(isOther);
  });
}
