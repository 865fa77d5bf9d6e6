// Owns the configuration of one Shopify shop: parsed once, every problem listed at once. Never keeps a secret's text
// anywhere but in the parsed value.
import { z } from 'zod';
import { Problems } from '../../base/errors.js';
import type { Problem } from '../../base/errors.js';
import type { ConfigPlace } from '../connector.js';

/** Versions whose schemas every document of ours has been validated against. */
export const apiVersions = ['2026-01', '2026-04', '2026-07', '2026-10'] as const;

const namespace = /^(\$app(:[A-Za-z0-9_-]{1,200})?|[A-Za-z0-9_-]{3,255})$/;

const schema = z.strictObject({
  /** The permanent domain, e.g. `acme.myshopify.com`. */
  shop: z
    .string()
    .toLowerCase()
    .regex(/^[a-z0-9][a-z0-9-]*\.myshopify\.com$/, "must be the shop's permanent domain, like acme.myshopify.com"),
  apiVersion: z.enum(apiVersions).default('2026-10'),
  accessToken: z.string().min(1, 'must not be empty'),
  /** The app's client secret; two while it is being rotated. Without it webhooks are refused and polling does the work. */
  webhookSecrets: z.array(z.string().min(1, 'must not be empty')).min(1).max(2).optional(),
  /** Base address instead of https://<shop>, for a simulator or a recording proxy on loopback. */
  apiUrl: z.url({ protocol: /^https?$/ }).optional(),
  /** Where the hub id is kept in Shopify: a metafield with unique values. */
  hubKey: z
    .strictObject({
      namespace: z.string().regex(namespace, 'must be 3 to 255 letters, digits, - or _, or $app').default('truespoke'),
      key: z
        .string()
        .regex(/^[A-Za-z0-9_-]{2,64}$/, 'must be 2 to 64 letters, digits, - or _')
        .default('hub_id'),
    })
    .prefault({}),
  /** Polls stay this far behind the shop's clock, because its search index lags behind writes. */
  lagSeconds: z.number().int().min(1).max(3600).default(2),
  /** Polls look this far back again, for what became visible late. */
  overlapSeconds: z.number().int().min(0).max(86_400).default(120),
  /** Whole exchange of one request. */
  deadlineSeconds: z.number().min(0.1).max(300).default(30),
});

export type ShopifyConfig = z.output<typeof schema>;

/** Throws `Problems` with all of them. */
export function parseConfig(raw: unknown, place: ConfigPlace): ShopifyConfig {
  const parsed = schema.safeParse(raw);
  const problems: Problem[] = parsed.success ? [] : parsed.error.issues.flatMap((issue) => toProblems(issue, place));
  if (parsed.success && parsed.data.apiUrl !== undefined)
    problems.push(...refuseRemotePlain(parsed.data.apiUrl, place));
  if (problems.length > 0) throw new Problems(problems);
  return parsed.data as ShopifyConfig;
}

function toProblems(issue: z.core.$ZodIssue, place: ConfigPlace): Problem[] {
  const path = issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step));
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      ...place([...path, key]),
      message: `unknown key ${JSON.stringify(key)} in a shopify spoke`,
      hint: `known keys: ${Object.keys(schema.shape).join(', ')}`,
    }));
  }
  const name = path.join('.') || 'the spoke';
  return [{ ...place(path), message: `${name}: ${issue.message}` }];
}

function refuseRemotePlain(apiUrl: string, place: ConfigPlace): Problem[] {
  const url = new URL(apiUrl);
  const loopback = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  if (url.protocol === 'https:' || loopback) return [];
  const message = `apiUrl: ${url.origin} would send the access token in plain text`;
  return [{ ...place(['apiUrl']), message, hint: 'use https, or a loopback address' }];
}
