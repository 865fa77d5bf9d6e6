// Owns what a memory remote is made of, as data: objects, fields, normalisers, capabilities. Promises every problem at once.
import { z } from 'zod';
import { Problems, type Problem } from '../../base/errors.js';
import type { ConfigPlace } from '../connector.js';
import { normaliserPattern } from './values.js';

const fieldSpec = z.strictObject({
  type: z.enum(['text', 'number', 'boolean', 'date', 'timestamp', 'id', 'list', 'json']).default('text'),
  required: z.boolean().default(false),
  createable: z.boolean().default(true),
  updateable: z.boolean().default(true),
  maxLength: z.int().positive().optional(),
  scale: z.int().min(0).max(12).optional(),
  values: z.array(z.string()).optional(),
  /** A regular expression that a text value must match. */
  pattern: z.string().optional(),
  /** The object that an `id` points to; a value without such a record is rejected. */
  references: z.string().optional(),
  /** What the remote does to a value before it stores it, in order. */
  normalise: z.array(z.string().regex(normaliserPattern, 'unknown normaliser')).default([]),
  /** Does `find` tell A from a? */
  caseSensitive: z.boolean().default(false),
});

const objectSpec = z.strictObject({
  fields: z.record(z.string(), fieldSpec),
  children: z.record(z.string(), z.record(z.string(), fieldSpec)).default({}),
  /** Sets of paths whose values no two live records share. Records with an empty value are exempt. */
  unique: z.array(z.array(z.string()).min(1)).default([]),
  idPrefix: z.string().optional(),
  /** Deleted records can be read and undeleted. Without one a delete leaves nothing behind. */
  recycleBin: z.boolean().default(true),
  /** The record has a place for our hub id. */
  hubKey: z.boolean().default(true),
});

const capabilities = z.strictObject({
  conditionalWrite: z.boolean().default(true),
  idempotentCreate: z.boolean().default(true),
  bulkScan: z.boolean().default(true),
  bulkWriteFrom: z.int().positive().nullable().default(null),
  stream: z.boolean().default(true),
  deleteFeed: z.boolean().default(true),
  undelete: z.boolean().default(true),
  writeBatch: z.int().positive().default(200),
  fetchBatch: z.int().positive().default(200),
  findBatch: z.int().positive().default(100),
  lanes: z.int().positive().default(4),
  /** Beyond the contract: does a write answer with the record, does a record tell who changed it last? */
  returnsRecord: z.boolean().default(true),
  tellsAuthor: z.boolean().default(true),
});

export const memoryConfig = z.strictObject({
  id: z.string().default('memory'),
  label: z.string().default('in-process remote'),
  /** counter: every write has its own version. clock: milliseconds, cut to `versionStepMs`. none: the remote tells no version. */
  versions: z.enum(['counter', 'clock', 'none']).default('counter'),
  versionStepMs: z.int().positive().default(1),
  pageRows: z.int().positive().max(10_000).default(200),
  /** How far each poll reaches back behind its watermark, and how far it stays behind now (clock versions only). */
  overlapMs: z.int().min(0).default(0),
  lagMs: z.int().min(0).default(0),
  /** A budget of calls that refills; absent = without limit. */
  budget: z.strictObject({ limit: z.int().positive(), restorePerSecond: z.number().positive() }).optional(),
  capabilities: capabilities.prefault({}),
  objects: z.record(z.string(), objectSpec).default({}),
});

export type MemoryConfig = z.output<typeof memoryConfig>;
export type MemoryConfigInput = z.input<typeof memoryConfig>;
export type ObjectSpec = MemoryConfig['objects'][string];
export type FieldSpec = ObjectSpec['fields'][string];

export function parseMemoryConfig(raw: unknown, place: ConfigPlace): MemoryConfig {
  const parsed = memoryConfig.safeParse(raw ?? {});
  const problems: Problem[] = [];
  const note = (path: readonly PropertyKey[], message: string, hint: string): void => {
    const keys = path.map((key) => (typeof key === 'symbol' ? String(key) : key));
    problems.push({ ...place(keys), message: `${keys.join('.') || 'memory connector'}: ${message}`, hint });
  };
  if (!parsed.success) {
    for (const issue of parsed.error.issues)
      note(issue.path, issue.message, 'see docs/connectors/memory.md for what may stand here');
    throw new Problems(problems);
  }
  for (const [name, object] of Object.entries(parsed.data.objects)) {
    object.unique.forEach((paths, index) => {
      for (const path of paths.filter((one) => object.fields[one] === undefined)) {
        note(['objects', name, 'unique', index], `${name} has no field ${path}`, 'name a field of this object');
      }
    });
    for (const [path, field] of Object.entries(object.fields)) {
      if (field.references !== undefined && parsed.data.objects[field.references] === undefined) {
        note(
          ['objects', name, 'fields', path, 'references'],
          `there is no object ${field.references}`,
          'declare it under objects',
        );
      }
    }
  }
  if (problems.length > 0) throw new Problems(problems);
  return parsed.data;
}
