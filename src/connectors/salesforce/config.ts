// Owns the connector's section of truespoke.yaml: shape, defaults, and every problem at once. Secrets arrive already
// resolved as text; they are kept in the returned object only and never quoted in a message.
import { createPrivateKey } from 'node:crypto';
import { z } from 'zod';
import { Problems, type Problem } from '../../base/errors.js';
import type { ConfigPlace } from '../connector.js';

export type SalesforceAuth =
  | {
      readonly kind: 'jwt';
      readonly clientId: string;
      readonly username: string;
      readonly privateKey: string;
      readonly audience: string;
    }
  | { readonly kind: 'clientCredentials'; readonly clientId: string; readonly clientSecret: string }
  | {
      readonly kind: 'refreshToken';
      readonly clientId: string;
      readonly clientSecret: string | null;
      readonly refreshToken: string;
    };

export interface SalesforceConfig {
  readonly loginUrl: string;
  /** Pins the host that gets our token; null = what the login says, if it belongs to Salesforce or to the login host. */
  readonly instanceUrl: string | null;
  readonly auth: SalesforceAuth;
  /** `62.0` */
  readonly apiVersion: string;
  /** Unique external id field that holds the hub id. */
  readonly externalIdField: string;
  readonly overlapMinutes: number;
  readonly lagSeconds: number;
  /** Id or name of the price book that companions live in; null = the standard one. */
  readonly pricebook: string | null;
  readonly requestDeadlineMs: number;
  readonly bulkDeadlineMs: number;
  /** Objects with fewer records are read by query, not by a bulk job. */
  readonly bulkScanFrom: number;
  readonly bulkWriteFrom: number;
}

const loopback = new Set(['127.0.0.1', 'localhost', '[::1]']);

const origin = z.string().transform((text, context) => {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'https:' && !(url.protocol === 'http:' && loopback.has(url.hostname)))) {
    context.addIssue({ code: 'custom', message: 'must be an https:// address (http:// only on this machine)' });
    return z.NEVER;
  }
  if (url.username !== '' || url.password !== '' || url.search !== '') {
    context.addIssue({ code: 'custom', message: 'must not carry credentials or a query' });
    return z.NEVER;
  }
  if (url.hostname.endsWith('.lightning.force.com')) {
    context.addIssue({
      code: 'custom',
      message: 'is a Lightning address; use the My Domain address (….my.salesforce.com)',
    });
    return z.NEVER;
  }
  return url.origin;
});

const filled = z.string().min(1, 'must not be empty');

const privateKey = filled.refine((pem) => readable(pem), { message: 'must be a private key in PEM form' });

const jwt = z.strictObject({ clientId: filled, username: filled, privateKey, audience: filled.optional() });
const clientCredentials = z.strictObject({ clientId: filled, clientSecret: filled });
const refreshToken = z.strictObject({ clientId: filled, clientSecret: filled.optional(), refreshToken: filled });

const auth = z
  .strictObject({
    jwt: jwt.optional(),
    clientCredentials: clientCredentials.optional(),
    refreshToken: refreshToken.optional(),
  })
  .refine((given) => Object.values(given).filter((one) => one !== undefined).length === 1, {
    message: 'needs exactly one of jwt, clientCredentials, refreshToken',
  });

const schema = z.strictObject({
  loginUrl: origin.default('https://login.salesforce.com'),
  instanceUrl: origin.optional(),
  auth,
  apiVersion: z
    .union([z.string(), z.number()])
    .default('62.0')
    .transform((given) => (typeof given === 'number' ? given.toFixed(1) : given))
    .refine((text) => /^[3-9]\d\.0$/.test(text), { message: 'must look like 62.0' }),
  externalIdField: z
    .string()
    .regex(/^[A-Za-z]\w{0,79}$/, 'must be a field name')
    .default('Truespoke_Id__c'),
  overlapMinutes: z
    .number()
    .min(0)
    .max(24 * 60)
    .default(15),
  lagSeconds: z.number().min(0).max(600).default(0),
  pricebook: filled.optional(),
  requestDeadlineSeconds: z.number().positive().max(600).default(60),
  bulkDeadlineMinutes: z
    .number()
    .positive()
    .max(24 * 60)
    .default(60),
  bulkScanFrom: z.int().min(0).default(2_000),
  bulkWriteFrom: z.int().min(201).default(2_001),
});

export function parseConfig(raw: unknown, place: ConfigPlace): SalesforceConfig {
  const parsed = schema.safeParse(raw ?? {});
  if (!parsed.success) throw new Problems(parsed.error.issues.flatMap((issue) => problemsOf(issue, place)));
  const { auth: given, ...rest } = parsed.data;
  return {
    loginUrl: rest.loginUrl,
    instanceUrl: rest.instanceUrl ?? null,
    auth: authOf(given, rest.loginUrl),
    apiVersion: rest.apiVersion,
    externalIdField: rest.externalIdField,
    overlapMinutes: rest.overlapMinutes,
    lagSeconds: rest.lagSeconds,
    pricebook: rest.pricebook ?? null,
    requestDeadlineMs: rest.requestDeadlineSeconds * 1_000,
    bulkDeadlineMs: rest.bulkDeadlineMinutes * 60_000,
    bulkScanFrom: rest.bulkScanFrom,
    bulkWriteFrom: rest.bulkWriteFrom,
  };
}

function authOf(given: z.infer<typeof auth>, loginUrl: string): SalesforceAuth {
  if (given.jwt !== undefined) return { kind: 'jwt', ...given.jwt, audience: given.jwt.audience ?? loginUrl };
  if (given.clientCredentials !== undefined) return { kind: 'clientCredentials', ...given.clientCredentials };
  const refresh = given.refreshToken;
  return {
    kind: 'refreshToken',
    clientId: refresh?.clientId ?? '',
    clientSecret: refresh?.clientSecret ?? null,
    refreshToken: refresh?.refreshToken ?? '',
  };
}

function readable(pem: string): boolean {
  try {
    return createPrivateKey(pem).asymmetricKeyType === 'rsa';
  } catch {
    // Any failure means the same to the reader: this text is not a usable key.
    return false;
  }
}

function problemsOf(issue: z.core.$ZodIssue, place: ConfigPlace): Problem[] {
  const path = issue.path.filter((part): part is string | number => typeof part !== 'symbol');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      message: `unknown key ${[...path, key].join('.')}`,
      ...place([...path, key]),
      hint: nearest(key),
    }));
  }
  const name = path.length === 0 ? 'the salesforce section' : path.join('.');
  return [{ message: `${name}: ${issue.message}`, ...place(path) }];
}

const known = [
  ...Object.keys(schema.shape),
  'jwt',
  'clientCredentials',
  'refreshToken',
  'clientId',
  'clientSecret',
  'username',
  'privateKey',
  'audience',
];

function nearest(key: string): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[^a-z]/g, '');
  const wanted = plain(key);
  const close = known.find(
    (name) => plain(name) === wanted || plain(name).includes(wanted) || wanted.includes(plain(name)),
  );
  return close === undefined ? undefined : `did you mean ${close}?`;
}
