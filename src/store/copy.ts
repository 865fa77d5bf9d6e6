// Owns the two fast ways of handing many values to Postgres: COPY, and text arrays that the driver need not build.
import { from as copyFrom } from 'pg-copy-streams';
import type { Tx } from './pool.js';

/** Sent in pieces: one string of a whole batch would be copied whole. */
const pieceLines = 2_000;

/** `statement`: `copy t (a, b) from stdin`. `lines`: text format with tab and newline. Rejects with the error of the first bad row. */
export async function copyLines(tx: Tx, statement: string, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  const pieces: string[] = [];
  for (let from = 0; from < lines.length; from += pieceLines)
    pieces.push(lines.slice(from, from + pieceLines).join(''));
  await copyPieces(tx, statement, pieces);
}

/** The same, each piece already some hundred lines. */
export async function copyPieces(tx: Tx, statement: string, pieces: readonly string[]): Promise<void> {
  const stream = copyFrom(statement);
  await new Promise<void>((resolve, reject) => {
    stream.on('finish', resolve);
    stream.on('error', reject);
    (tx as unknown as { query(stream: unknown): unknown }).query(stream);
    for (const piece of pieces) stream.write(piece);
    stream.end();
  });
}

const copySpecial = /[\\\n\r\t]/;
const copyEscapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** A value as COPY's text format wants it. */
export function copyText(value: string | null): string {
  if (value === null) return '\\N';
  return copySpecial.test(value) ? value.replace(/[\\\n\r\t]/g, (character) => copyEscapes[character] ?? '') : value;
}

const arraySpecial = /["\\]/;

/** A text[] literal: for `$1::text[]`. */
export function textArray(values: readonly (string | number | boolean | null)[]): string {
  const parts: string[] = new Array<string>(values.length);
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i];
    if (value === null || value === undefined) parts[i] = 'NULL';
    else if (typeof value !== 'string') parts[i] = String(value);
    else parts[i] = arraySpecial.test(value) ? `"${value.replace(/["\\]/g, '\\$&')}"` : `"${value}"`;
  }
  return `{${parts.join(',')}}`;
}

/**
 * A text[] literal of JSON texts: for `$1::text[]`. JSON has no control characters left, so quoting it once more as JSON escapes just what
 * an array does, at a quarter of the price (0.5 µs a text instead of 2).
 */
export function jsonArray(texts: readonly (string | null)[]): string {
  return `{${texts.map((text) => (text === null ? 'NULL' : JSON.stringify(text))).join(',')}}`;
}
