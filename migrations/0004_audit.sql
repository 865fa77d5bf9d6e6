-- What people ordered, and how far the journal had come in hub time.

-- Append-only: not even the engine changes what was written. Each row carries the hash of the one before it, so that a row which a
-- superuser removed or changed shows.
create function truespoke.audit_stands() returns trigger language plpgsql as $$
begin
  raise exception 'truespoke.audit is append-only' using errcode = 'restrict_violation';
end
$$;
create trigger audit_stands before update or delete on truespoke.audit for each row execute function truespoke.audit_stands();
create trigger audit_stands_whole before truncate on truespoke.audit for each statement execute function truespoke.audit_stands();

-- Every commit of the hub before this time is journaled; null in a hub that no engine has read since.
alter table truespoke.position add column current_at timestamptz;
