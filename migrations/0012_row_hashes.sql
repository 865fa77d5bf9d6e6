-- A hash of the hub row's mapped columns, of when they were all equal to the base: the local comparison then reads a number a link instead
-- of a base. Null = not known, the columns themselves are compared. Whatever moves a base makes it unknown, unless it brings a new one.
alter table truespoke.link add column hub_hash bigint;

create function truespoke.forget_hash() returns trigger language plpgsql as $$
begin
  new.hub_hash := null;
  return new;
end $$;
create trigger link_base_moved before update on truespoke.link for each row
  when (new.hub_hash is not distinct from old.hub_hash and old.hub_hash is not null
        and (new.base_hub is distinct from old.base_hub or new.hub_id is distinct from old.hub_id))
  execute function truespoke.forget_hash();
