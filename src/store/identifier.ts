// Owns quoting of SQL names and literals, for statements that cannot take parameters (DDL, replication commands).

/** `"name"` with quotes doubled. Throws on NUL and on an empty name. */
export function quoteName(name: string): string {
  if (name === '' || name.includes('\0')) throw new RangeError(`not a name for SQL: ${JSON.stringify(name)}`);
  return `"${name.replaceAll('"', '""')}"`;
}

/** `"schema"."table"`. */
export function quoteTable(table: { readonly schema: string; readonly table: string }): string {
  return `${quoteName(table.schema)}.${quoteName(table.table)}`;
}

/** A string literal, safe whatever standard_conforming_strings says. */
export function quoteText(text: string): string {
  if (text.includes('\0')) throw new RangeError('a NUL byte cannot stand in SQL');
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}
