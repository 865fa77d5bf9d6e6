-- Records of which a spoke did not show everything are few, and asked for again and again (F78).
create index link_unseen on truespoke.link (spoke, entity, external_id) where unseen is not null;
