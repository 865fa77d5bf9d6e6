-- The shared call budget of each spoke, and the small durable memory of connectors.

-- One row a spoke. Every process and both directions take from it; the remote's own answers correct it.
create table truespoke.quota (
  spoke              text primary key,
  remaining          double precision,          -- tokens left at updated_at; null = the remote has told no budget yet
  token_limit        double precision,
  restore_per_second double precision not null default 0 check (restore_per_second >= 0),
  reset_at           timestamptz,               -- when the whole budget comes back, where it does so at once
  reserve            double precision not null default 0 check (reserve >= 0 and reserve < 1),
  paused_at          timestamptz,
  paused_until       timestamptz,
  paused_reason      text,
  updated_at         timestamptz not null,
  check ((remaining is null) = (token_limit is null))
);

-- Rotated tokens, bulk work in flight. Values may be secrets: no role but the engine's may read this table.
create table truespoke.connector_state (
  spoke      text not null,
  key        text not null,
  value      text not null,
  updated_at timestamptz not null,
  primary key (spoke, key)
);
revoke all on truespoke.connector_state from public;
