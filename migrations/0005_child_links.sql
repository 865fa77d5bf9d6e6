-- Which hub record embeds the child that a link stands for: a child that its parent's list lacks can then be found by its link, after its
-- own row is gone.
alter table truespoke.link add column parent_id text;
create index link_parent on truespoke.link (spoke, entity, parent_id) where parent_id is not null;
