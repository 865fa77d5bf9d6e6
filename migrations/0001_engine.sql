-- Engine state. Every state that matters is here: a process can die at any instruction and a fresh one goes on from Postgres alone.
-- No now() and no random defaults: times and ids come in as parameters, so that a simulated run is reproducible.

create schema if not exists hub;

-- Default for `id` of generated hub tables, for rows that applications insert. RFC 9562.
create function truespoke.uuid_v7() returns uuid language sql volatile parallel safe as $$
  select encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid()) placing substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
      52, 1), 53, 1), 'hex')::uuid
$$;

create table truespoke.spoke (
  name          text primary key,
  connector     text not null,
  identity      text,                       -- organisation or shop, pinned at first connect
  label         text,
  paused_at     timestamptz,
  paused_reason text,
  paused_hint   text,
  paused_by     text check (paused_by in ('engine', 'person'))
);

create table truespoke.link (
  spoke       text not null,
  entity      text not null,
  hub_id      text not null,
  external_id text not null,
  state       text not null check (state in ('live', 'tombstone')),
  base_hub    jsonb not null,               -- field -> hub value both sides agreed on
  base_remote jsonb not null,               -- field -> what the spoke showed for it
  version     text collate "C" not null,    -- newest remote version taken account of
  settled_at  timestamptz,                  -- when our last write to it was confirmed
  created_at  timestamptz not null,
  updated_at  timestamptz not null,
  primary key (spoke, entity, external_id)
) partition by list (spoke);
create unique index link_live_hub on truespoke.link (spoke, entity, hub_id) where state = 'live';
create index link_hub on truespoke.link (entity, hub_id);

-- One row a feed: an object of a spoke, and how far it was read.
create table truespoke.cursor (
  spoke         text not null,
  object        text not null,
  kind          text not null check (kind in ('scan', 'changes', 'inventory')),
  cursor        text,
  records       bigint not null default 0,
  total         bigint,
  started_at    timestamptz,
  finished_at   timestamptz,
  updated_at    timestamptz not null,
  primary key (spoke, object, kind)
);

create table truespoke.journal (
  at         timestamptz not null,          -- commit time in the hub
  epoch      integer not null,              -- of the slot
  commit_lsn pg_lsn not null,               -- end of the commit record
  seq        integer not null,              -- position in the source transaction
  entity     text not null,
  hub_id     text not null,
  op         text not null check (op in ('insert', 'update', 'delete', 'truncate')),
  origin     text not null,                 -- a spoke, or 'application'
  trace      text,
  before     jsonb,                         -- changed fields only
  after      jsonb,
  primary key (at, epoch, commit_lsn, seq)
) partition by range (at);
create index journal_record on truespoke.journal (entity, hub_id, at);

create table truespoke.position (
  slot              text primary key,
  epoch             integer not null,
  system_identifier text not null,
  timeline          integer not null,
  publication       text not null,
  publication_oid   bigint not null,
  memberships       text,
  durable_lsn       pg_lsn not null,        -- end of the last journaled commit
  updated_at        timestamptz not null
);

-- A dirty set, not a log: one row says that a hub record may differ from what a spoke shows.
create table truespoke.delivery (
  spoke       text not null,
  entity      text not null,
  hub_id      text not null,
  state       text not null check (state in ('pending', 'claimed', 'sent', 'unknown', 'held')),
  generation  bigint not null,              -- bumped by every newer edit
  lane        smallint not null,            -- 0 interactive, 1 repair, 2 backfill
  attempt     integer not null default 0,
  not_before  timestamptz,
  holder      bigint,                       -- worker that claimed it
  fence       bigint not null default 0,
  lease_until timestamptz,
  intent      jsonb,                        -- what was sent, kept until its outcome is known
  observed    jsonb,                        -- repair: what a fresh read showed instead of the base
  waits_for   text,                         -- entity/hub id that must exist at the spoke first
  reason      text,                         -- why it is not delivered yet
  dirty_at    timestamptz not null,         -- commit time of the newest edit
  lsn         pg_lsn,
  trace       text,
  primary key (spoke, entity, hub_id)
) with (fillfactor = 70);
create index delivery_due on truespoke.delivery (spoke, entity, lane, dirty_at, hub_id) where state = 'pending';
create index delivery_open on truespoke.delivery (spoke, lease_until) where state in ('claimed', 'sent', 'unknown');
create index delivery_waits on truespoke.delivery (spoke, waits_for) where waits_for is not null;

create sequence truespoke.fence;
create sequence truespoke.worker;

create table truespoke.parked (
  id         bigint generated always as identity primary key,
  direction  text not null check (direction in ('in', 'out')),
  spoke      text not null,
  entity     text not null,
  key        text not null,                 -- external id (in) or hub id (out)
  state      text not null check (state in ('open', 'waiting', 'replayed', 'resolved', 'discarded')),
  code       text not null,
  message    text not null,
  field      text,
  payload    jsonb,
  waits_for  text,                          -- entity/external id whose link this one needs
  deadline   timestamptz,
  attempts   integer not null default 1,
  first_at   timestamptz not null,
  last_at    timestamptz not null
);
create unique index parked_open on truespoke.parked (direction, spoke, entity, key) where state in ('open', 'waiting');
create index parked_waits on truespoke.parked (spoke, waits_for) where state = 'waiting';

create table truespoke.conflict (
  id           bigint generated always as identity primary key,
  at           timestamptz not null,
  entity       text not null,
  hub_id       text not null,
  field        text not null,
  spoke        text not null,
  base         text,
  hub_value    text,
  spoke_value  text,
  remote       jsonb,
  policy       text not null,
  winner       text not null check (winner in ('hub', 'spoke', 'both', 'open')),
  hub_at       timestamptz,
  spoke_at     timestamptz,
  trace        text,
  state        text not null check (state in ('decided', 'open', 'resolved')),
  decided_by   text,
  decided_at   timestamptz
);
create unique index conflict_once on truespoke.conflict (entity, hub_id, field, spoke, md5(coalesce(hub_value, '~') || '|' || coalesce(spoke_value, '~') || '|' || coalesce(base, '~')));
create index conflict_open on truespoke.conflict (entity, hub_id) where state = 'open';

create table truespoke.review (
  id          bigint generated always as identity primary key,
  kind        text not null,                -- ambiguous | duplicate | mass_delete | truncate | merged
  spoke       text,
  entity      text not null,
  key         text not null,
  evidence    jsonb not null,
  state       text not null check (state in ('open', 'decided')),
  decision    jsonb,
  opened_at   timestamptz not null,
  decided_at  timestamptz
);
create unique index review_open on truespoke.review (kind, coalesce(spoke, ''), entity, key) where state = 'open';

-- Verified webhooks and other hints. A row is work to do: fetch this record by id.
create table truespoke.inbox (
  id          bigint generated always as identity primary key,
  spoke       text not null,
  event_id    text not null,
  topic       text not null,
  object      text,
  external_id text,
  deleted     boolean not null default false,
  compliance  boolean not null default false,
  body        text,
  received_at timestamptz not null,
  not_before  timestamptz,
  done_at     timestamptz,
  unique (spoke, event_id)
);
create index inbox_due on truespoke.inbox (spoke, id) where done_at is null;

create table truespoke.reconcile_run (
  id          bigint generated always as identity primary key,
  spoke       text not null,
  entity      text not null,
  kind        text not null check (kind in ('hub', 'remote')),
  started_at  timestamptz not null,
  finished_at timestamptz,
  last_key    text,
  compared    bigint not null default 0,
  drifted     bigint not null default 0,
  repaired    bigint not null default 0
);

create table truespoke.drift (
  id          bigint generated always as identity primary key,
  run         bigint references truespoke.reconcile_run (id),
  spoke       text not null,
  entity      text not null,
  hub_id      text,
  external_id text,
  field       text,
  class       text not null,
  hub_value   text,
  base        jsonb,
  remote      jsonb,
  found_at    timestamptz not null,
  action      text not null,
  state       text not null check (state in ('open', 'repaired', 'explained')),
  repaired_at timestamptz
);
create unique index drift_open on truespoke.drift (spoke, entity, coalesce(hub_id, ''), coalesce(external_id, ''), coalesce(field, '')) where state = 'open';

create table truespoke.contract (
  spoke        text not null,
  object       text not null,
  described_at timestamptz not null,
  api_version  text not null,
  schema       jsonb not null,
  primary key (spoke, object)
);

create table truespoke.mapping_version (
  digest    text primary key,
  loaded_at timestamptz not null,
  entities  jsonb not null
);

create table truespoke.audit (
  id     bigint generated always as identity primary key,
  at     timestamptz not null,
  actor  text not null,
  action text not null,
  detail jsonb not null,
  prior  bytea,
  hash   bytea not null
);
