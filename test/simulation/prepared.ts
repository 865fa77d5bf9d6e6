// Owns how a simulated run asks Postgres a prepared statement: as the driver does, without having its columns described each time. What
// they are never changes within a process, and hearing of them again was a tenth of what a run cost on either side of the socket.
import { createRequire } from 'node:module';
import type pg from 'pg';

const { prepareValue } = createRequire(import.meta.url)('pg/lib/utils') as {
  readonly prepareValue: (value: unknown) => unknown;
};

/** What the driver lets a query do with its connection. */
interface Wire {
  readonly stream: { cork(): void; uncork(): void };
  readonly parsedStatements: Record<string, string | undefined>;
  readonly submittedNamedStatements: Record<string, string | undefined>;
  parse(what: { text: string; name: string }): void;
  bind(what: { statement: string; values: readonly unknown[]; valueMapper: (value: unknown) => unknown }): void;
  describe(what: { type: 'P'; name: string }): void;
  execute(what: { portal: string }): void;
  sync(): void;
}

export interface Answer {
  readonly command: string;
  readonly rowCount: number;
  readonly rows: Record<string, string | null>[];
}

/** By text. */
const columnsOf = new Map<string, readonly string[]>();

/** Every name stands for one text. Values come back as text. */
export function askPrepared(
  client: pg.PoolClient,
  name: string,
  text: string,
  values: readonly unknown[],
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const query = new Prepared(name, text, values, (error, answer) => {
      if (error === null) resolve(answer);
      else {
        Error.captureStackTrace(error);
        reject(error);
      }
    });
    client.query(query as unknown as pg.Submittable);
  });
}

/** The driver's own interface of a query. */
class Prepared {
  private readonly rows: Record<string, string | null>[] = [];
  private columns: readonly string[] | undefined;
  private command = '';
  private rowCount = 0;

  constructor(
    readonly name: string,
    readonly text: string,
    private readonly values: readonly unknown[],
    public callback: (error: Error | null, answer: Answer) => void,
  ) {
    this.columns = columnsOf.get(text);
  }

  submit(wire: Wire): Error | null {
    const { name, text, values } = this;
    const known = wire.parsedStatements[name] ?? wire.submittedNamedStatements[name];
    if (known !== undefined && known !== text) return new Error(`two statements are named ${name}`);
    wire.stream.cork();
    try {
      if (known === undefined) {
        wire.parse({ text, name });
        wire.submittedNamedStatements[name] = text;
      }
      wire.bind({ statement: name, values, valueMapper: prepareValue });
      if (this.columns === undefined) wire.describe({ type: 'P', name: '' });
      wire.execute({ portal: '' });
      wire.sync();
    } finally {
      wire.stream.uncork();
    }
    return null;
  }

  handleRowDescription({ fields }: { readonly fields: readonly { readonly name: string }[] }): void {
    this.columns = fields.map((field) => field.name);
  }

  handleDataRow({ fields }: { readonly fields: readonly (string | null)[] }): void {
    const { columns = [] } = this;
    const row: Record<string, string | null> = {};
    for (let i = 0; i < columns.length; i += 1) row[columns[i] ?? ''] = fields[i] ?? null;
    this.rows.push(row);
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    // Without a description it gives no rows.
    columnsOf.set(this.text, this.columns ?? []);
    const [command = '', ...numbers] = text.split(' ');
    this.command = command;
    this.rowCount = Number(numbers.at(-1)) || 0;
  }

  handleReadyForQuery(): void {
    const { command, rowCount, rows } = this;
    this.callback(null, { command, rowCount, rows });
  }

  handleError(error: Error): void {
    this.callback(error, { command: '', rowCount: 0, rows: [] });
  }

  handleEmptyQuery(): void {
    this.command = '';
  }

  handlePortalSuspended(): void {
    throw new Error('every row is asked for at once');
  }
}
