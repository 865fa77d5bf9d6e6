// Owns what a memory remote is made of, as data: objects, fields, normalisers, capabilities. Promises every problem at once.
import { z } from 'zod';
import { checkYaml } from '../../base/checked.js';
import { Problems, type Problem } from '../../base/errors.js';
import { didYouMean } from '../../base/suggest.js';
import type { YamlFile } from '../../base/yaml.js';
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
  // A place that is not known stays out of the message: its parts are then undefined.
  const at = (path: Parameters<YamlFile['place']>[0]) => place(path) as ReturnType<YamlFile['place']>;
  const checked = checkYaml(memoryConfig, { file: '', value: raw ?? {}, problems: [], place: at });
  if (!checked.ok) throw new Problems(checked.problems);
  const problems = danglingNames(checked.value, place);
  if (problems.length > 0) throw new Problems(problems);
  return checked.value;
}

/** Names inside the configuration that point to nothing in it. */
function danglingNames({ objects }: MemoryConfig, place: ConfigPlace): readonly Problem[] {
  const problems: Problem[] = [];
  for (const [name, object] of Object.entries(objects)) {
    for (const [index, paths] of object.unique.entries()) {
      for (const path of paths.filter((one) => object.fields[one] === undefined)) {
        const hint = didYouMean(path, Object.keys(object.fields));
        problems.push({ ...place(['objects', name, 'unique', index]), message: `${name} has no field ${path}`, hint });
      }
    }
    for (const [path, { references }] of Object.entries(object.fields)) {
      if (references === undefined || objects[references] !== undefined) continue;
      const where = place(['objects', name, 'fields', path, 'references']);
      problems.push({
        ...where,
        message: `there is no object ${references}`,
        hint: didYouMean(references, Object.keys(objects)),
      });
    }
  }
  return problems;
}
