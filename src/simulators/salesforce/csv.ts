// Owns CSV as the bulk API writes and reads it: every cell quoted, '' for null on the way out; on the way in an empty cell means
// no change and #N/A means null.
import { parse } from 'csv-parse/sync';
import { ApiError } from './errors.js';
import type { FieldDef, Json } from './words.js';

export interface CsvFormat {
  readonly delimiter: string;
  readonly lineEnd: '\n' | '\r\n';
}

const delimiters: Readonly<Record<string, string>> = {
  COMMA: ',',
  TAB: '\t',
  SEMICOLON: ';',
  PIPE: '|',
  CARET: '^',
  BACKQUOTE: '`',
};

export function csvFormat(columnDelimiter: string, lineEnding: string): CsvFormat {
  const delimiter = delimiters[columnDelimiter];
  if (delimiter === undefined)
    throw new ApiError('INVALIDJOB', `Unable to parse Job: ${columnDelimiter} is not a column delimiter`);
  if (lineEnding !== 'LF' && lineEnding !== 'CRLF')
    throw new ApiError('INVALIDJOB', `Unable to parse Job: ${lineEnding} is not a line ending`);
  return { delimiter, lineEnd: lineEnding === 'LF' ? '\n' : '\r\n' };
}

export function csvLine(cells: readonly string[], format: CsvFormat): string {
  return cells.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(format.delimiter) + format.lineEnd;
}

/** A stored value as a bulk query shows it. */
export function csvCell(value: Json, field: FieldDef | null): string {
  if (value === null) return '';
  if (typeof value === 'string') return field?.type === 'datetime' ? value.replace('+0000', 'Z') : value;
  if (typeof value === 'number') {
    const fractional = field !== null && ['double', 'currency', 'percent'].includes(field.type);
    return fractional && Number.isInteger(value) ? `${String(value)}.0` : String(value);
  }
  return typeof value === 'boolean' ? String(value) : JSON.stringify(value);
}

export interface CsvTable {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Throws Error with the platform's words for a malformed upload. */
export function readCsv(text: string, format: CsvFormat): CsvTable {
  const firstLine = text.slice(0, text.indexOf('\n') + 1);
  if (format.lineEnd === '\n' && firstLine.endsWith('\r\n')) {
    throw new Error('InvalidBatch : LineEnding is invalid on user data. Current LineEnding setting is LF');
  }
  if (format.lineEnd === '\r\n' && firstLine !== '' && !firstLine.endsWith('\r\n')) {
    throw new Error('InvalidBatch : LineEnding is invalid on user data. Current LineEnding setting is CRLF');
  }
  try {
    const [header = [], ...rows] = parse(text, {
      bom: true,
      delimiter: format.delimiter,
      record_delimiter: format.lineEnd,
      skip_empty_lines: true,
    }) as string[][];
    return { header, rows };
  } catch (error) {
    throw new Error(`InvalidBatch : Failed to parse CSV. ${error instanceof Error ? error.message : ''}`, {
      cause: error,
    });
  }
}
