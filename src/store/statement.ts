// Owns running a statement that a person typed, as any application of the hub would: no provenance, no rights beyond those of the role.
import type { Cell, Queryable, Statement } from './pool.js';

export interface Answered {
  /** e.g. `UPDATE`; null where Postgres told none. */
  readonly command: string | null;
  readonly rowCount: number | null;
  readonly columns: readonly string[];
  readonly rows: readonly Readonly<Record<string, Cell>>[];
}

/** Several statements are refused: the answer of each but the last would be lost. */
export async function runStatement(db: Queryable, text: string): Promise<Answered> {
  // The extended protocol takes one statement only.
  const extended: Statement & { readonly queryMode: 'extended' } = { text, queryMode: 'extended' };
  const result = (await db.query(extended)) as Awaited<ReturnType<Queryable['query']>> & {
    readonly command?: string;
    readonly fields?: readonly { readonly name: string }[];
  };
  return {
    command: result.command ?? null,
    rowCount: result.rowCount,
    columns: result.fields?.map(({ name }) => name) ?? [],
    rows: result.rows as readonly Readonly<Record<string, Cell>>[],
  };
}
