// Owns change data capture: commits to change events with replay ids, retained for a while, plus gap events on request. Knows
// nothing of transport.
import { msOf } from './stamps.js';
import type { Org } from './org.js';
import type { Change, Transaction } from './transaction.js';
import type { FieldDef, Json, Row, Value } from './words.js';

const retainedMax = 50_000;
const silent = new Set(['User', 'Organization', 'Pricebook2']);
// Fields that the header tells already or that are made of others.
const hidden = new Set(['Id', 'IsDeleted', 'SystemModstamp', 'MasterRecordId']);

export interface ChangeEvent {
  readonly replayId: number;
  readonly object: string;
  readonly data: Json;
}

type ChangeType = 'CREATE' | 'UPDATE' | 'DELETE' | 'UNDELETE';

export class ChangeEvents {
  private retained: ChangeEvent[] = [];
  private lastReplayId = 0;
  private transactions = 0;
  private muted = false;
  private readonly listeners: ((event: ChangeEvent) => void)[] = [];

  constructor(private readonly org: Org) {
    org.onCommit((tx, changes) => this.publishAll(tx, changes));
  }

  onEvent(listener: (event: ChangeEvent) => void): void {
    this.listeners.push(listener);
  }

  /** `ContactChangeEvent` for an object, `Foo__ChangeEvent` for a custom one. */
  static channelName(object: string): string {
    return object.endsWith('__c') ? `${object.slice(0, -3)}__ChangeEvent` : `${object}ChangeEvent`;
  }

  /** Whether a channel below /data/ exists. */
  knows(channel: string): boolean {
    if (channel === '/data/ChangeEvents') return true;
    return this.org.catalogue.objects().some((object) => `/data/${ChangeEvents.channelName(object.name)}` === channel);
  }

  carries(channel: string, event: ChangeEvent): boolean {
    return channel === '/data/ChangeEvents' || channel === `/data/${ChangeEvents.channelName(event.object)}`;
  }

  /** Retained events after a replay id (-2: all, -1: none); null when the id is not valid any more. */
  after(replayId: number): readonly ChangeEvent[] | null {
    if (replayId === -1) return [];
    if (replayId === -2) return this.retained;
    const oldest = this.retained[0]?.replayId ?? this.lastReplayId + 1;
    if (replayId < oldest - 1 || replayId > this.lastReplayId) return null;
    return this.retained.filter((event) => event.replayId > replayId);
  }

  /** Forgets retained events: an old replay id then is invalid. */
  expire(): void {
    this.retained = [];
  }

  /** A muted stream loses events without a word, as the real one sometimes does. */
  mute(muted: boolean): void {
    this.muted = muted;
  }

  /** A gap event: something changed that could not be told in full. `ids` may be `['003*']`. */
  gap(object: string, ids: readonly string[], changeType: string): void {
    const stamp = this.org.stampMs();
    this.emit(object, {
      ChangeEventHeader: this.header({
        object,
        ids,
        changeType,
        user: this.org.personUserId,
        origin: '',
        commitMs: stamp,
        sequence: 1,
      }),
    });
  }

  private publishAll(tx: Transaction, changes: readonly Change[]): void {
    this.transactions += 1;
    let sequence = 0;
    for (const change of changes) {
      if (silent.has(change.object) || change.op === 'purge') continue;
      const payload = this.payload(tx, change, sequence + 1);
      if (payload === null) continue;
      sequence += 1;
      this.emit(change.object, payload);
    }
  }

  private payload(tx: Transaction, change: Change, sequence: number): Record<string, Json> | null {
    const type = typeOf(change);
    const fields = this.org.catalogue.object(change.object)?.fields ?? [];
    const changed = type === 'UPDATE' ? changedFields(fields, change.before ?? {}, change.after ?? {}) : [];
    if (type === 'UPDATE' && !changed.some((field) => !field.name.startsWith('LastModified'))) return null;
    const shown =
      type === 'UPDATE'
        ? changed
        : type === 'DELETE'
          ? []
          : fields.filter((field) => (change.after?.[field.name] ?? null) !== null);
    const { client, apiVersion, userId } = tx.actor;
    const origin =
      apiVersion === null ? '' : `com/salesforce/api/rest/${apiVersion}${client === null ? '' : `;client=${client}`}`;
    const facts = {
      object: change.object,
      ids: [change.id],
      changeType: type,
      user: userId,
      origin,
      commitMs: msOf(tx.stamp),
      sequence,
    };
    const nulled = changed.filter((field) => (change.after?.[field.name] ?? null) === null).map((field) => field.name);
    const header = {
      ...this.header(facts),
      changedFields: changed.map((field) => field.name),
      nulledFields: nulled,
      diffFields: [],
    };
    return { ChangeEventHeader: header, ...values(shown, change.after ?? {}) };
  }

  private header(facts: {
    object: string;
    ids: readonly string[];
    changeType: string;
    user: string;
    origin: string;
    commitMs: number;
    sequence: number;
  }): Record<string, Json> {
    const transaction = String(this.transactions).padStart(8, '0');
    return {
      entityName: facts.object,
      recordIds: facts.ids,
      changeType: facts.changeType,
      changeOrigin: facts.origin,
      transactionKey: `0000${transaction}-0000-0000-0000-${transaction}0000`,
      sequenceNumber: facts.sequence,
      commitTimestamp: facts.commitMs,
      commitNumber: 10_000_000 + this.transactions,
      commitUser: facts.user,
    };
  }

  private emit(object: string, payload: Record<string, Json>): void {
    this.lastReplayId += 1;
    const replayId = this.lastReplayId;
    const event: ChangeEvent = { replayId, object, data: { schema: `schema-${object}`, payload, event: { replayId } } };
    this.retained.push(event);
    if (this.retained.length > retainedMax) this.retained.splice(0, retainedMax / 10);
    if (this.muted) return;
    for (const listener of this.listeners) listener(event);
  }
}

function typeOf(change: Change): ChangeType {
  switch (change.op) {
    case 'create':
      return 'CREATE';
    case 'delete':
    case 'merge':
    case 'purge':
      return 'DELETE';
    case 'undelete':
      return 'UNDELETE';
    case 'update':
      return 'UPDATE';
  }
}

function changedFields(fields: readonly FieldDef[], before: Row, after: Row): readonly FieldDef[] {
  return fields.filter(
    (field) => !hidden.has(field.name) && (before[field.name] ?? null) !== (after[field.name] ?? null),
  );
}

/** Names of people are one compound value in change events. */
function values(fields: readonly FieldDef[], row: Row): Record<string, Json> {
  const person = 'LastName' in row;
  const shown: Record<string, Json> = {};
  for (const field of fields) {
    if (hidden.has(field.name) || field.type === 'address') continue;
    if (person && ['FirstName', 'LastName', 'Name', 'Salutation'].includes(field.name)) {
      shown['Name'] = {
        Salutation: row['Salutation'] ?? null,
        FirstName: row['FirstName'] ?? null,
        LastName: row['LastName'] ?? null,
      };
    } else shown[field.name] = wire(field, row[field.name] ?? null);
  }
  return shown;
}

function wire(field: FieldDef, value: Value): Value {
  return field.type === 'datetime' && typeof value === 'string' ? value.replace('+0000', 'Z') : value;
}
