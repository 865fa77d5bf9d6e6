// Owns `truespoke review`: what waits for a person's decision. Held deletions leave only through here (F51, F106). Shows ids and counts,
// never a record's values.
import type { Command } from 'commander';
import { ConfigError, type ExitCode } from '../base/errors.js';
import type { OpenReview } from '../store/reviews.js';
import { actor, examples, print, type Common, type Frame } from './command.js';
import type { Io } from './io.js';
import { wholeNumber } from './parked.js';
import { countText, renderTable, type Paint } from './render.js';

export interface ReviewOptions extends Common {
  readonly limit: number;
}

export interface CloseOptions extends Common {
  readonly note?: string;
}

export async function list(options: ReviewOptions, io: Io): Promise<ExitCode> {
  const [{ loadProject }, { withMigratedHub }, { listReviews }] = await Promise.all([
    import('./project.js'),
    import('./hub.js'),
    import('../store/reviews.js'),
  ]);
  const { config } = await loadProject(options, io);
  return withMigratedHub<ExitCode>(config, io, 'review', async ({ pool }) => {
    const reviews = await listReviews(pool, { limit: options.limit });
    print(io, options, { reviews }, (paint, width) => listText(reviews, paint, width));
    return 0;
  });
}

export async function approve(ids: readonly string[], options: Common, io: Io): Promise<ExitCode> {
  const [{ loadProject }, { withMigratedHub }, { orderApprove }] = await Promise.all([
    import('./project.js'),
    import('./hub.js'),
    import('../engine/orders.js'),
  ]);
  const { config, mappings } = await loadProject(options, io);
  return withMigratedHub<ExitCode>(config, io, 'approve', async ({ pool }) => {
    const deps = { pool, clock: io.clock, mapping: mappings.mapping, actor: actor() };
    const approved = await orderApprove(deps, ids);
    const missing = ids.filter((id) => !approved.some(({ review }) => review.id === id));
    const done = approved.map(({ review: { id, kind, entity, spoke }, released }) => ({
      id,
      kind,
      entity,
      spoke,
      released,
    }));
    print(io, options, { approved: done, missing }, (paint) =>
      [
        ...done.map(
          ({ id, kind, entity, released }) =>
            `${paint.green('approved')}  ${id}: ${kindText[kind]} of ${entity}; ${countText(released)} deletions go on their way`,
        ),
        ...missing.map((id) => `${paint.yellow('unknown')}   ${id}: no such review is open`),
      ].join('\n'),
    );
    return missing.length === 0 ? 0 : 1;
  });
}

export async function close(ids: readonly string[], options: CloseOptions, io: Io): Promise<ExitCode> {
  const [{ loadProject }, { withMigratedHub }, { orderClose }] = await Promise.all([
    import('./project.js'),
    import('./hub.js'),
    import('../engine/orders.js'),
  ]);
  const { config } = await loadProject(options, io);
  return withMigratedHub<ExitCode>(config, io, 'close', async ({ pool }) => {
    const closed = await orderClose({ pool, clock: io.clock, actor: actor() }, ids, options.note ?? null);
    const missing = ids.filter((id) => !closed.some((review) => review.id === id));
    print(io, options, { closed: closed.map(({ id }) => id), missing }, (paint) =>
      [
        ...closed.map(({ id, kind, entity }) => `${paint.green('closed')}   ${id}: ${kindText[kind]} of ${entity}`),
        ...missing.map((id) => `${paint.yellow('unknown')}  ${id}: no such review is open`),
      ].join('\n'),
    );
    return missing.length === 0 ? 0 : 1;
  });
}

const kindText: Readonly<Record<OpenReview['kind'], string>> = {
  ambiguous: 'ambiguous match',
  duplicate: 'duplicate',
  mass_delete: 'mass deletion',
  truncate: 'TRUNCATE',
  merged: 'merge at the spoke',
  compliance: 'privacy request',
};

/** What a person does about each kind. */
const nextStep: Readonly<Record<OpenReview['kind'], string>> = {
  ambiguous: 'mend the match keys, then parked replay and review close',
  duplicate: 'merge or delete one of the two, then review close',
  mass_delete: 'review approve lets the deletions go',
  truncate: 'review approve deletes at the spokes what is gone from the hub',
  merged: 'look at the surviving record, then review close',
  compliance: 'answer the request, then review close',
};

function listText(reviews: readonly OpenReview[], paint: Paint, width: number): string {
  if (reviews.length === 0) return 'Nothing waits for a decision.';
  const heads = ['id', 'what', 'entity', 'spoke', 'key', 'records', 'since', 'next'];
  const rows = reviews.map((one) => [
    one.id,
    kindText[one.kind],
    one.entity,
    one.spoke ?? 'all',
    one.key,
    countText(one.records),
    one.openedAt.slice(0, 16),
    nextStep[one.kind],
  ]);
  return renderTable(
    heads.map((head) => ({ head })),
    rows,
    paint,
    width,
  );
}

function reviewIds(texts: readonly string[]): readonly string[] {
  const wrong = texts.find((text) => !/^\d{1,18}$/.test(text));
  if (wrong === undefined) return texts;
  throw new ConfigError({
    code: 'bad_id',
    message: `'${wrong}' is not the id of a review`,
    hint: '`truespoke review list` shows the ids: whole numbers.',
  });
}

export function register(program: Command, frame: Frame): void {
  const review = program.command('review').description('what waits for a decision: held deletions, duplicates …');
  review.addHelpText(
    'after',
    examples([
      ['truespoke review list', 'what waits, and what to do about it'],
      ['truespoke review approve 3', 'let these deletions go'],
      ['truespoke review close 4 --note "merged in the CRM"', 'answered elsewhere'],
    ]),
  );
  review
    .command('list', { isDefault: true })
    .description('show them, oldest first')
    .option('--limit <count>', 'at most so many', wholeNumber, 100)
    .action(async (_options: unknown, command: Command) => {
      frame.code = await list(command.optsWithGlobals<ReviewOptions>(), frame.io);
    });
  review
    .command('approve <ids...>')
    .description('let held deletions go on their way')
    .action(async (ids: readonly string[], _options: unknown, command: Command) => {
      frame.code = await approve(reviewIds(ids), command.optsWithGlobals<Common>(), frame.io);
    });
  review
    .command('close <ids...>')
    .description('close questions that were answered elsewhere')
    .option('--note <text>', 'what was decided, for the audit')
    .action(async (ids: readonly string[], _options: unknown, command: Command) => {
      frame.code = await close(reviewIds(ids), command.optsWithGlobals<CloseOptions>(), frame.io);
    });
}
