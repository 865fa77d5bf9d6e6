-- Held deletions are few and looked for often: one whose row comes back is void.
create index delivery_held on truespoke.delivery (entity, hub_id) where state = 'held';
