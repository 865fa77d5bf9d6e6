// Owns `truespoke sql`: a look at the hub, or an edit, as an application would make it: for machines without a Postgres client. Shows what
// was asked for, values included.
import type { Command } from 'commander';
import { ConfigError, type ExitCode } from '../base/errors.js';
import type { Answered } from '../store/statement.js';
import { examples, print, type Common, type Frame } from './command.js';
import type { Io } from './io.js';
import { countText, renderTable, type Paint } from './render.js';

export interface SqlOptions extends Common {
  readonly url?: boolean;
}

export async function execute(statement: string | undefined, options: SqlOptions, io: Io): Promise<ExitCode> {
  if ((statement === undefined) !== (options.url === true)) {
    const hint = `truespoke sql "select * from hub.…", or truespoke sql --url for your own client`;
    throw new ConfigError({ code: 'nothing_named', message: 'which statement?', hint });
  }
  const [{ loadProject }, { withHub }, { runStatement }, { sqlState }] = await Promise.all([
    import('./project.js'),
    import('./hub.js'),
    import('../store/statement.js'),
    import('../store/pool.js'),
  ]);
  const { config } = await loadProject(options, io);
  return withHub<ExitCode>(config, io, 'sql', async ({ pool, url, embedded }) => {
    if (statement === undefined) {
      if (!embedded) {
        const hint = 'it stands where hub.url refers to; use it with any client';
        throw new ConfigError({
          code: 'own_hub',
          message: 'the address of your own hub is not shown: it is a secret',
          hint,
        });
      }
      print(io, options, { url }, () => url);
      return 0;
    }
    try {
      const answered = await runStatement(pool, statement);
      print(io, options, answered, (paint, width) => answerText(answered, paint, width));
      return 0;
    } catch (cause) {
      if (sqlState(cause) === undefined) throw cause;
      const { message, hint, routine } = cause as Error & { readonly hint?: string; readonly routine?: string };
      throw new ConfigError({
        code: 'statement_refused',
        message: `Postgres refuses it: ${message}`,
        hint: hint ?? (isSeveral(sqlState(cause), routine) ? several : 'Correct the statement.'),
        cause,
      });
    }
  });
}

/** Postgres says it in its own language (lc_messages); the place in its source that refuses is always the same. A plain mistake comes from the grammar. */
const isSeveral = (state: string | undefined, routine: string | undefined): boolean =>
  state === '42601' && routine === 'exec_parse_message';
const several = 'One statement a call; `truespoke sql --url` is for a client of your own.';

/** Control characters are shown as what they are: a value must not draw on the terminal. */
const cellText = (value: string | null, paint: Paint): string =>
  value === null ? paint.dim('null') : JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"');

function answerText({ command, rowCount, columns, rows }: Answered, paint: Paint, width: number): string {
  const count = `${command ?? 'done'} ${countText(rowCount ?? 0)}`;
  if (columns.length === 0) return count;
  const cells = rows.map((row) => columns.map((name) => cellText(row[name] ?? null, paint)));
  return `${renderTable(
    columns.map((head) => ({ head })),
    cells,
    paint,
    width,
  )}\n${paint.dim(count)}`;
}

export function register(program: Command, frame: Frame): void {
  program
    .command('sql [statement]')
    .description('run one SQL statement on the hub, as any application would')
    .option('--url', "print the embedded hub's address, with its password")
    .addHelpText(
      'after',
      examples([
        ['truespoke sql "select * from hub.…"', 'look'],
        ['truespoke sql "update hub.… set …"', 'an edit like any other'],
        ['psql "$(truespoke sql --url)"', 'with a client of your own, while `run` runs'],
      ]),
    )
    .action(async (statement: string | undefined, _options: unknown, command: Command) => {
      frame.code = await execute(statement, command.optsWithGlobals<SqlOptions>(), frame.io);
    });
}
