// Owns which names may become tables and columns: none that would need quotes in SQL, none that the engine uses itself.

// PostgreSQL 18, catcode R (reserved) and T (reserved, can be function or type), plus the words every SQL client stumbles over.
const reserved = new Set(
  `all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation column
  concurrently constraint create cross current_catalog current_date current_role current_schema current_time current_timestamp
  current_user default deferrable desc distinct do else end except false fetch for foreign freeze from full grant group having ilike
  in initially inner intersect into is isnull join lateral leading left like limit localtime localtimestamp natural not notnull null
  offset on only or order outer overlaps placing primary references returning right select session_user similar some symmetric
  system_user table tablesample then to trailing true union unique user using variadic verbose when where window with`.split(
    /\s+/,
  ),
);
const systemColumns = new Set(['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid']);

/** Why `name` cannot be a table or column of ours, or null when it can. */
export function nameProblem(name: string, what: 'entity' | 'field'): { message: string; hint: string } | null {
  if (reserved.has(name)) {
    return {
      message: `'${name}' is a reserved word of SQL and would need quotes`,
      hint: `call the ${what} something like '${suggestion(name)}'`,
    };
  }
  if (what === 'field' && (name === 'id' || name === 'deleted_at')) {
    return {
      message: `the field '${name}' belongs to the engine: every hub table has its own`,
      hint: `call it '${name === 'id' ? 'number' : 'removed_at'}'`,
    };
  }
  if (what === 'field' && systemColumns.has(name)) {
    return { message: `'${name}' is a system column of Postgres`, hint: `call the field '${name}_value'` };
  }
  return null;
}

function suggestion(name: string): string {
  const known: Readonly<Record<string, string>> = { order: 'purchase', user: 'member', group: 'member_group' };
  return known[name] ?? `${name}_value`;
}

/** An identifier as SQL wants it, from the catalogue or a checked mapping: quotes doubled, always quoted when not plain. */
export function quoteName(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) && !reserved.has(name) ? name : `"${name.replace(/"/g, '""')}"`;
}

export function quoteQualified(schema: string, name: string): string {
  return `${quoteName(schema)}.${quoteName(name)}`;
}
