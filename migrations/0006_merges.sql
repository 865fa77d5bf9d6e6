-- Two hub records found to be one: what was done, kept whole, so that it can be undone.
-- A link in state 'merged' is of a record that stands for a merged-away hub record: nothing is read from it, nothing written to it.
alter table truespoke.link drop constraint link_state_check;
alter table truespoke.link add constraint link_state_check check (state in ('live', 'tombstone', 'merged'));

create table truespoke.merge (
  id        bigint generated always as identity primary key,
  at        timestamptz not null,
  entity    text not null,
  survivor  text not null,
  loser     text not null,
  actor     text not null,
  loser_row jsonb not null,                 -- field -> value
  filled    jsonb not null,                 -- fields the survivor took from the loser
  moved     jsonb not null,                 -- [spoke, external id] of links that moved to the survivor
  merged    jsonb not null,                 -- [spoke, external id] of links that the survivor had one of already
  repointed jsonb not null,                 -- [entity, field, hub id] of references
  undone_at timestamptz
);
