// Owns a batch of writes from end to end: prepare, group, send, companions, read back. Results have the length and order of the
// writes. Rejects only while no write can have had an effect; from the first call on, what was not sent says so in its result.
import { OutcomeUnknown, TruespokeError } from '../../base/errors.js';
import { groupBy } from '../../base/group-by.js';
import { must } from '../../base/assert.js';
import { externalId, version, type ObjectName } from '../../model/ids.js';
import type { RemoteRecord } from '../../model/record.js';
import type { CallOptions, Write, WriteResult } from '../connector.js';
import { bulkRowsMax, type BulkWriter } from './bulk-write.js';
import type { Catalogue } from './catalogue.js';
import type { SalesforceClient } from './client.js';
import {
  collectionRows,
  conditionalRows,
  fitsComposite,
  notSent,
  writeIfUnmodified,
  writeRows,
  type CollectionCall,
  type ConditionalRow,
  type RowOutcome,
} from './collections.js';
import { writeCompanions } from './companion-write.js';
import { companionOf } from './companions.js';
import type { SalesforceConfig } from './config.js';
import { id18, rejection } from './errors.js';
import type { Planner } from './plan.js';
import { prepare, type Prepared, type Preparation, type Translator } from './prepare.js';
import { fetchByIds, findByKeys, type ReadParts } from './read.js';
import { groups } from './soql.js';

export interface WriteParts {
  readonly spoke: string;
  readonly config: SalesforceConfig;
  readonly client: SalesforceClient;
  readonly catalogue: Catalogue;
  readonly planner: Planner;
  readonly read: ReadParts;
  readonly translator: Translator;
  readonly bulk: BulkWriter;
}

export async function writeAll(
  parts: WriteParts,
  writes: readonly Write[],
  options: CallOptions,
): Promise<WriteResult[]> {
  await parts.bulk.drain(writes, options);
  const batch = new Batch(parts, writes.length, options);
  const ready: Prepared[] = [];
  for (const [at, write] of writes.entries()) {
    const prepared = await prepare(
      { catalogue: parts.catalogue, externalIdField: parts.config.externalIdField },
      write,
      at,
      options,
    );
    if ('ready' in prepared) ready.push(prepared.ready);
    else batch.settle(at, prepared.refused);
  }
  const translated: Preparation[] = await parts.translator.translate(ready, options);
  const going: Prepared[] = [];
  for (const [n, preparation] of translated.entries()) {
    if ('ready' in preparation) going.push(preparation.ready);
    else batch.settle(must(ready[n], 'prepared write').at, preparation.refused);
  }
  for (const group of grouped(going.filter((one) => !batch.recover(one)))) await batch.send(group);
  await batch.companions(going);
  await batch.readBack(going);
  return batch.results();
}

/** One call's worth: same object and verb. F71: a record that comes twice goes in two calls, in order. */
function grouped(list: readonly Prepared[]): Prepared[][] {
  const kinds = groupBy(list, (prepared) => {
    const { op, object } = prepared.write;
    const conditional = prepared.write.op === 'update' && prepared.write.expect !== null;
    return [rounds(list, prepared), op, object, conditional].join(' ');
  });
  // F72: neighbours under one parent stay together.
  return [...kinds.entries()]
    .sort(([a], [b]) => Number(a.split(' ')[0]) - Number(b.split(' ')[0]))
    .map(([, group]) => group.sort((a, b) => (a.parent < b.parent ? -1 : a.parent > b.parent ? 1 : a.at - b.at)));
}

function rounds(list: readonly Prepared[], prepared: Prepared): number {
  const same = (other: Prepared): boolean =>
    other.write.object === prepared.write.object && other.write.hubId === prepared.write.hubId;
  return list.filter((other) => other.at < prepared.at && same(other)).length;
}

class Batch {
  readonly #results: (WriteResult | undefined)[];
  /** Ids of records that are as wanted, the read-back still to come. */
  readonly #done = new Map<number, string>();
  #touched = false;
  #stop: unknown = null;

  constructor(
    private readonly parts: WriteParts,
    length: number,
    private readonly options: CallOptions,
  ) {
    this.#results = Array.from({ length });
  }

  settle(at: number, result: WriteResult): void {
    this.#results[at] = result;
  }

  results(): WriteResult[] {
    return this.#results.map((result) => result ?? { outcome: 'unknown', cause: 'no result was recorded' });
  }

  /** True when a bulk job of an earlier run has already done exactly this. */
  recover(one: Prepared): boolean {
    const outcome = this.parts.bulk.recovered(one);
    if (outcome !== null) this.#take(one, outcome);
    return outcome !== null;
  }

  async send(whole: readonly Prepared[]): Promise<void> {
    let group = whole;
    const [first] = group;
    if (first === undefined) return;
    const { write } = first;
    if (write.op === 'undelete') return this.#undelete(group);
    if (write.op === 'update' && write.expect !== null) return this.#conditional(group);
    const bulk =
      write.op !== 'delete' && group.length >= this.parts.config.bulkWriteFrom
        ? group.filter((one) => this.parts.bulk.expressible(one))
        : [];
    if (write.op !== 'delete' && bulk.length > 0) {
      await this.#bulk(write.op, bulk);
      group = group.filter((one) => !bulk.includes(one));
    }
    const call: CollectionCall = { op: write.op, object: write.object };
    for (let from = 0; from < group.length; from += collectionRows) {
      const chunk = group.slice(from, from + collectionRows);
      // A record with companion fields only needs no call of its own.
      const rows = chunk.filter((one) => write.op !== 'update' || Object.keys(one.body).length > 0);
      for (const one of chunk) if (!rows.includes(one)) this.#take(one, { done: id18(idOf(one.write) ?? '') });
      if (rows.length === 0) continue;
      const outcomes = await this.#guard(rows, () =>
        writeRows(
          this.parts.client,
          call,
          rows.map((one) => ({ id: idOf(one.write), body: one.body })),
          this.options,
        ),
      );
      for (const [n, one] of rows.entries()) this.#take(one, must(outcomes[n], 'row outcome'));
    }
    if (write.op === 'create') await this.#nameExisting(whole);
  }

  async #bulk(op: 'create' | 'update', group: readonly Prepared[]): Promise<void> {
    for (let from = 0; from < group.length; from += bulkRowsMax) {
      const slice = group.slice(from, from + bulkRowsMax);
      const outcomes = await this.#guard(slice, () => this.parts.bulk.write(op, slice, this.options));
      for (const [n, one] of slice.entries()) this.#take(one, must(outcomes[n], 'row outcome'));
    }
  }

  async #conditional(group: readonly Prepared[]): Promise<void> {
    const together: { one: Prepared; row: ConditionalRow }[] = [];
    const alone: { one: Prepared; row: ConditionalRow }[] = [];
    for (const one of group) {
      const { write, body } = one;
      if (write.op !== 'update' || write.expect === null) continue;
      const row = { object: write.object, id: write.externalId, body, expectMs: Date.parse(write.expect) };
      // A version that is no time cannot be a condition; the caller asked for one, so nothing is sent.
      if (!Number.isFinite(row.expectMs)) this.settle(one.at, { outcome: 'stale', record: null });
      else if (Object.keys(body).length === 0) this.#take(one, { done: id18(write.externalId) });
      else (fitsComposite(row) ? together : alone).push({ one, row });
    }
    const calls = [...groups(together, () => 0, 1, conditionalRows), ...alone.map((single) => [single])];
    for (const call of calls) {
      const outcomes = await this.#guard(
        call.map(({ one }) => one),
        () =>
          writeIfUnmodified(
            this.parts.client,
            call.map(({ row }) => row),
            this.options,
          ),
      );
      for (const [n, { one }] of call.entries()) this.#take(one, must(outcomes[n], 'row outcome'));
    }
  }

  async #undelete(group: readonly Prepared[]): Promise<void> {
    const plan = await this.parts.planner.plan(
      must(group[0], 'group').write.object,
      { paths: [], children: {} },
      this.options,
    );
    const there = new Map(
      (
        await fetchByIds(
          this.parts.read,
          plan,
          group.map((one) => idOf(one.write) ?? ''),
          this.options,
        )
      ).map((record) => [record.externalId as string, record]),
    );
    const asleep: Prepared[] = [];
    for (const one of group) {
      const record = there.get(id18(idOf(one.write) ?? ''));
      if (record === undefined)
        this.#take(one, {
          errors: [{ code: 'NOT_FOUND', message: 'not in the recycle bin', fields: [], existing: [] }],
        });
      else if (record.deleted) asleep.push(one);
      else this.#take(one, { done: record.externalId });
    }
    for (let from = 0; from < asleep.length; from += collectionRows) {
      const chunk = asleep.slice(from, from + collectionRows);
      const outcomes = await this.#guard(chunk, async () => {
        const results = await this.parts.client.undelete(
          chunk.map((one) => idOf(one.write) ?? ''),
          this.options,
        );
        return chunk.map((one, n): RowOutcome => {
          const message = JSON.stringify(results[n]?.errors ?? '').slice(0, 500);
          return results[n]?.success === true
            ? { done: id18(idOf(one.write) ?? '') }
            : { errors: [{ code: 'UNDELETE_FAILED', message, fields: [], existing: [] }] };
        });
      });
      for (const [n, one] of chunk.entries()) this.#take(one, must(outcomes[n], 'row outcome'));
    }
  }

  /** Runs one call. While nothing has been touched a failure ends the batch; after that it becomes the records' outcome. */
  async #guard(rows: readonly Prepared[], call: () => Promise<RowOutcome[]>): Promise<RowOutcome[]> {
    if (this.#stop !== null) return rows.map(() => ({ settled: notSent(this.#stop) }));
    try {
      const outcomes = await call();
      this.#touched = true;
      return outcomes;
    } catch (error) {
      if (error instanceof OutcomeUnknown) {
        this.#touched = true;
        return rows.map(() => ({ settled: { outcome: 'unknown', cause: error.message } }));
      }
      if (!this.#touched || !(error instanceof TruespokeError)) throw error;
      this.#stop = error;
      return rows.map(() => ({ settled: notSent(error) }));
    }
  }

  #take(one: Prepared, outcome: RowOutcome): void {
    if ('done' in outcome) this.#done.set(one.at, outcome.done);
    else if ('settled' in outcome) this.settle(one.at, outcome.settled);
    else {
      this.parts.translator.forget(one);
      this.settle(one.at, rejection(outcome.errors));
    }
  }

  /**
   * F65, F83: a create is an insert with our unique key. One that arrives late, after it was repeated, is refused by the key and
   * writes nothing old over what is newer (an upsert would). So is one that meets its own earlier self, which somebody may have edited
   * since: whoever asked is told which record that is, and compares.
   */
  async #nameExisting(group: readonly Prepared[]): Promise<void> {
    const field = this.parts.config.externalIdField;
    const met = group.filter((one) => {
      const result = this.#results[one.at];
      if (result?.outcome !== 'rejected') return false;
      return result.code === 'DUPLICATE_VALUE' && result.message.includes(field);
    });
    const [first] = met;
    if (first === undefined || this.#stop !== null) return;
    const found = await this.#findOwn(first.write.object, met);
    for (const [n, one] of met.entries()) {
      const [result, existing] = [this.#results[one.at], (found[n] ?? []).map((record) => record.externalId)];
      if (result?.outcome === 'rejected' && existing.length > 0) this.settle(one.at, { ...result, existing });
    }
  }

  /** The refusals stand whether or not they can be explained. */
  async #findOwn(object: ObjectName, list: readonly Prepared[]): Promise<readonly (readonly RemoteRecord[])[]> {
    try {
      const plan = await this.parts.planner.plan(object, { paths: [], children: {} }, this.options);
      const keys = list.map(({ write }) => ({ by: 'hubId', hubId: write.hubId }) as const);
      return await findByKeys(this.parts.read, plan, keys, this.options);
    } catch (error) {
      if (error instanceof TruespokeError) return [];
      throw error;
    }
  }

  async companions(list: readonly Prepared[]): Promise<void> {
    const withFields = list.filter((one) => one.companion !== null && this.#done.has(one.at));
    for (const object of new Set(withFields.map((one) => one.write.object))) {
      const companion = companionOf(object);
      const mine = withFields.filter((one) => one.write.object === object);
      if (companion === null) continue;
      const writes = mine.map((one) => ({
        at: one.at,
        id: must(this.#done.get(one.at), 'id'),
        fields: one.companion ?? {},
        expectMs: expectOf(one.write),
      }));
      const failed = await this.#companionFailures(mine, () =>
        writeCompanions(
          { ...this.parts, query: this.parts.read.query, scopeId: this.parts.planner.scopeId },
          companion,
          writes,
          this.options,
        ),
      );
      for (const [at, result] of failed) {
        this.#done.delete(at);
        this.settle(at, result);
      }
    }
  }

  async #companionFailures(
    mine: readonly Prepared[],
    call: () => Promise<Map<number, WriteResult>>,
  ): Promise<Map<number, WriteResult>> {
    try {
      return await call();
    } catch (error) {
      // Only companion fields were to be written and none was: the batch as a whole had no effect.
      if (!this.#touched) throw error;
      return new Map(mine.map((one) => [one.at, notSent(error)]));
    }
  }

  /** Shows each record as our write left it. What cannot be read now is applied all the same. */
  async readBack(list: readonly Prepared[]): Promise<void> {
    const stale = list.filter((one) => this.#results[one.at]?.outcome === 'stale');
    for (const object of new Set(list.map((one) => one.write.object))) {
      const done = list.filter((one) => one.write.object === object && this.#done.has(one.at));
      const old = stale.filter((one) => one.write.object === object);
      const ids = [
        ...done.map((one) => must(this.#done.get(one.at), 'id')),
        ...old.map((one) => id18(idOf(one.write) ?? '')),
      ];
      const paths = [...done, ...old].flatMap((one) =>
        one.write.op === 'create' || one.write.op === 'update' ? Object.keys(one.write.fields) : [],
      );
      const seen = await this.#look(object, ids, paths);
      for (const one of old)
        this.settle(one.at, { outcome: 'stale', record: seen.get(id18(idOf(one.write) ?? '')) ?? null });
      for (const one of done) this.settle(one.at, appliedAs(one, must(this.#done.get(one.at), 'id'), seen));
    }
  }

  async #look(object: string, ids: readonly string[], paths: readonly string[]): Promise<Map<string, RemoteRecord>> {
    if (ids.length === 0) return new Map();
    try {
      const plan = await this.parts.planner.wide(object, paths, this.options);
      const records = await fetchByIds(this.parts.read, plan, ids, this.options);
      return new Map(records.map((record) => [record.externalId, record]));
    } catch (error) {
      // The writes are in place; without a look at them the next poll shows what they left. That is a correct, slower way.
      if (error instanceof TruespokeError) return new Map();
      throw error;
    }
  }
}

function expectOf(write: Write): number | null {
  const ms = write.op === 'update' && write.expect !== null ? Date.parse(write.expect) : Number.NaN;
  return Number.isFinite(ms) ? ms : null;
}

const idOf = (write: Write): string | null => (write.op === 'create' ? null : write.externalId);

function appliedAs(one: Prepared, id: string, seen: ReadonlyMap<string, RemoteRecord>): WriteResult {
  let record = seen.get(id) ?? null;
  if (one.write.op === 'create' && record !== null && record.hubKey !== one.write.hubId) {
    // The results came in another order than the records: the key that we left tells which is which.
    record = [...seen.values()].find((other) => other.hubKey === one.write.hubId) ?? null;
    if (record === null) return { outcome: 'unknown', cause: 'the result names a record that does not carry our key' };
  }
  const ours = record !== null && record.modifiedBySelf === true;
  return {
    outcome: 'applied',
    externalId: record?.externalId ?? externalId(id),
    // A later edit by somebody else has its own version; ours is not to be told any more.
    version: ours && record !== null ? record.version : version(''),
    record: ours ? record : null,
  };
}
