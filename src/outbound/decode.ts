// Owns pgoutput, protocol version 1: raw bytes in, SourceMessages out. Values stay text exactly as Postgres wrote them (no
// type parser, BOM kept), unchanged TOAST is undefined and never null. Nothing else in the house knows this format.
import type { Relation, RelationColumn, SourceMessage, Tuple } from '../model/change.js';
import { type Lsn, lsn } from '../model/lsn.js';

/** The bytes are not what protocol version 1 allows. The stream cannot go on; nothing after them was decoded. */
export class UnreadableMessage extends Error {
  override readonly name = 'UnreadableMessage';
}

const postgresEpochMs = 946_684_800_000;
/** One string of a whole chunk, cut into values, is four times as fast as one string a value (SPEED). */
const windowBytesMax = 256 * 1024;

const tag = {
  begin: 0x42,
  commit: 0x43,
  delete: 0x44,
  insert: 0x49,
  message: 0x4d,
  origin: 0x4f,
  relation: 0x52,
  truncate: 0x54,
  update: 0x55,
  type: 0x59,
} as const;
const part = { key: 0x4b, new: 0x4e, old: 0x4f, text: 0x74, null: 0x6e, unchanged: 0x75 } as const;

const identities: Readonly<Record<number, Relation['replicaIdentity']>> = {
  0x64: 'default',
  0x6e: 'nothing',
  0x66: 'full',
  0x69: 'index',
};

/** Holds the relations that the stream has announced: one decoder per connection. */
export class Decoder {
  private readonly relations = new Map<number, Relation>();
  private bytes: Buffer = Buffer.alloc(0);
  private window: string | null = null;
  private at = 0;
  private end = 0;

  /** Decodes one message that lies at [start, end) of `bytes`. Null for what carries nothing for us (origin, type). */
  decode(bytes: Buffer, start: number, end: number): SourceMessage | null {
    if (bytes !== this.bytes) {
      this.bytes = bytes;
      this.window = null;
    }
    this.at = start;
    this.end = end;
    const kind = this.byte();
    const message = this.body(kind);
    if (this.at > end) throw new UnreadableMessage(`message ${String.fromCharCode(kind)} is cut short`);
    return message;
  }

  /** Lets the last chunk go; called when nothing is left of it. */
  release(): void {
    this.bytes = Buffer.alloc(0);
    this.window = null;
  }

  private body(kind: number): SourceMessage | null {
    switch (kind) {
      case tag.insert: {
        const relation = this.relation();
        this.expect(part.new);
        return { kind: 'insert', relation, new: this.tuple(relation) };
      }
      case tag.update:
        return this.update();
      case tag.delete:
        return this.delete();
      case tag.begin: {
        const finalLsn = this.lsn();
        const committedAtMs = this.time();
        return { kind: 'begin', xid: this.uint32(), finalLsn, committedAtMs };
      }
      case tag.commit: {
        this.at += 1; // flags, unused
        const commitLsn = this.lsn();
        const endLsn = this.lsn();
        return { kind: 'commit', commitLsn, endLsn, committedAtMs: this.time() };
      }
      case tag.relation:
        this.announce();
        return null;
      case tag.truncate:
        return this.truncate();
      case tag.message:
        return this.message();
      case tag.origin:
      case tag.type:
        // Provenance is judged by comparison, never by origin; types are known by OID.
        return null;
      default:
        throw new UnreadableMessage(`unknown message 0x${kind.toString(16)}`);
    }
  }

  private update(): SourceMessage {
    const relation = this.relation();
    let old: Tuple | null = null;
    let next = this.byte();
    if (next === part.key) old = keyOnly(this.tuple(relation), relation);
    else if (next === part.old) old = this.tuple(relation);
    const full = next === part.old;
    if (old !== null) next = this.byte();
    if (next !== part.new) throw new UnreadableMessage(`update with part 0x${next.toString(16)}`);
    const tuple = this.tuple(relation);
    // Under REPLICA IDENTITY FULL the old row has the TOAST values that the new row leaves out.
    return { kind: 'update', relation, old, new: full && old !== null ? filled(tuple, old) : tuple };
  }

  private delete(): SourceMessage {
    const relation = this.relation();
    const which = this.byte();
    const tuple = this.tuple(relation);
    if (which === part.old) return { kind: 'delete', relation, old: tuple };
    if (which === part.key) return { kind: 'delete', relation, old: keyOnly(tuple, relation) };
    throw new UnreadableMessage(`delete with part 0x${which.toString(16)}`);
  }

  private truncate(): SourceMessage {
    const count = this.uint32();
    this.at += 1; // CASCADE and RESTART IDENTITY: every table that was emptied is listed anyway
    const relations: Relation[] = [];
    for (let i = 0; i < count && this.at < this.end; i += 1) relations.push(this.relation());
    return { kind: 'truncate', relations };
  }

  private message(): SourceMessage {
    const transactional = (this.byte() & 1) === 1;
    const at = this.lsn();
    const prefix = this.name();
    const length = this.uint32();
    this.at += length;
    const content = this.bytes.toString('utf8', this.at - length, this.at);
    return { kind: 'message', transactional, prefix, content, lsn: at };
  }

  private announce(): void {
    const oid = this.uint32();
    const schema = this.name();
    const table = this.name();
    const replicaIdentity = identities[this.byte()];
    if (replicaIdentity === undefined)
      throw new UnreadableMessage(`relation ${schema}.${table}: unknown replica identity`);
    const columns: RelationColumn[] = [];
    for (let left = this.uint16(); left > 0; left -= 1) {
      const key = (this.byte() & 1) === 1;
      const name = this.name();
      const typeOid = this.uint32();
      this.at += 4; // type modifier
      columns.push({ name, typeOid, key });
    }
    const relation: Relation = { oid, schema: schema === '' ? 'pg_catalog' : schema, table, columns, replicaIdentity };
    // Postgres announces again after every catalogue change; the same shape stays the same object, so it can key a cache.
    const known = this.relations.get(oid);
    if (known === undefined || !sameShape(known, relation)) this.relations.set(oid, relation);
  }

  private relation(): Relation {
    const oid = this.uint32();
    const relation = this.relations.get(oid);
    if (relation === undefined) throw new UnreadableMessage(`a row of relation ${oid}, which was not announced`);
    return relation;
  }

  private tuple(relation: Relation): (string | null | undefined)[] {
    const count = this.uint16();
    if (count !== relation.columns.length) {
      throw new UnreadableMessage(`a row of ${relation.schema}.${relation.table} with ${count} columns`);
    }
    const tuple = new Array<string | null | undefined>(count);
    for (let i = 0; i < count; i += 1) {
      const kind = this.byte();
      if (kind === part.text) {
        const length = this.uint32();
        tuple[i] = this.text(length);
      } else if (kind === part.null) tuple[i] = null;
      else if (kind === part.unchanged) tuple[i] = undefined;
      else throw new UnreadableMessage(`${relation.schema}.${relation.table}: column kind 0x${kind.toString(16)}`);
    }
    return tuple;
  }

  private text(length: number): string {
    const from = this.at;
    const to = from + length;
    this.at = to;
    const bytes = this.bytes;
    if (to > this.end) throw new UnreadableMessage('a value is cut short');
    if (bytes.length > windowBytesMax) return bytes.toString('utf8', from, to);
    for (let i = from; i < to; i += 1) if ((bytes[i] as number) > 0x7f) return bytes.toString('utf8', from, to);
    this.window ??= bytes.toString('latin1');
    return this.window.substring(from, to);
  }

  private expect(wanted: number): void {
    const found = this.byte();
    if (found !== wanted)
      throw new UnreadableMessage(`part 0x${found.toString(16)} instead of 0x${wanted.toString(16)}`);
  }

  private byte(): number {
    if (this.at >= this.end) throw new UnreadableMessage('a message is cut short');
    return this.bytes[this.at++] as number;
  }

  private uint16(): number {
    this.at += 2;
    return this.bytes.readUInt16BE(this.at - 2);
  }

  private uint32(): number {
    this.at += 4;
    return this.bytes.readUInt32BE(this.at - 4);
  }

  private lsn(): Lsn {
    this.at += 8;
    return lsn(this.bytes.readBigUInt64BE(this.at - 8));
  }

  /** Microseconds since 2000 fit a double until the year 2255. */
  private time(): number {
    const high = this.bytes.readInt32BE(this.at);
    const low = this.bytes.readUInt32BE(this.at + 4);
    this.at += 8;
    return postgresEpochMs + Math.floor((high * 4_294_967_296 + low) / 1000);
  }

  private name(): string {
    const zero = this.bytes.indexOf(0, this.at);
    if (zero < 0 || zero >= this.end) throw new UnreadableMessage('a name without end');
    const text = this.bytes.toString('utf8', this.at, zero);
    this.at = zero + 1;
    return text;
  }
}

/** Postgres writes null for the columns outside of the key: here they are "not told". */
function keyOnly(tuple: (string | null | undefined)[], relation: Relation): Tuple {
  return tuple.map((value, i) => (relation.columns[i]?.key === true ? value : undefined));
}

function filled(tuple: (string | null | undefined)[], old: Tuple): Tuple {
  for (let i = 0; i < tuple.length; i += 1) if (tuple[i] === undefined) tuple[i] = old[i];
  return tuple;
}

function sameShape(a: Relation, b: Relation): boolean {
  return (
    a.schema === b.schema &&
    a.table === b.table &&
    a.replicaIdentity === b.replicaIdentity &&
    a.columns.length === b.columns.length &&
    a.columns.every((column, i) => {
      const other = b.columns[i];
      return other?.name === column.name && other.typeOid === column.typeOid && other.key === column.key;
    })
  );
}
