// Owns the shape of truespoke.yaml: each key with its type, bound and default in one place. References are resolved before this.
import { z } from 'zod';
import { spokeKeys } from './references.js';

/** A number may come from the environment, which knows only text. */
const whole = (min: number, max: number): z.ZodType<number> =>
  z.preprocess(
    (value) => (typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value),
    z.int().min(min).max(max),
  );

const cron = z.string().regex(/^(\S+\s+){4,5}\S+$/, 'expected a cron line of five fields, such as "0 3 * * *" (UTC)');

const httpUrl = z.url({ protocol: /^https?$/, error: 'expected an address such as https://hub.example.com' });

const limits = z.strictObject({ concurrency: whole(1, 100).optional(), spacingMs: whole(0, 60_000).default(0) });
const quota = z.strictObject({
  reserve: whole(0, 90).default(20).describe('Percent of the quota left to other applications'),
});
const deletions = z.strictObject({ max: whole(1, 1_000_000).default(100), percent: whole(1, 100).default(10) });

/** The engine's own keys of a spoke; everything else belongs to the connector. */
const spoke = z.looseObject({
  connector: z.string().min(1),
  enabled: z.boolean().default(true),
  limits: limits.prefault({}),
  quota: quota.prefault({}),
  deletions: deletions.prefault({}),
});

const token = z.strictObject({
  name: z.string().min(1).max(80),
  role: z.enum(['viewer', 'operator', 'admin']),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'expected the SHA-256 of the token, 64 hex digits: `truespoke token <name>` prints it'),
});

function isPostgresUrl(text: string): boolean {
  return /^postgres(ql)?:\/\//.test(text) && URL.canParse(text);
}

const hub = z.strictObject({
  url: z.string().refine(isPostgresUrl, 'expected postgres://user:password@host:5432/database').optional(),
  dataDir: z.string().min(1).default('.truespoke'),
  poolSize: whole(2, 200).default(10),
});

const server = z.strictObject({
  host: z.string().min(1).max(255).default('127.0.0.1'),
  port: whole(0, 65_535).default(7420),
  publicUrl: httpUrl.optional(),
  tokens: z.array(token).max(100).default([]),
});

const schedule = z.strictObject({
  poll: whole(1, 86_400).default(10).describe('Seconds between two polls of a spoke'),
  reconcile: z
    .union([cron, z.literal(false)])
    .default('0 3 * * *')
    .describe('Cron in UTC, or false'),
  catalogue: whole(5, 60).default(60).describe('Seconds between two looks at slot and publication'),
  retentionDays: whole(1, 3_650).default(30),
});

export const configSchema = z.strictObject({
  $schema: z.string().optional(),
  hub: hub.prefault({}),
  mappings: z.string().min(1).default('mappings'),
  spokes: z
    .record(
      z
        .string()
        .regex(/^[a-z][a-z0-9_-]{0,39}$/, 'expected lower-case letters, digits, - and _, starting with a letter'),
      spoke,
    )
    .refine((spokes) => Object.keys(spokes).length > 0, 'name at least one spoke'),
  server: server.prefault({}),
  schedule: schedule.prefault({}),
  log: z
    .strictObject({ level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info') })
    .prefault({}),
});

export type RawConfig = z.output<typeof configSchema>;

/** A spoke's keys that are the connector's. */
export function connectorOptions(raw: RawConfig['spokes'][string]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(raw).filter(([key]) => !spokeKeys.includes(key)));
}
