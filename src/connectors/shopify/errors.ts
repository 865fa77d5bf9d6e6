// Owns what each failure of Shopify means for the caller: statuses, GraphQL errors and user errors. Pure.
// Never guesses success: what is not surely refused and not surely applied is unknown.
import { BadRecord, OutcomeUnknown, RateLimited, SpokePaused } from '../../base/errors.js';
import type { TruespokeError } from '../../base/errors.js';
import type { HttpResponse } from '../../base/http.js';
import { remotePath } from '../../model/ids.js';
import type { ObjectSpec, Rejected } from './objects/spec.js';

export interface GraphqlError {
  readonly message: string;
  /** `extensions.code`, or '' where the remote gave none. */
  readonly code: string;
  readonly path: readonly (string | number)[];
}

export interface UserError {
  readonly field: readonly string[];
  readonly message: string;
  readonly code: string;
}

/** Codes of answers given before anything ran. */
const refusedBeforeExecution = new Set([
  'undefinedField',
  'argumentLiteralsIncompatible',
  'missingRequiredArguments',
  'missingRequiredInputObjectAttribute',
  'variableMismatch',
  'INVALID_VARIABLE',
  'GRAPHQL_VALIDATION_FAILED',
  'GRAPHQL_PARSE_FAILED',
  'BAD_USER_INPUT',
  'argumentNotAccepted',
  'selectionMismatch',
  'PARSE_ERROR',
  'parseError',
]);

/** The whole request was refused before any of it ran. */
export function refusedWhole(errors: readonly GraphqlError[], hasData: boolean): boolean {
  if (hasData || errors.length === 0) return false;
  return errors.every((error) => refusedBeforeExecution.has(error.code) || /^Variable "?\$/.test(error.message));
}

/** What an HTTP status other than 2xx means. `retryAfterMs` was parsed by the caller, which has the clock. */
export function statusError(response: HttpResponse, spoke: string, retryAfterMs: number): TruespokeError {
  const { status } = response;
  if (status === 429) {
    return new RateLimited(
      { spoke, code: 'http_429', message: `${spoke}: Shopify asks us to wait (HTTP 429)` },
      retryAfterMs,
    );
  }
  const paused = pauses[status] ?? (status >= 300 && status < 400 ? redirected : undefined);
  if (paused !== undefined)
    return new SpokePaused({
      spoke,
      code: paused.code,
      message: `${spoke}: ${paused.message} (HTTP ${status})`,
      hint: paused.hint,
    });
  if (status === 400 || status === 413 || status === 414) {
    return new BadRecord({
      spoke,
      code: `http_${status}`,
      message: `${spoke}: Shopify refused the request (HTTP ${status})`,
    });
  }
  return unknown(spoke, `http_${status}`, `Shopify answered HTTP ${status}`);
}

export function unknown(spoke: string, code: string, what: string, cause?: unknown): OutcomeUnknown {
  return new OutcomeUnknown({
    spoke,
    code,
    message: `${spoke}: ${what}; whether the request had an effect is not known`,
    cause,
  });
}

const redirected = {
  code: 'redirected',
  message: 'Shopify redirected us elsewhere, and the access token does not follow',
  hint: "set `shop` to the shop's present myshopify.com domain",
};

const pauses: Readonly<Record<number, { code: string; message: string; hint: string }>> = {
  401: {
    code: 'unauthorised',
    message: 'Shopify refused the access token',
    hint: 'install the app again or renew accessToken, then resume the spoke',
  },
  402: { code: 'shop_frozen', message: 'the shop is frozen', hint: 'its owner must settle the account with Shopify' },
  403: {
    code: 'forbidden',
    message: 'Shopify forbids this app the shop',
    hint: 'check that the app is installed and its scopes are granted',
  },
  404: {
    code: 'shop_missing',
    message: 'Shopify knows no such shop or API version',
    hint: 'check `shop` and `apiVersion`',
  },
  423: { code: 'shop_locked', message: 'the shop is locked', hint: 'its owner must contact Shopify' },
};

const gonePattern = /does(n't| not) exist|not found|can't be found|could not be found|cannot be found/i;
const takenPattern = /already been taken|already exists|must be unique|not unique/i;
const passingPattern = /try again|currently being modified|lock|timed? ?out|internal error/i;

export const saysGone = (error: UserError): boolean =>
  ['NOT_FOUND', 'PRODUCT_DOES_NOT_EXIST', 'PRODUCT_VARIANT_DOES_NOT_EXIST', 'RECORD_NOT_FOUND'].includes(error.code) ||
  gonePattern.test(error.message);

export const saysTaken = (error: UserError): boolean =>
  ['TAKEN', 'HANDLE_NOT_UNIQUE', 'DUPLICATED_METAFIELD_VALUE'].includes(error.code) || takenPattern.test(error.message);

/** User errors of one mutation → one rejection. The first error decides; all are told. */
export function toRejected(errors: readonly UserError[], spec: ObjectSpec): Rejected {
  const first = errors[0];
  const paths = [...new Set(errors.flatMap((error) => toPath(error, spec)))];
  return {
    outcome: 'rejected',
    code: first === undefined || first.code === '' ? 'user_error' : first.code,
    message: errors.map((error) => `${error.field.join('.')}: ${error.message}`.replace(/^: /, '')).join('; '),
    recovery: recoveryOf(errors),
    paths: paths.map(remotePath),
  };
}

function recoveryOf(errors: readonly UserError[]): Rejected['recovery'] {
  if (errors.some(saysTaken)) return 'duplicate';
  // A missing *other* record (a customer named by an order) is not this record's absence.
  if (
    errors.some(
      (error) =>
        saysGone(error) &&
        error.field.every((step) => ['id', 'input', 'identifier', 'productId', 'product'].includes(step)),
    )
  )
    return 'gone';
  if (errors.some((error) => error.code === 'JOB_ERROR' || passingPattern.test(error.message))) return 'retry';
  return 'park';
}

/** ['input', 'variants', '0', 'price'] → `variant.price`, by where the catalogue writes. */
function toPath(error: UserError, spec: ObjectSpec): readonly string[] {
  const last = error.field.filter((step) => !/^\d+$/.test(step)).at(-1);
  if (last === undefined) return [];
  const written = spec.paths.filter((path) =>
    [path.create, path.update].some((place) => place?.split('.').at(-1) === last),
  );
  const inVariant = error.field.includes('variants');
  const match = written.find((path) => path.path.startsWith('variant.') === inVariant) ?? written[0];
  return match === undefined ? [] : [match.path];
}
