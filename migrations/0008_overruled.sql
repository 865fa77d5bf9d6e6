-- What a spoke showed when its edit lost against the hub: remembered with the link until the hub's value is there, so that reading it
-- again is no news, and the hub's value goes out even if it returns to what both sides had agreed on before.
alter table truespoke.link add column overruled jsonb;
