// Owns the backfill: a Bulk 2.0 query job for large objects, keyset-paged queries for small ones or where bulk cannot be used.
// The cursor after each page carries everything needed to go on in another process. Repeats are possible, gaps are not.
import { must } from '../../base/assert.js';
import type { Clock } from '../../base/clock.js';
import { Retriable, SpokePaused, TruespokeError } from '../../base/errors.js';
import type { Random } from '../../base/random.js';
import { cursor, type Cursor } from '../../model/ids.js';
import type { CallOptions, ConnectorState, Page } from '../connector.js';
import { QueryJob } from './bulk-query.js';
import type { SalesforceClient } from './client.js';
import type { SalesforceConfig } from './config.js';
import { id18 } from './errors.js';
import { companionSelect, selectFrom } from './plan.js';
import type { ReadParts } from './read.js';
import { childRows, toRecord, type Raw, type ReadPlan } from './record.js';
import { groups, quoted, soqlUrlMax } from './soql.js';

export interface ScanParts extends ReadParts {
  readonly client: SalesforceClient;
  readonly config: SalesforceConfig;
  readonly state: ConnectorState;
  readonly clock: Clock;
  readonly random: Random;
}

type ScanCursor =
  | { readonly v: 1; readonly by: 'query'; readonly afterId: string }
  /** `locator` null: from the first page. */
  | {
      readonly v: 1;
      readonly by: 'bulk';
      readonly job: string;
      readonly locator: string | null;
      readonly total: number | null;
    };

const pageRows = 2_000;

const encode = (value: ScanCursor): Cursor => cursor(JSON.stringify(value));

function decode(text: Cursor | null, spoke: string): ScanCursor | null {
  if (text === null) return null;
  try {
    const value = JSON.parse(text) as Partial<Record<string, unknown>>;
    if (value['v'] === 1 && (value['by'] === 'query' || value['by'] === 'bulk')) return value as unknown as ScanCursor;
  } catch {
    // Falls through to the same complaint as any other unreadable cursor.
  }
  throw new Retriable({
    spoke,
    code: 'bad_cursor',
    message: `${spoke}: a stored backfill cursor cannot be read`,
    hint: 'start the backfill again',
  });
}

export async function* scanOf(
  parts: ScanParts,
  plan: ReadPlan,
  after: Cursor | null,
  options: CallOptions,
): AsyncGenerator<Page> {
  const from = decode(after, parts.spoke);
  if (from?.by === 'query') return yield* byQuery(parts, plan, { afterId: from.afterId, total: null }, options);
  const total = from?.by === 'bulk' ? from.total : await countOf(parts, plan, options);
  if (from === null && total !== null && total < parts.config.bulkScanFrom) {
    return yield* byQuery(parts, plan, { afterId: '', total }, options);
  }
  const job = new QueryJob(parts);
  const key = `salesforce.bulk-query.${plan.object.name}`;
  let resume = from;
  if (resume === null || !(await job.alive(resume.job, options))) {
    const old = await parts.state.get(key);
    if (old !== null) await job.abandon(old, options);
    const id = await job.create(selectFrom(plan, false), options);
    if (id === null) return yield* byQuery(parts, plan, { afterId: '', total }, options);
    await parts.state.put(key, id);
    resume = { v: 1, by: 'bulk', job: id, locator: null, total };
    // The job is worth keeping from now on, even before it has a page.
    yield { records: [], cursor: encode(resume), last: false, total };
  }
  yield* byBulk({ parts, plan, job, options }, resume);
  await parts.state.put(key, null);
  await job.abandon(resume.job, options);
}

/** null where the org cannot count in time: then it is no small object. */
async function countOf(parts: ScanParts, plan: ReadPlan, options: CallOptions): Promise<number | null> {
  try {
    return await parts.query.count(`SELECT COUNT() FROM ${plan.object.name}`, options);
  } catch (error) {
    if (error instanceof TruespokeError && error.code === 'query_timeout') return null;
    throw error;
  }
}

async function* byQuery(
  parts: ScanParts,
  plan: ReadPlan,
  start: { afterId: string; total: number | null },
  options: CallOptions,
): AsyncGenerator<Page> {
  const self = await parts.self(options);
  const select = selectFrom(plan, true);
  let afterId = start.afterId;
  for (;;) {
    const where = afterId === '' ? '' : ` WHERE Id > ${quoted(afterId)}`;
    const rows = await parts.query.all(`${select}${where} ORDER BY Id LIMIT ${pageRows}`, options);
    const last = rows.length < pageRows;
    afterId = rows.length === 0 ? afterId : id18(String(must(rows.at(-1), 'last row')['Id']));
    const records = rows.map((raw) => toRecord(plan, raw, childRows(plan, raw), self));
    yield { records, cursor: encode({ v: 1, by: 'query', afterId }), last, total: start.total };
    if (last) return;
  }
}

async function* byBulk(
  given: { parts: ScanParts; plan: ReadPlan; job: QueryJob; options: CallOptions },
  from: Extract<ScanCursor, { by: 'bulk' }>,
): AsyncGenerator<Page> {
  const { parts, plan, job, options } = given;
  const ended = await job.finished(from.job, options);
  if (!ended.ok) {
    throw new SpokePaused({
      spoke: parts.spoke,
      code: 'bulk_query_failed',
      message: `${parts.spoke}: the bulk read of ${plan.object.name} failed: ${ended.message}`,
      hint: 'see the job in Setup › Bulk Data Load Jobs',
    });
  }
  const total = ended.records ?? from.total;
  const self = await parts.self(options);
  let locator = from.locator;
  for (;;) {
    const page = await job.page(from.job, { locator, rows: pageRows }, options);
    const companions = await companionRowsOf(parts, plan, page.rows, options);
    const records = page.rows.map((raw) => toRecord(plan, raw, companions.get(id18(String(raw['Id']))) ?? [], self));
    const last = page.next === null;
    // The cursor of the last page asks for that page again: there is nothing after it to name.
    yield { records, cursor: encode({ ...from, locator: page.next ?? locator, total }), last, total };
    if (last) return;
    locator = page.next;
  }
}

/** Child queries are not allowed in bulk: the companions of one page are read beside it, so memory stays that of a page. */
async function companionRowsOf(
  parts: ScanParts,
  plan: ReadPlan,
  rows: readonly Raw[],
  options: CallOptions,
): Promise<Map<string, Raw[]>> {
  const found = new Map<string, Raw[]>();
  const companion = plan.companion;
  if (companion === null) return found;
  const parent = companion.definition.parentField;
  const select = companionSelect(companion, companion.object.name, [parent]);
  for (const group of groups(
    rows.map((row) => id18(String(row['Id']))),
    () => 27,
    soqlUrlMax - 1_000,
    400,
  )) {
    for (const row of await parts.query.all(`${select} AND ${parent} IN (${group.map(quoted).join(',')})`, options)) {
      const id = id18(String(row[parent]));
      found.set(id, [...(found.get(id) ?? []), row]);
    }
  }
  return found;
}
