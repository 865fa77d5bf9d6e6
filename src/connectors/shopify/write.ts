// Owns writes: each planned from the catalogue, many in one request by alias, results matched by alias.
// Promises one result a write, in order; a result that is not surely known is `unknown`. Never sends a write twice.
import { BadRecord, OutcomeUnknown, RateLimited, TruespokeError } from '../../base/errors.js';
import { groupBy } from '../../base/group-by.js';
import { externalId, version } from '../../model/ids.js';
import type { ExternalId } from '../../model/ids.js';
import type { CallOptions, Write, WriteResult } from '../connector.js';
import { RefusedWhole } from './api.js';
import type { Api, Reply } from './api.js';
import type { Definitions } from './definitions.js';
import { allFields, firstVariantsDocument, mutationPoints, mutationsDocument, shopDocument } from './documents.js';
import { saysGone, toRejected } from './errors.js';
import { asArray, asObject, asText, at } from './json.js';
import { findExisting, landedEarlier } from './duplicates.js';
import { gidOf } from './objects/spec.js';
import type { Mutation, ObjectSpec, PlanContext } from './objects/spec.js';
import { batches, findRecords, specOf } from './read.js';
import { toRecord } from './record.js';
import { costBudget } from './selection.js';
import { toUserErrors } from './user-errors.js';

export const writeBatch = 25;
/** For writes that were not sent because an earlier request of the same call failed. */
const notSentRetryMs = 1_000;

interface Planned {
  readonly position: number;
  readonly write: Write;
  readonly spec: ObjectSpec;
  readonly mutations: readonly Mutation[];
}

export class Writer {
  private currency: string | null = null;

  constructor(
    private readonly api: Api,
    private readonly definitions: Definitions,
  ) {}

  async write(writes: readonly Write[], options: CallOptions): Promise<readonly WriteResult[]> {
    const results: (WriteResult | undefined)[] = writes.map((write) => refuseAtOnce(write));
    try {
      const planned = await this.plan(writes, results, options);
      for (const group of bySpec(planned)) await this.send(group, results, options);
    } catch (error) {
      // Before the first request nothing can have had an effect, so the caller may see the error itself.
      if (!(error instanceof RateLimited)) throw error;
      for (const [n, result] of results.entries())
        results[n] = result ?? { outcome: 'throttled', retryAfterMs: error.retryAfterMs };
    }
    return results.map((result) => result ?? { outcome: 'unknown', cause: 'no result was told' });
  }

  /** Reads what planning needs, settles what needs no request, returns the rest. */
  private async plan(
    writes: readonly Write[],
    results: (WriteResult | undefined)[],
    options: CallOptions,
  ): Promise<readonly Planned[]> {
    const open = writes.flatMap((write, position) =>
      results[position] === undefined ? [{ write, position, spec: specOf(write.object) }] : [],
    );
    for (const { write, spec } of open) if (write.op === 'create') await this.definitions.ensure(spec, options);
    await this.settleLanded(open, results, options);
    const rest = open.filter(({ position }) => results[position] === undefined);
    const context = await this.context(rest, options);
    const planned: Planned[] = [];
    for (const { write, position, spec } of rest) {
      const plan = planOne(spec, write, context);
      if (plan.ok) planned.push({ write, position, spec, mutations: plan.mutations });
      else results[position] = plan.rejected;
    }
    return planned;
  }

  /** Creates that are no upserts: one that landed before is found by hub id, not repeated. */
  private async settleLanded(
    open: readonly { write: Write; position: number; spec: ObjectSpec }[],
    results: (WriteResult | undefined)[],
    options: CallOptions,
  ): Promise<void> {
    const creates = open.filter(({ write, spec }) => write.op === 'create' && spec.writer?.lookupBeforeCreate === true);
    for (const group of bySpec(creates)) {
      const spec = group[0]?.spec;
      if (spec === undefined) continue;
      const keys = group.map(({ write }) => ({ by: 'hubId', hubId: write.hubId }) as const);
      const found = await findRecords(this.api, spec, keys, allFields(spec), options);
      for (const [n, { position }] of group.entries()) {
        const record = found[n]?.[0];
        if (record !== undefined)
          results[position] = { outcome: 'applied', externalId: record.externalId, version: record.version, record };
      }
    }
  }

  private async context(
    open: readonly { write: Write; spec: ObjectSpec }[],
    options: CallOptions,
  ): Promise<PlanContext> {
    const ids = [...new Set(open.flatMap(({ write, spec }) => spec.writer?.variantsNeeded(write) ?? []))].filter((id) =>
      gidOf('Product', id),
    );
    const variantOf = new Map<string, string>();
    for (const batch of batches(ids, 100)) {
      const data = await this.api.read(firstVariantsDocument(batch.length), { ids: batch }, options);
      for (const node of asArray(data['nodes']).map(asObject)) {
        const variant = node === null ? null : asText(at(node, 'variants.edges.node.id'));
        if (node !== null && variant !== null) variantOf.set(asText(node['id']) ?? '', variant);
      }
    }
    const needsCurrency = open.some(
      ({ write, spec }) => write.op === 'create' && spec.writer?.lookupBeforeCreate === true,
    );
    if (needsCurrency && this.currency === null) {
      const data = await this.api.read(shopDocument(), {}, options);
      this.currency = asText(asObject(data['shop'])?.['currencyCode']);
    }
    return { hubKey: this.api.config.hubKey, variantOf, currency: this.currency ?? '' };
  }

  private async send(
    group: readonly Planned[],
    results: (WriteResult | undefined)[],
    options: CallOptions,
  ): Promise<void> {
    const chunks = byCost(group, this.api);
    for (const [n, chunk] of chunks.entries()) {
      const failed = await this.sendChunk(chunk, results, options);
      if (failed === null) continue;
      for (const { position } of chunks.slice(n + 1).flat()) results[position] ??= notSent(failed);
      if (failed instanceof OutcomeUnknown || failed instanceof RateLimited) return;
      // Nothing of this chunk ran. If nothing at all ran, the caller gets the reason itself.
      if (
        results.every(
          (result) => result === undefined || result.outcome === 'throttled' || result.outcome === 'rejected',
        )
      )
        throw failed;
      return;
    }
  }

  /** Fills the chunk's results. Returns the failure that forbids sending more, or null. */
  private async sendChunk(
    chunk: readonly Planned[],
    results: (WriteResult | undefined)[],
    options: CallOptions,
  ): Promise<TruespokeError | null> {
    const spec = chunk[0]?.spec;
    if (spec === undefined) return null;
    const aliased = chunk.flatMap((planned, n) =>
      planned.mutations.map((mutation, m) => ({ alias: `w${n}_${m}`, mutation })),
    );
    const { document, variables } = mutationsDocument(spec, aliased, this.api.config.hubKey);
    let reply: Reply;
    try {
      reply = await this.api.exchange(document, variables, options);
    } catch (error) {
      if (!(error instanceof TruespokeError)) throw error;
      return this.settleFailure(error, chunk, results, options);
    }
    for (const [n, planned] of chunk.entries()) {
      const parts = planned.mutations.map((mutation, m) => this.readResult(planned, mutation, `w${n}_${m}`, reply));
      results[planned.position] = await this.explain(planned, combine(parts), options);
    }
    return null;
  }

  private async settleFailure(
    error: TruespokeError,
    chunk: readonly Planned[],
    results: (WriteResult | undefined)[],
    options: CallOptions,
  ): Promise<TruespokeError | null> {
    if (error instanceof RefusedWhole && chunk.length > 1) {
      // One value of the wrong kind refuses the whole request before any of it runs: each goes alone.
      for (const planned of chunk) {
        const failed = await this.sendChunk([planned], results, options);
        if (failed === null) continue;
        for (const { position } of chunk) results[position] ??= notSent(failed);
        return failed;
      }
      return null;
    }
    for (const { position } of chunk) {
      if (error instanceof BadRecord)
        results[position] = {
          outcome: 'rejected',
          code: error.code,
          message: error.message,
          recovery: 'park',
          paths: [],
        };
      else if (error instanceof OutcomeUnknown) results[position] = { outcome: 'unknown', cause: error.message };
      else results[position] = notSent(error);
    }
    return error instanceof BadRecord ? null : error;
  }

  private readResult(planned: Planned, mutation: Mutation, alias: string, reply: Reply): WriteResult {
    const { write, spec } = planned;
    const payload = asObject(reply.data[alias]);
    if (payload === null) {
      const error = reply.errors.find((each) => each.path[0] === alias);
      if (error?.code === 'ACCESS_DENIED' && error.path.length === 1)
        return { outcome: 'rejected', code: error.code, message: error.message, recovery: 'park', paths: [] };
      return { outcome: 'unknown', cause: error?.message ?? 'the answer holds no result for this write' };
    }
    const errors = toUserErrors(payload);
    if (write.op === 'delete' && errors.length > 0 && errors.every(saysGone)) return applied(write.externalId);
    if (errors.length > 0) return toRejected(errors, spec);
    if (mutation.returns === 'deletedId') {
      const id = asText(payload[mutation.payload]);
      return id === null
        ? { outcome: 'unknown', cause: 'the answer does not name what was deleted' }
        : applied(externalId(id));
    }
    const node = asObject(payload[mutation.payload]);
    const id = asText(node?.['id']);
    if (node === null || id === null)
      return { outcome: 'unknown', cause: 'the answer holds neither a record nor a reason' };
    if (write.op === 'update' && id !== write.externalId)
      return { outcome: 'unknown', cause: `the answer shows ${id} instead of the record` };
    const fields = allFields(spec);
    const record = toRecord(
      spec,
      mutation.children > 0 ? fields : { ...fields, children: {} },
      node,
      this.api.config.hubKey,
    );
    return { outcome: 'applied', externalId: externalId(id), version: record.version, record };
  }

  /** A duplicate is told with what holds the value: our own earlier create that landed late, or somebody else's record. */
  private async explain(planned: Planned, result: WriteResult, options: CallOptions): Promise<WriteResult> {
    if (result.outcome !== 'rejected' || result.recovery !== 'duplicate') return result;
    const landed = await landedEarlier(this.api, planned.spec, planned.write, options);
    // Somebody may have edited it since: whoever asked looks at it and compares.
    if (landed !== null) return { ...result, existing: [landed] };
    const existing = await findExisting(this.api, planned.spec, planned.write, options);
    return existing === null ? result : { ...result, existing };
  }
}

const applied = (id: ExternalId): WriteResult => ({
  outcome: 'applied',
  externalId: id,
  version: version(''),
  record: null,
});

const notSent = (error: TruespokeError): WriteResult => ({
  outcome: 'throttled',
  retryAfterMs: error instanceof RateLimited ? error.retryAfterMs : notSentRetryMs,
});

function refuseAtOnce(write: Write): WriteResult | undefined {
  const spec = specOf(write.object);
  const refuse = (code: string, message: string): WriteResult => ({
    outcome: 'rejected',
    code,
    message,
    recovery: 'park',
    paths: [],
  });
  if (spec.writer === null) return refuse('read_only', `This connector reads ${spec.name} but does not write it.`);
  if (write.op === 'undelete')
    return refuse('unsupported_undelete', `Shopify cannot bring back a deleted ${spec.name}.`);
  if (write.op === 'create' || gidOf(spec.gid, write.externalId)) return undefined;
  return refuse('bad_id', `${JSON.stringify(write.externalId)} is not the id of a Shopify ${spec.name}.`);
}

function planOne(
  spec: ObjectSpec,
  write: Write,
  context: PlanContext,
): ReturnType<NonNullable<ObjectSpec['writer']>['create']> {
  const writer = spec.writer;
  const unsupported = {
    outcome: 'rejected',
    code: 'unsupported_change',
    message: `${write.op} of ${spec.name}`,
    recovery: 'park',
    paths: [],
  } as const;
  if (writer === null) return { ok: false, rejected: unsupported };
  switch (write.op) {
    case 'create':
      return writer.create(write, context);
    case 'update':
      return writer.update(write, context);
    case 'delete':
      return writer.remove(write);
    case 'undelete':
      return { ok: false, rejected: unsupported };
  }
}

/** One write of two mutations: both must have gone well; otherwise the worse tells. The last image is the newest. */
function combine(parts: readonly WriteResult[]): WriteResult {
  const worst = parts.find((part) => part.outcome === 'unknown') ?? parts.find((part) => part.outcome !== 'applied');
  return worst ?? parts.at(-1) ?? { outcome: 'unknown', cause: 'nothing was sent for this write' };
}

function bySpec<T extends { readonly spec: ObjectSpec }>(all: readonly T[]): readonly (readonly T[])[] {
  return [...groupBy(all, ({ spec }) => spec.name).values()];
}

function byCost(group: readonly Planned[], api: Api): readonly (readonly Planned[])[] {
  const chunks: Planned[][] = [];
  let points = 0;
  for (const planned of group) {
    const own = planned.mutations.reduce(
      (sum, mutation) => sum + mutationPoints(planned.spec, mutation, api.config.hubKey),
      0,
    );
    const chunk = chunks.at(-1);
    if (chunk === undefined || points + own > costBudget || chunk.length >= writeBatch) {
      chunks.push([planned]);
      points = own;
    } else {
      chunk.push(planned);
      points += own;
    }
  }
  return chunks;
}
