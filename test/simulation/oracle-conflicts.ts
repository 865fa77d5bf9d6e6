// Owns what a logged conflict promises beside its winner: what was combined is in place, what a person was asked about is left alone until
// the answer, and only damage is repaired. The log keeps both values in each case, so that no edit looks lost; here the log is no excuse.
import { remotePath } from '../../src/model/ids.js';
import type { RemoteFields } from '../../src/model/record.js';
import type { LedgerEntry } from '../../src/connectors/memory/remote.js';
import { keyOf, tokensOf } from './model.js';
import type { RestPorts } from './rest.js';
import { followedEntities, type EntityId, type FollowedField, type SpokeId } from './world.js';

interface Kept {
  readonly entity: EntityId;
  readonly hubId: string;
  readonly field: FollowedField;
  readonly spoke: SpokeId;
  readonly policy: string;
  readonly winner: string;
  readonly state: string;
  readonly hub: readonly number[];
  readonly shown: readonly number[];
}

export async function promiseProblems(ports: RestPorts): Promise<readonly string[]> {
  const kept = await keptOf(ports);
  return [...(await combined(ports, kept)), ...askedAbout(ports, kept), ...repaired(ports, kept)];
}

async function keptOf({ db }: RestPorts): Promise<readonly Kept[]> {
  const { rows } = await db.query(
    `select entity, hub_id, field, spoke, policy, winner, state, hub_value, spoke_value from truespoke.conflict order by id`,
  );
  return rows.flatMap((row): Kept[] => {
    const entity = row['entity'] as EntityId;
    const field = followedEntities[entity].fields.find((one) => one.field === row['field']);
    if (field === undefined) return [];
    const [hub, shown] = [tokensOf(field.shape, row['hub_value']), tokensOf(field.shape, row['spoke_value'])];
    const [policy, winner, state] = [row['policy'] ?? '', row['winner'] ?? '', row['state'] ?? ''];
    return [
      { entity, hubId: row['hub_id'] ?? '', field, spoke: row['spoke'] as SpokeId, policy, winner, state, hub, shown },
    ];
  });
}

/** Law 3, `union`: both edits are kept. Nobody takes an entry out of a list. */
async function combined({ db, model }: RestPorts, kept: readonly Kept[]): Promise<readonly string[]> {
  const { rows } = await db.query(`select id::text as id, key, labels::text as labels from hub.person order by id`);
  const people = new Map(rows.map((row) => [row['id'] ?? '', row]));
  return kept.flatMap(({ entity, hubId, field, policy, winner, hub, shown }) => {
    const row = entity === 'person' ? people.get(hubId) : undefined;
    const key = keyOf(row?.['key'] ?? null);
    if (policy !== 'union' || winner !== 'both' || row === undefined || key === null) return [];
    if (model.isDestroyed(key) || model.merged.has(key)) return [];
    const here = tokensOf(field.shape, row['labels']);
    const gone = [...hub, ...shown].filter((token) => !here.includes(token));
    return gone.length === 0 ? [] : [`${key}.${field.field}: w${gone.join(',')} was combined and is gone`];
  });
}

/** Law 3, `review`: while nobody has answered, nothing of ours goes over what the spoke showed. */
function askedAbout({ model, remotes }: RestPorts, kept: readonly Kept[]): readonly string[] {
  return kept.flatMap(({ entity, field, spoke, policy, state, shown }) => {
    const [token] = shown;
    const path = field.paths[spoke];
    if (policy !== 'review' || state !== 'open' || token === undefined || path === undefined) return [];
    const key = model.edits.get(token)?.key ?? '';
    if (model.merged.has(key)) return [];
    const over = ledgerOf(remotes, spoke, entity).find(
      (entry) =>
        entry.by === 'self' &&
        entry.op === 'update' &&
        shows(field, entry.before, path, token) &&
        !shows(field, entry.after, path, token),
    );
    return over === undefined
      ? []
      : [`${spoke}: we wrote over w${token} of ${key}.${field.field}, which a person is asked about`];
  });
}

/** The reconciler repairs what no edit explains. Only a stamp that covers two edits hides one from it (law 4). */
function repaired({ model, remotes }: RestPorts, kept: readonly Kept[]): readonly string[] {
  return kept.flatMap(({ entity, field, spoke, policy, shown }) => {
    const [token] = shown;
    const path = field.paths[spoke];
    if (policy !== 'repair' || token === undefined || path === undefined) return [];
    const entries = ledgerOf(remotes, spoke, entity);
    const made = entries.find(
      (entry) => shows(field, entry.after, path, token) && !shows(field, entry.before, path, token),
    );
    const { config } = remotes[spoke];
    const stampOf = ({ atMs }: LedgerEntry): number => Math.floor(atMs / config.versionStepMs);
    const isCovered =
      made !== undefined &&
      config.versions === 'clock' &&
      entries.some((entry) => entry !== made && entry.id === made.id && stampOf(entry) === stampOf(made));
    const key = model.edits.get(token)?.key ?? '';
    return isCovered ? [] : [`${spoke}: w${token} of ${key}.${field.field} was repaired as damage, and it was an edit`];
  });
}

function ledgerOf(remotes: RestPorts['remotes'], spoke: SpokeId, entity: EntityId): readonly LedgerEntry[] {
  const place = followedEntities[entity].keys[spoke];
  if (place === undefined || place.child !== undefined) return [];
  return remotes[spoke].ledger.filter(({ object }) => object === place.object);
}

const shows = ({ shape }: FollowedField, fields: RemoteFields | null, path: string, token: number): boolean =>
  tokensOf(shape, fields?.[remotePath(path)]).includes(token);
