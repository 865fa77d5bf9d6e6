// Owns the questions that status asks. Counts and ages only, never a value of a record.
import type { SpokeName } from '../model/ids.js';
import type { Queryable } from './pool.js';

export interface SpokeCounts {
  readonly pending: number;
  readonly sent: number;
  readonly unknown: number;
  readonly held: number;
  readonly oldestDirtyAtMs: number | null;
  readonly links: number;
  readonly parkedOpen: number;
  readonly waiting: number;
  readonly conflictsOpen: number;
  readonly conflicts: number;
  readonly reviewsOpen: number;
  readonly driftOpen: number;
  readonly polledAtMs: number | null;
}

export async function countSpokes(db: Queryable): Promise<Map<SpokeName, SpokeCounts>> {
  const { rows } = await db.query(`
    select s.name,
           (select count(*) from truespoke.delivery d where d.spoke = s.name and d.state in ('pending', 'claimed')) as pending,
           (select count(*) from truespoke.delivery d where d.spoke = s.name and d.state = 'sent') as sent,
           (select count(*) from truespoke.delivery d where d.spoke = s.name and d.state = 'unknown') as unknown,
           (select count(*) from truespoke.delivery d where d.spoke = s.name and d.state = 'held') as held,
           (select min(dirty_at) from truespoke.delivery d where d.spoke = s.name) as oldest,
           (select count(*) from truespoke.link l where l.spoke = s.name and l.state = 'live') as links,
           (select count(*) from truespoke.parked p where p.spoke = s.name and p.state = 'open') as parked,
           (select count(*) from truespoke.parked p where p.spoke = s.name and p.state = 'waiting') as waiting,
           (select count(*) from truespoke.conflict c where c.spoke = s.name and c.state = 'open') as conflicts_open,
           (select count(*) from truespoke.conflict c where c.spoke = s.name) as conflicts,
           (select count(*) from truespoke.review r where r.spoke = s.name and r.state = 'open') as reviews,
           (select count(*) from truespoke.drift f where f.spoke = s.name and f.state = 'open') as drift,
           (select max(updated_at) from truespoke.cursor u where u.spoke = s.name and u.kind = 'changes') as polled
      from truespoke.spoke s order by s.name`);
  const ms = (text: string | null | undefined): number | null =>
    text === null || text === undefined ? null : Date.parse(text);
  return new Map(
    rows.map((row) => [
      row['name'] as SpokeName,
      {
        pending: Number(row['pending']),
        sent: Number(row['sent']),
        unknown: Number(row['unknown']),
        held: Number(row['held']),
        oldestDirtyAtMs: ms(row['oldest']),
        links: Number(row['links']),
        parkedOpen: Number(row['parked']),
        waiting: Number(row['waiting']),
        conflictsOpen: Number(row['conflicts_open']),
        conflicts: Number(row['conflicts']),
        reviewsOpen: Number(row['reviews']),
        driftOpen: Number(row['drift']),
        polledAtMs: ms(row['polled']),
      },
    ]),
  );
}
