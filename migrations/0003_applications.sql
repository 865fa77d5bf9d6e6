-- What applications can ask: where does a record stand at each spoke, and is my edit there yet?

-- One row per hub record and spoke: in place | pending | unknown | held | parked | conflicting | gone, with the reason.
create view truespoke.record_state as
select k.entity, k.hub_id, k.spoke, l.external_id,
       case
         when p.id is not null then 'parked'
         when c.fields is not null then 'conflicting'
         when d.state = 'held' then 'held'
         when d.state = 'unknown' then 'unknown'
         when d.hub_id is not null then 'pending'
         when l.state = 'tombstone' then 'gone'
         else 'in place'
       end as state,
       coalesce(p.code || ': ' || p.message, 'undecided: ' || c.fields, d.reason) as reason,
       d.dirty_at as since,
       l.updated_at as agreed_at
  from (select entity, hub_id, spoke from truespoke.link
        union select entity, hub_id, spoke from truespoke.delivery
        union select entity, key, spoke from truespoke.parked where direction = 'out' and state = 'open') k
  left join lateral (
    select external_id, state, updated_at from truespoke.link t
     where t.spoke = k.spoke and t.entity = k.entity and t.hub_id = k.hub_id
     order by t.state = 'live' desc, t.updated_at desc limit 1) l on true
  left join truespoke.delivery d on d.spoke = k.spoke and d.entity = k.entity and d.hub_id = k.hub_id
  left join truespoke.parked p on p.direction = 'out' and p.spoke = k.spoke and p.entity = k.entity and p.key = k.hub_id
        and p.state = 'open'
  left join lateral (
    select string_agg(f.field, ', ' order by f.field) as fields from truespoke.conflict f
     where f.entity = k.entity and f.hub_id = k.hub_id and f.spoke = k.spoke and f.state = 'open') c on true;

-- Waits, after the caller's commit, until every edit of the record that was committed before this call is in place at the spokes
-- (all of them when null), or is known not to get there by itself, or the time is up. Returns where it stands; never fails
-- on a timeout: the state then says 'pending'.
--   select * from truespoke.await_delivery('customer', $id, array['salesforce'], interval '5 seconds');
create function truespoke.await_delivery(entity text, id text, spokes text[] default null, timeout interval default '10 seconds')
returns table (spoke text, state text, reason text) language plpgsql volatile as $$
declare
  deadline timestamptz := clock_timestamp() + timeout;
  mark pg_lsn;
  captured boolean := false;
begin
  -- A mark in the stream: when capture has passed it, everything committed before it has its deliveries.
  mark := pg_logical_emit_message(false, 'truespoke', 'await');
  loop
    if not captured then
      select coalesce(bool_or(p.durable_lsn >= mark), false) into captured from truespoke.position p;
    end if;
    exit when captured and not exists (
      select 1 from truespoke.delivery d
       where d.entity = await_delivery.entity and d.hub_id = await_delivery.id and d.state <> 'held'
         and (await_delivery.spokes is null or d.spoke = any (await_delivery.spokes)));
    exit when clock_timestamp() >= deadline;
    perform pg_sleep(0.01);
  end loop;
  return query
    select s.spoke, case when not captured and s.state = 'in place' then 'pending' else s.state end, s.reason
      from truespoke.record_state s
     where s.entity = await_delivery.entity and s.hub_id = await_delivery.id
       and (await_delivery.spokes is null or s.spoke = any (await_delivery.spokes))
     order by s.spoke;
end $$;
