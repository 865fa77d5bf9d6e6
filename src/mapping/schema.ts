// Owns the shape of a mapping file. mappings/schema.json is made from it (a test keeps the two equal), so editors complete and check.
// Never looks across files: that is compile.ts.
import { z } from 'zod';

const namePattern = /^[a-z][a-z0-9_]{0,49}$/;
const name = z
  .string()
  .regex(namePattern, 'expected lower-case letters, digits and _, starting with a letter, at most 50');
const path = z
  .string()
  .min(1)
  .max(200)
  .regex(/^@?[A-Za-z_][A-Za-z0-9_.]*$/, 'expected the name of a remote field such as Email or variant.price');
const objectPath = z
  .string()
  .min(1)
  .max(120)
  .regex(/^[A-Za-z_][A-Za-z0-9_.]*$/, 'expected the name of a remote object');
const cel = z.string().min(1).max(1_000);
const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const word = z.union([z.string(), z.number(), z.boolean()]);
const direction = z.enum(['in', 'out', 'both']);

export const fieldTypes = [
  'text',
  'integer',
  'decimal',
  'boolean',
  'date',
  'timestamp',
  'json',
  'list',
  'ref',
] as const;

const fieldSpec = z.strictObject({
  type: z.enum(fieldTypes).optional().describe('text unless `ref` or `values` say otherwise'),
  ref: name.optional().describe('The entity pointed to: a foreign key to its hub table'),
  scale: z.int().min(0).max(20).optional().describe('decimal: digits after the point'),
  max: z.int().min(1).max(10_000_000).optional().describe('text: most characters'),
  values: z.array(z.string()).min(1).max(1_000).optional().describe('text: the closed list of values'),
  required: z.boolean().optional().describe('NOT NULL in the hub'),
  match: z
    .enum(['exact', 'case-insensitive'])
    .optional()
    .describe('Records with equal values here are the same record'),
  authority: z.string().optional().describe('A spoke, or `hub`: whose value wins a conflict'),
  policy: z
    .enum(['latest', 'max', 'min', 'union', 'delta', 'review'])
    .optional()
    .describe('What decides a conflict; default latest'),
  description: z.string().optional(),
});

const zone = z.strictObject({ zone: z.string().optional().describe('UTC, or a name such as Europe/Berlin') });
const viaNames = [
  'text',
  'trim',
  'lowercase',
  'uppercase',
  'blank-as-null',
  'phone-e164',
  'decimal',
  'date',
  'timestamp',
  'tags',
  'strip-html',
  'join',
] as const;
const viaObject = z
  .strictObject({
    'phone-e164': z
      .strictObject({ country: z.string().length(2).optional(), invalid: z.enum(['park', 'drop', 'keep']).optional() })
      .optional()
      .describe('Any spelling of a telephone number ↔ +14155550100'),
    values: z
      .record(z.string(), z.union([word, z.array(word).min(1)]))
      .optional()
      .describe('hub value: remote value, or a list whose first is written'),
    decimal: z
      .strictObject({ scale: z.int().min(0).max(20).optional(), as: z.enum(['text', 'number']).optional() })
      .optional(),
    date: zone.optional(),
    timestamp: zone.optional(),
    tags: z.strictObject({ separator: z.string().min(1).max(5).optional() }).optional(),
    'null-as': z
      .string()
      .min(1)
      .max(80)
      .optional()
      .describe('The word that stands for nothing where the spoke wants something'),
    prefix: z.string().min(1).max(200).optional(),
    join: z.strictObject({ separator: z.string().min(1).max(5).optional() }).optional(),
  })
  .refine((step) => Object.keys(step).length === 1, 'a step of `via` names exactly one lens');
const viaStep = z.union([z.enum(viaNames), viaObject]);

const fieldMappingSpec = z.union([
  path,
  z.strictObject({
    remote: z
      .union([path, z.array(path).min(1).max(10)])
      .optional()
      .describe('Path or paths at the spoke'),
    via: z
      .union([viaStep, z.array(viaStep).min(1).max(8)])
      .optional()
      .describe('A lens, or several from the spoke to the hub'),
    direction: direction.optional(),
    in: cel.optional().describe('CEL over remote.*: the hub value'),
    out: z
      .union([cel, z.record(path, cel)])
      .optional()
      .describe('CEL over hub.<this field>: the remote value, or one per path'),
  }),
]);

const defaultSpec = z.union([
  scalar,
  z.strictObject({ find: z.strictObject({ object: objectPath, key: z.record(path, scalar) }) }),
  z.strictObject({ literal: z.json() }),
]);

const spokeSpec = z.strictObject({
  object: objectPath.describe('Contact; Order.lineItems for children that Order embeds'),
  where: cel.optional().describe('CEL over remote.*: which remote records belong'),
  when: cel.optional().describe('CEL over hub.*: which hub records this spoke gets'),
  direction: direction.optional(),
  create: z.boolean().optional().describe('May records be created in this spoke? Default true'),
  delete: z
    .enum(['propagate', 'archive', 'unlink', 'ignore'])
    .optional()
    .describe('What a deletion here means; default unlink'),
  fields: z.record(name, fieldMappingSpec).describe('hub field: remote path'),
  defaults: z.record(path, defaultSpec).optional().describe('Sent along when a record is created here'),
});

const matchEntry = z.union([name, z.record(name, z.enum(['exact', 'case-insensitive']))]);

export const mappingSchema = z.strictObject({
  $schema: z.string().optional(),
  entity: name.describe('One kind of thing; the table hub.<entity>'),
  description: z.string().optional(),
  table: z
    .strictObject({
      schema: z.string().min(1).max(63).optional(),
      name: z.string().min(1).max(63),
      id: z.string().min(1).max(63),
    })
    .optional()
    .describe('Adopt an existing table with a single-column primary key'),
  match: z
    .array(z.array(matchEntry).min(1).max(8))
    .max(10)
    .optional()
    .describe('Fields that together identify a record, in order'),
  fields: z.record(name, z.union([z.enum(fieldTypes), fieldSpec])),
  spokes: z.record(name, spokeSpec),
});

export type MappingSpec = z.infer<typeof mappingSchema>;
export type FieldSpec = z.infer<typeof fieldSpec>;
export type SpokeSpec = z.infer<typeof spokeSpec>;
export type FieldMappingSpec = z.infer<typeof fieldMappingSpec>;
export type ViaStep = z.infer<typeof viaStep>;
export type DefaultSpec = z.infer<typeof defaultSpec>;

/** What mappings/schema.json holds. */
export function mappingJsonSchema(): unknown {
  return z.toJSONSchema(mappingSchema, { io: 'input', unrepresentable: 'any' });
}
