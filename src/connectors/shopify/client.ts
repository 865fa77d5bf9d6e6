// Owns the one door to @shopify/shopify-api, used as transport only: it builds the request, we send it.
// Promises one attempt over deps.http with a total deadline. Never uses the library's retries: it reads Retry-After
// seconds as milliseconds and sends a mutation again after a reset. Never uses its reading of the answer either: the
// raw exchange is returned, since partial data, THROTTLED and broken bodies must be told apart.
import '@shopify/shopify-api/adapters/node';
import { LogSeverity, Session, shopifyApi } from '@shopify/shopify-api';
import type { ApiVersion } from '@shopify/shopify-api';
import { setAbstractFetchFunc } from '@shopify/shopify-api/runtime';
import { HttpFailure } from '../../base/http.js';
import type { Http, HttpResponse } from '../../base/http.js';
import type { ShopifyConfig } from './config.js';

/** Sends one GraphQL request. Resolves with any status; rejects with HttpFailure only. */
export type Transport = (request: {
  readonly document: string;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal | undefined;
}) => Promise<HttpResponse>;

const answerBytesMax = 64 * 1024 * 1024;

export function createTransport(config: ShopifyConfig, http: Http): Transport {
  const library = shopifyApi({
    apiSecretKey: 'unused: webhooks are verified by our own code',
    apiVersion: config.apiVersion as ApiVersion,
    hostName: 'localhost',
    isEmbeddedApp: false,
    isCustomStoreApp: true,
    adminApiAccessToken: config.accessToken,
    logger: { level: LogSeverity.Error, httpRequests: false, log: () => undefined },
  });
  const session = new Session({ id: config.shop, shop: config.shop, state: '', isOnline: false });

  return async ({ document, variables, signal }) => {
    let outcome: { response: HttpResponse } | { failure: HttpFailure } | null = null;
    const send = async (input: unknown, init?: { headers?: unknown; body?: unknown }): Promise<Response> => {
      try {
        const response = await http.request({
          method: 'POST',
          url: rebase(String(input), config.apiUrl),
          headers: init?.headers as Record<string, string>,
          body: String(init?.body),
          deadlineMs: config.deadlineSeconds * 1000,
          bodyBytesMax: answerBytesMax,
          signal,
        });
        outcome = { response };
        return toFetchResponse(response);
      } catch (cause) {
        const failure = cause instanceof HttpFailure ? cause : new HttpFailure('request failed', true, { cause });
        outcome = { failure };
        throw failure;
      }
    };
    // A client takes the fetch function that is set at the moment it is built, so each request gets its own, and two
    // shops never share one. Nothing is awaited between the two lines.
    setAbstractFetchFunc(send as typeof fetch);
    const client = new library.clients.Graphql({ session });
    const settled = await client
      .request(document, { variables: { ...variables }, retries: 0 })
      .catch((error: unknown) => error);
    return readOutcome(outcome, settled);
  };
}

function readOutcome(
  outcome: { response: HttpResponse } | { failure: HttpFailure } | null,
  settled: unknown,
): HttpResponse {
  // Without an outcome the library refused before it called us: nothing was sent.
  if (outcome === null) throw new HttpFailure('the request could not be built', false, { cause: settled });
  if ('failure' in outcome) throw outcome.failure;
  return outcome.response;
}

/** The library always dials https://<shop>; only the origin is ours to change. */
function rebase(url: string, apiUrl: string | undefined): string {
  if (apiUrl === undefined) return url;
  const { pathname, search } = new URL(url);
  return `${apiUrl.replace(/\/+$/, '')}${pathname}${search}`;
}

function toFetchResponse(response: HttpResponse): Response {
  const empty = [101, 204, 205, 304].includes(response.status);
  const status = response.status >= 200 && response.status <= 599 ? response.status : 502;
  const headers: [string, string][] = Object.entries(response.headers).filter(([name]) => name !== 'content-encoding');
  return new Response(empty ? null : Buffer.from(response.body), { status, headers });
}
