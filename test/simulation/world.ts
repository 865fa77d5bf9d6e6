// Owns the world of a simulated run as data: three spokes that differ in everything, and the mappings that join them.
import type { MemoryConfigInput } from '../../src/connectors/memory/config.js';
import { parseMapping } from '../../src/mapping/load.js';
import type { Mapping } from '../../src/mapping/mapping.js';

const person = `
entity: person
fields:
  key: { type: text, match: case-insensitive }
  name: text
  note: { type: text, authority: alpha }
  mood: { type: text, authority: hub }
  remark: { type: text, policy: review }
  score: { type: integer, policy: max }
  low: { type: decimal, scale: 2, policy: min }
  labels: { type: list, policy: union }
  visits: { type: integer, policy: delta }
  origin: text
  boss: { ref: person }
spokes:
  alpha:
    object: Contact
    fields: { key: Key, name: Name, note: Note, mood: Mood, remark: Remark, score: Score, low: Low, labels: Labels, visits: Visits, origin: Origin, boss: Boss }
    delete: propagate
  beta:
    object: Client
    fields: { key: code, name: label, note: memo, mood: mood, remark: remark, score: points, low: floor, labels: tags, visits: visits, origin: { remote: source, direction: in }, boss: chief }
    delete: propagate
  gamma:
    object: Party
    fields: { key: k, name: n, note: t, mood: m, score: s, low: l, origin: { remote: o, direction: out } }
    delete: propagate
`;

const parcel = `
entity: parcel
fields:
  key: { type: text, match: exact }
  owner: { ref: person }
  status: text
spokes:
  alpha:
    object: Parcel
    fields: { key: Key, owner: Owner, status: Status }
    delete: archive
  beta:
    object: Shipment
    fields: { key: code, owner: client, status: state }
    delete: ignore
  gamma:
    object: Box
    fields: { key: k, status: s }
    delete: unlink
`;

const line = `
entity: line
fields:
  parcel: { ref: parcel, required: true }
  key: text
  label: text
spokes:
  alpha:
    object: Parcel.lines
    fields: { parcel: '@parent', key: Key, label: Label }
    delete: propagate
  beta:
    object: Row
    fields: { parcel: shipment, key: code, label: title }
    delete: propagate
`;

export const spokeNames = ['alpha', 'beta', 'gamma'] as const;
export type SpokeId = (typeof spokeNames)[number];
export const hubEntities = ['person', 'parcel', 'line'] as const;
export type EntityId = (typeof hubEntities)[number];

export const mapping: Mapping = parseMapping(
  [person, parcel, line].map((text, i) => ({ file: `world-${i}.yaml`, text })),
  { spokes: [...spokeNames] },
).mapping;

const number = { type: 'number' as const };

/** Strong: conditional, idempotent, counted versions, embedded children; trims. */
const alpha: MemoryConfigInput = {
  id: 'alpha',
  versions: 'counter',
  pageRows: 4,
  capabilities: { writeBatch: 5, fetchBatch: 4, findBatch: 3, lanes: 2, bulkScan: false },
  objects: {
    Contact: {
      idPrefix: 'c',
      fields: {
        Key: {},
        Name: { normalise: ['trim', 'collapseSpace'] },
        Note: { normalise: ['trim', 'emptyToNull'] },
        Mood: {},
        Remark: {},
        Score: number,
        Low: number,
        Labels: { type: 'list', normalise: ['sortTags'] },
        Visits: number,
        Origin: {},
        Boss: { type: 'id', references: 'Contact' },
      },
    },
    Parcel: {
      idPrefix: 'p',
      fields: { Key: {}, Owner: { type: 'id', references: 'Contact' }, Status: {} },
      children: { lines: { Key: {}, Label: { normalise: ['trim'] } } },
    },
  },
};

/** Middling: conditional, a fine clock that needs an overlap, does not tell who wrote; re-cases. */
const beta: MemoryConfigInput = {
  id: 'beta',
  versions: 'clock',
  overlapMs: 8_000,
  pageRows: 3,
  capabilities: {
    tellsAuthor: false,
    writeBatch: 4,
    fetchBatch: 5,
    findBatch: 4,
    lanes: 2,
    bulkScan: false,
  },
  objects: {
    Client: {
      idPrefix: 'k',
      fields: {
        code: { normalise: ['uppercase'] },
        label: { normalise: ['titleCase'] },
        memo: {},
        mood: { normalise: ['lowercase'] },
        remark: {},
        points: number,
        floor: { ...number, normalise: ['round:1'] },
        tags: { type: 'list' },
        visits: number,
        source: {},
        chief: { type: 'id', references: 'Client' },
      },
    },
    Shipment: {
      idPrefix: 's',
      fields: { code: {}, client: { type: 'id', references: 'Client' }, state: { normalise: ['uppercase'] } },
    },
    Row: {
      idPrefix: 'r',
      fields: { shipment: { type: 'id', references: 'Shipment', required: true }, code: {}, title: {} },
    },
  },
};

/** Weak: no idempotency, no conditional write, a coarse clock, no delete feed, no stream, no undelete; rounds and shouts. */
const gamma: MemoryConfigInput = {
  id: 'gamma',
  versions: 'clock',
  versionStepMs: 1_000,
  overlapMs: 8_000,
  pageRows: 3,
  capabilities: {
    conditionalWrite: false,
    idempotentCreate: false,
    stream: false,
    deleteFeed: false,
    undelete: false,
    returnsRecord: false,
    tellsAuthor: false,
    writeBatch: 3,
    fetchBatch: 3,
    findBatch: 2,
    lanes: 2,
    bulkScan: false,
  },
  objects: {
    Party: {
      idPrefix: 'g',
      recycleBin: false,
      fields: {
        k: {},
        n: { normalise: ['uppercase'] },
        t: {},
        m: {},
        s: number,
        l: { ...number, normalise: ['round:0'] },
        o: {},
      },
    },
    Box: { idPrefix: 'b', recycleBin: false, hubKey: false, fields: { k: {}, s: {} } },
  },
};

export const spokeConfigs: Readonly<Record<SpokeId, MemoryConfigInput>> = { alpha, beta, gamma };

export type Shape = 'text' | 'integer' | 'decimal' | 'list';

/** A name with this word in it is refused by a constraint of the hub's table. */
export const forbidden = 'forbidden';

/** Where the counter `visits` of a person stands. */
export const counterPaths = { alpha: 'Visits', beta: 'visits' } as const;

/** Where a deletion elsewhere changes nothing, and one there changes nothing elsewhere: `ignore` and `unlink`. */
export const keeps = (entity: EntityId, spoke: SpokeId): boolean => entity === 'parcel' && spoke !== 'alpha';

/** SQL: rows that are not archived. */
export const livesSql = (entity: EntityId): string => (entity === 'parcel' ? 'deleted_at is null' : 'true');

/** Which of an entity's fields somebody at `site` writes. */
export const writable = (entity: EntityId, site: 'hub' | SpokeId): readonly FollowedField[] =>
  followedEntities[entity].fields.filter(
    (one) => (one.only === undefined || one.only === site) && (site === 'hub' || one.paths[site] !== undefined),
  );

/** Fields whose values the model follows, with their shape and where each spoke shows them. */
export interface FollowedField {
  readonly field: string;
  readonly shape: Shape;
  readonly paths: Partial<Record<SpokeId, string>>;
  /** Only people there write it: elsewhere it is read only, by the mapping's direction. */
  readonly only?: SpokeId;
}

export interface FollowedEntity {
  readonly entity: EntityId;
  readonly keys: Partial<Record<SpokeId, { readonly object: string; readonly path: string; readonly child?: string }>>;
  readonly fields: readonly FollowedField[];
}

const followed = (field: string, shape: Shape, a?: string, b?: string, g?: string): FollowedField => ({
  field,
  shape,
  paths: {
    ...(a === undefined ? {} : { alpha: a }),
    ...(b === undefined ? {} : { beta: b }),
    ...(g === undefined ? {} : { gamma: g }),
  },
});

export const followedEntities: Readonly<Record<EntityId, FollowedEntity>> = {
  person: {
    entity: 'person',
    keys: {
      alpha: { object: 'Contact', path: 'Key' },
      beta: { object: 'Client', path: 'code' },
      gamma: { object: 'Party', path: 'k' },
    },
    fields: [
      followed('name', 'text', 'Name', 'label', 'n'),
      followed('note', 'text', 'Note', 'memo', 't'),
      followed('mood', 'text', 'Mood', 'mood', 'm'),
      followed('remark', 'text', 'Remark', 'remark'),
      followed('score', 'integer', 'Score', 'points', 's'),
      followed('low', 'decimal', 'Low', 'floor', 'l'),
      followed('labels', 'list', 'Labels', 'tags'),
      { ...followed('origin', 'text', 'Origin', 'source', 'o'), only: 'beta' },
    ],
  },
  parcel: {
    entity: 'parcel',
    keys: {
      alpha: { object: 'Parcel', path: 'Key' },
      beta: { object: 'Shipment', path: 'code' },
      gamma: { object: 'Box', path: 'k' },
    },
    fields: [followed('status', 'text', 'Status', 'state', 's')],
  },
  line: {
    entity: 'line',
    keys: { alpha: { object: 'Parcel', path: 'Key', child: 'lines' }, beta: { object: 'Row', path: 'code' } },
    fields: [followed('label', 'text', 'Label', 'title')],
  },
};
