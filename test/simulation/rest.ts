// Owns further judgement at rest: the journal folded is the hub, conflicts were decided as their policies say, references agree, nothing
// was parked for a reason that is no fault of the record, and the reconciler finds nothing that a captured change should have brought.
import type { MemoryRemote } from '../../src/connectors/memory/remote.js';
import type { RemoteValue } from '../../src/model/record.js';
import { remotePath } from '../../src/model/ids.js';
import type { Queryable } from '../../src/store/pool.js';
import { keyOf, tokensOf, type Model } from './model.js';
import { promiseProblems } from './oracle-conflicts.js';
import { revivedProblems } from './oracle-revived.js';
import { followedEntities, forbidden, hubEntities, spokeNames, type EntityId, type SpokeId } from './world.js';

type Rows = readonly Record<string, string | null>[];

export interface RestPorts {
  readonly db: Queryable;
  readonly model: Model;
  readonly remotes: Readonly<Record<SpokeId, MemoryRemote>>;
}

export async function restProblems(ports: RestPorts): Promise<readonly string[]> {
  return [
    ...(await journalProblems(ports)),
    ...(await conflictProblems(ports)),
    ...(await promiseProblems(ports)),
    ...(await revivedProblems(ports)),
    ...(await referenceProblems(ports)),
    ...(await parkedProblems(ports)),
  ];
}

const read = async (db: Queryable, text: string, values: readonly unknown[] = []): Promise<Rows> =>
  (await db.query(text, [...values])).rows;

/** Every commit once, in order, with what it left behind: then the last word of each field is what the hub holds. */
async function journalProblems({ db }: RestPorts): Promise<readonly string[]> {
  const rows = await read(
    db,
    `select entity, hub_id, op, before::text as before, after::text as after from truespoke.journal where op <> 'truncate' order by epoch, commit_lsn, seq`,
  );
  const folded = new Map<string, Record<string, string | null>>();
  const problems: string[] = [];
  for (const row of rows) {
    const key = `${row['entity']}/${row['hub_id']}`;
    if (row['op'] === 'delete') {
      if (!folded.delete(key)) problems.push(`the journal deletes ${key}, which it never made`);
    } else {
      if (row['op'] === 'insert' && folded.has(key)) problems.push(`the journal makes ${key} twice`);
      folded.set(key, { ...folded.get(key), ...(JSON.parse(row['after'] ?? '{}') as Record<string, string | null>) });
    }
  }
  for (const entity of hubEntities) {
    const { fields } = followedEntities[entity];
    const columns = fields.map((one) => `${one.field}::text as ${one.field}`).join(', ');
    for (const row of await read(db, `select id::text as id, ${columns} from hub.${entity} order by id`)) {
      const said = folded.get(`${entity}/${row['id']}`);
      for (const { field } of fields)
        if ((said?.[field] ?? null) !== (row[field] ?? null))
          problems.push(
            `the journal says ${String(said?.[field])?.slice(0, 40)} of ${entity} ${row['id']} ${field}, the hub holds ${row[field]?.slice(0, 40)}`,
          );
    }
  }
  return problems;
}

/** Whose value must have won, by the mapping's policy alone; null: it says nothing of this field. */
function winnerOf(field: string, spoke: string, hub: string | null, shown: string | null): string | null {
  const greater = (a: string | null, b: string | null): boolean => Number(a ?? -Infinity) > Number(b ?? -Infinity);
  if (field === 'note') return spoke === 'alpha' ? 'spoke' : 'hub';
  if (field === 'mood') return 'hub';
  if (field === 'score') return greater(shown, hub) ? 'spoke' : 'hub';
  if (field === 'low') return greater(hub, shown) ? 'spoke' : 'hub';
  if (field === 'labels') return 'both';
  if (field === 'remark') return 'open';
  return null;
}

async function conflictProblems({ db, model }: RestPorts): Promise<readonly string[]> {
  const rows = await read(
    db,
    `select entity, hub_id, field, spoke, policy, winner, base, hub_value, spoke_value,
            (coalesce(spoke_at > hub_at, false))::text as spoke_is_later from truespoke.conflict
      where policy not in ('delete', 'repair', 'ping_pong')
            -- What was asked about a record that was merged away is past; both values stay in the log.
        and not (policy = 'review' and state = 'resolved'
                 and exists (select from truespoke.merge m where m.entity = conflict.entity and m.loser = conflict.hub_id))
      order by id`,
  );
  const problems: string[] = [];
  for (const row of rows) {
    const [field, spoke, winner] = [row['field'] ?? '', row['spoke'] ?? '', row['winner'] ?? ''];
    const [hub, shown] = [row['hub_value'] ?? null, row['spoke_value'] ?? null];
    const what = `${row['entity']} ${row['hub_id']}.${field} at ${spoke}: hub ${hub?.slice(0, 30)}, spoke ${shown?.slice(0, 30)}`;
    // Law 3, `latest`: the later of the two times that are kept beside the values; where one is not known, the hub's value stands.
    const latest = row['spoke_is_later'] === 'true' ? 'spoke' : 'hub';
    const wanted = row['policy'] === 'latest' ? latest : winnerOf(field, spoke, hub, shown);
    if (wanted !== null && wanted !== winner) problems.push(`decided for ${winner}, not ${wanted}: ${what}`);
    problems.push(...falseConflict(model, row, what));
  }
  return problems;
}

/** Both sides must have edited: a value that the engine itself brought to the spoke is no edit of the spoke. */
function falseConflict(model: Model, row: Record<string, string | null>, what: string): readonly string[] {
  const shape = followedEntities[row['entity'] as EntityId].fields.find((one) => one.field === row['field'])?.shape;
  if (shape === undefined || shape === 'list' || row['base'] === null) return [];
  const [token] = tokensOf(shape, row['spoke_value']);
  const edit = token === undefined ? undefined : model.edits.get(token);
  return edit === undefined || edit.site === row['spoke']
    ? []
    : [`our own w${token} was taken for an edit of the spoke: ${what}`];
}

const references: readonly {
  readonly entity: EntityId;
  readonly field: string;
  readonly target: EntityId;
  readonly paths: Partial<Record<SpokeId, string>>;
}[] = [
  { entity: 'person', field: 'boss', target: 'person', paths: { alpha: 'Boss', beta: 'chief' } },
  { entity: 'parcel', field: 'owner', target: 'person', paths: { alpha: 'Owner', beta: 'client' } },
];

async function referenceProblems({ db, remotes }: RestPorts): Promise<readonly string[]> {
  const questions = new Set<string>();
  for (const row of await read(
    db,
    `select key from truespoke.parked where state in ('open', 'waiting') union select key from truespoke.review where state = 'open' union select hub_id from truespoke.conflict where state = 'open'`,
  ))
    questions.add(row['key'] ?? '');
  const problems: string[] = [];
  for (const { entity, field, target, paths } of references) {
    const rows = await read(
      db,
      `select t.id::text as id, t.key, r.key as target from hub.${entity} t left join hub.${target} r on r.id = t.${field} order by t.id`,
    );
    for (const spoke of spokeNames) {
      const [path, place, targetPlace] = [
        paths[spoke],
        followedEntities[entity].keys[spoke],
        followedEntities[target].keys[spoke],
      ];
      if (path === undefined || place === undefined || targetPlace === undefined) continue;
      const shown = remotes[spoke].list(place.object);
      const keyAt = (id: RemoteValue | undefined): string | null => {
        const found = typeof id === 'string' ? remotes[spoke].get(targetPlace.object, id) : undefined;
        return keyOf(found?.fields[remotePath(targetPlace.path)]);
      };
      for (const row of rows) {
        const records = shown.filter((one) => keyOf(one.fields[remotePath(place.path)]) === keyOf(row['key']));
        const [record] = records;
        if (record === undefined || records.length > 1 || questions.has(row['id'] ?? '') || questions.has(record.id))
          continue;
        const [there, here] = [keyAt(record.fields[remotePath(path)]), keyOf(row['target'])];
        if (there !== here) problems.push(`${row['key']}.${field}: hub ${here}, ${spoke} ${there}`);
      }
    }
  }
  return problems;
}

async function parkedProblems({ db }: RestPorts): Promise<readonly string[]> {
  const rows = await read(
    db,
    `select direction, spoke, entity, key, code from truespoke.parked p
      where state in ('open', 'waiting')
        and (code in ('throttled', 'stale') or code = 'hub_refused_23514' and payload::text not ilike $1
             -- What the spoke shows can be taken in, or is parked itself (law 9).
             or code = 'changed_meanwhile' and not exists (
               select from truespoke.link l
                 join truespoke.parked i on i.spoke = l.spoke and i.entity = l.entity and i.key = l.external_id
                where l.spoke = p.spoke and l.entity = p.entity and l.hub_id = p.key
                  and i.direction = 'in' and i.state in ('open', 'waiting'))) order by id`,
    [`%${forbidden}%`],
  );
  return rows.map((row) => `parked for no fault of its own: ${Object.values(row).join(' ')}`);
}

/** Before anybody replays: a busy spoke is waited for, it is no question for a person. */
export async function parkedByThrottle(db: Queryable): Promise<readonly string[]> {
  const rows = await read(
    db,
    `select direction, spoke, entity, key from truespoke.parked where state = 'open' and code = 'throttled' order by id`,
  );
  return rows.map((row) => `parked because the spoke was busy: ${Object.values(row).join(' ')}`);
}

export async function lastRun(db: Queryable): Promise<string> {
  return (await read(db, `select coalesce(max(id), 0)::text as id from truespoke.reconcile_run`))[0]?.['id'] ?? '0';
}

/** Differences that only the reconciler found, though everything had come to rest: somebody forgot an edit. */
export async function driftSince(db: Queryable, run: string): Promise<readonly string[]> {
  const rows = await read(
    db,
    `select class, spoke, entity, coalesce(hub_id, external_id) as id, field from truespoke.drift
      where run > $1::bigint and not (class = 'missing_at_spoke' and spoke = 'gamma')
        -- A deletion that is not carried leaves a row that its spoke lacks.
        and not (class = 'not_created' and entity = 'parcel') order by id`,
    [run],
  );
  return rows.map((row) => `only the reconciler found it: ${Object.values(row).join(' ')}`);
}
