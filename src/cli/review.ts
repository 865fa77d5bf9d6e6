// Owns `truespoke review`: what waits for a person's decision. Held deletions leave only through here (F51, F106). The list shows ids and
// counts; `show` shows the values that a person must see to decide which record is which.
import type { Command } from 'commander';
import type { ExitCode } from '../base/errors.js';
import type { ExplainedReview } from '../engine/evidence.js';
import type { OpenReview } from '../store/reviews.js';
import { actor, examples, listedId, print, type Common, type Frame } from './command.js';
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

export async function show(id: string, options: Common, io: Io): Promise<ExitCode> {
  const [{ loadProject }, { withMigratedHub }, { explainReview }] = await Promise.all([
    import('./project.js'),
    import('./hub.js'),
    import('../engine/evidence.js'),
  ]);
  const { config, mappings } = await loadProject(options, io);
  return withMigratedHub<ExitCode>(config, io, 'review', async ({ pool }) => {
    const shown = await explainReview({ pool, mapping: mappings.mapping }, id);
    print(io, options, { review: shown }, (paint, width) => evidenceText(shown, paint, width));
    return 0;
  });
}

export async function decide(
  id: string,
  choice: { readonly link: string } | 'new',
  options: Common,
  io: Io,
): Promise<ExitCode> {
  const [{ loadProject }, { withMigratedHub }, { decideLink, decideNew }, { systemIds }, { defaultLimits }] =
    await Promise.all([
      import('./project.js'),
      import('./hub.js'),
      import('../engine/decisions.js'),
      import('../base/random.js'),
      import('../engine/engine.js'),
    ]);
  const { config, mappings } = await loadProject(options, io);
  return withMigratedHub<ExitCode>(config, io, 'review', async ({ pool }) => {
    const { clock } = io;
    const limits = defaultLimits.inbound;
    const deps = { pool, clock, mapping: mappings.mapping, actor: actor(), ids: systemIds(clock), limits };
    const decided = await (choice === 'new' ? decideNew(deps, id) : decideLink(deps, id, choice.link));
    const { entity, spoke, hubId, externalId } = decided;
    const what = `${entity} ${hubId ?? ''}`.trim();
    print(io, options, decided, (paint) =>
      choice === 'new'
        ? `${paint.green('decided')}  ${what} is a record of its own at ${spoke}${externalId === null ? '; it is created there' : `: ${externalId}`}`
        : `${paint.green('decided')}  ${what} is ${externalId ?? ''} at ${spoke}; what both hold is merged by policy`,
    );
    return 0;
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
  ambiguous: 'review show, then review link or review new',
  duplicate: 'review show, then merge or delete one of the two, review link or review new',
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

function evidenceText(shown: ExplainedReview, paint: Paint, width: number): string {
  const { id, kind, entity, spoke, key, record, candidates, detail } = shown;
  const lines = [
    `${paint.bold(`review ${id}`)}  ${kindText[kind]} of ${entity}, ${spoke ?? 'all spokes'}, ${key}`,
    ...Object.entries(detail).map(([name, value]) => `${name}: ${plainText(value)}`),
  ];
  const columns = [...(record === null ? [] : [record]), ...candidates];
  if (columns.length > 0) {
    const fields = [...new Set(columns.flatMap((one) => Object.keys(one.fields)))];
    const heads = ['', ...columns.map((one) => one.title)];
    const rows = fields.map((field) => [field, ...columns.map((one) => plainText(one.fields[field] ?? null))]);
    const table = renderTable(
      heads.map((head) => ({ head })),
      rows,
      paint,
      width,
    );
    lines.push('', table);
  }
  const next = candidates.filter((one) => one.free).map((one) => `truespoke review link ${id} ${one.id}`);
  if (kind === 'ambiguous' || kind === 'duplicate') next.push(`truespoke review new ${id}`);
  else next.push(nextStep[kind]);
  return [...lines, '', ...next.map((line) => paint.dim(line))].join('\n');
}

/** Control characters are shown as what they are: a value must not draw on the terminal. */
function plainText(value: unknown): string {
  if (value === null) return 'null';
  const text =
    typeof value === 'string' ? JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"') : JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}

function reviewId(text: string): string {
  return listedId(text, 'a review', 'truespoke review list');
}

export function register(program: Command, frame: Frame): void {
  const review = program.command('review').description('what waits for a decision: held deletions, duplicates …');
  review.addHelpText(
    'after',
    examples([
      ['truespoke review list', 'what waits, and what to do about it'],
      ['truespoke review show 2', 'the record and the candidates side by side'],
      ['truespoke review link 2 018f0c6e-…', 'it is this one'],
      ['truespoke review new 2', 'it is none of them'],
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
    .command('show <id>')
    .description('what it asks, with its evidence')
    .action(async (id: string, _options: unknown, command: Command) => {
      frame.code = await show(reviewId(id), command.optsWithGlobals<Common>(), frame.io);
    });
  review
    .command('link <id> <candidate>')
    .description('the record is this one: a hub id, or an id at the spoke where a hub record asks')
    .action(async (id: string, candidate: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<Common>();
      frame.code = await decide(reviewId(id), { link: candidate }, options, frame.io);
    });
  review
    .command('new <id>')
    .description('the record is none of the candidates: it is one of its own')
    .action(async (id: string, _options: unknown, command: Command) => {
      frame.code = await decide(reviewId(id), 'new', command.optsWithGlobals<Common>(), frame.io);
    });
  review
    .command('approve <ids...>')
    .description('let held deletions go on their way')
    .action(async (ids: readonly string[], _options: unknown, command: Command) => {
      frame.code = await approve(ids.map(reviewId), command.optsWithGlobals<Common>(), frame.io);
    });
  review
    .command('close <ids...>')
    .description('close questions that were answered elsewhere')
    .option('--note <text>', 'what was decided, for the audit')
    .action(async (ids: readonly string[], _options: unknown, command: Command) => {
      frame.code = await close(ids.map(reviewId), command.optsWithGlobals<CloseOptions>(), frame.io);
    });
}
