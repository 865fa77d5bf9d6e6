// Owns the access token: who asks for it, when, and what is stored before it is used. One refresh at a time in this process
// (a shared promise) and in the installation (state.exclusive). A rotated refresh token is durable before the access token
// that came with it is used once. Never retries a refused credential: that pauses the spoke.
import { createHash, createSign } from 'node:crypto';
import type { Clock } from '../../base/clock.js';
import { SpokePaused } from '../../base/errors.js';
import type { SpokeName } from '../../model/ids.js';
import type { CallOptions, ConnectorState } from '../connector.js';
import type { SalesforceConfig } from './config.js';
import { id18 } from './errors.js';

/** What the token endpoint answered. */
export interface Grant {
  readonly accessToken: string;
  readonly instanceUrl: string;
  /** Identity URL `…/id/<org>/<user>`, where given. */
  readonly identityUrl: string | null;
  readonly refreshToken: string | null;
}

export interface SessionToken {
  readonly accessToken: string;
  readonly instanceUrl: string;
  readonly org: string | null;
  readonly user: string | null;
}

export type GrantCall = (params: Readonly<Record<string, string>>, options: CallOptions) => Promise<Grant>;

export interface Session {
  /** The token in use, logging in when there is none. */
  current(options: CallOptions): Promise<SessionToken>;
  /** A token other than `refused`: whoever comes first asks, the rest wait. */
  renew(refused: SessionToken, options: CallOptions): Promise<SessionToken>;
}

interface SessionParts {
  readonly spoke: SpokeName;
  readonly config: SalesforceConfig;
  readonly state: ConnectorState;
  readonly clock: Clock;
  readonly grant: GrantCall;
}

const stateKey = 'salesforce.refresh-token';

export function createSession(parts: SessionParts): Session {
  let token: SessionToken | null = null;
  let asking: Promise<SessionToken> | null = null;

  const ask = (options: CallOptions): Promise<SessionToken> => {
    // The shared promise must not die with the signal of whoever came first.
    asking ??= obtain(parts, { lane: options.lane })
      .then((fresh) => (token = fresh))
      .finally(() => (asking = null));
    return asking;
  };

  return {
    current: (options) => (token === null ? ask(options) : Promise.resolve(token)),
    renew: (refused, options) =>
      token !== null && token.accessToken !== refused.accessToken && asking === null
        ? Promise.resolve(token)
        : ask(options),
  };
}

async function obtain(parts: SessionParts, options: CallOptions): Promise<SessionToken> {
  const { config, clock } = parts;
  const { auth } = config;
  switch (auth.kind) {
    case 'jwt':
      return accept(
        parts,
        await parts.grant(
          {
            grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
            assertion: assertion(auth.clientId, auth.username, auth.audience, auth.privateKey, clock.now()),
          },
          options,
        ),
      );
    case 'clientCredentials':
      return accept(
        parts,
        await parts.grant(
          { grant_type: 'client_credentials', client_id: auth.clientId, client_secret: auth.clientSecret },
          options,
        ),
      );
    case 'refreshToken':
      return parts.state.exclusive(stateKey, () => rotate(parts, auth.refreshToken, options));
    default:
      return auth satisfies never;
  }
}

/** Under the lock: the newest token of the chain that began with the configured one. */
async function rotate(parts: SessionParts, configured: string, options: CallOptions): Promise<SessionToken> {
  const auth = parts.config.auth;
  if (auth.kind !== 'refreshToken') throw new TypeError('not a refresh token login');
  const chain = createHash('sha256').update(configured).digest('hex');
  const stored = readStored(await parts.state.get(stateKey));
  const refreshToken = stored !== null && stored.chain === chain ? stored.token : configured;
  const params = { grant_type: 'refresh_token', refresh_token: refreshToken, client_id: auth.clientId };
  const grant = await parts.grant(
    auth.clientSecret === null ? params : { ...params, client_secret: auth.clientSecret },
    options,
  );
  // Store before use: a crash after this line finds the new token, a crash before it pauses with 'reauthorise' (F21).
  if (grant.refreshToken !== null && grant.refreshToken !== refreshToken) {
    await parts.state.put(stateKey, JSON.stringify({ chain, token: grant.refreshToken }));
  }
  return accept(parts, grant);
}

function readStored(text: string | null): { chain: string; token: string } | null {
  if (text === null) return null;
  try {
    const value = JSON.parse(text) as Record<string, unknown>;
    return typeof value['chain'] === 'string' && typeof value['token'] === 'string'
      ? { chain: value['chain'], token: value['token'] }
      : null;
  } catch {
    // An unreadable memory is no memory: the configured token is tried, and its refusal says so.
    return null;
  }
}

function accept(parts: SessionParts, grant: Grant): SessionToken {
  const [org, user] = grant.identityUrl?.split('/').slice(-2) ?? [];
  return {
    accessToken: grant.accessToken,
    instanceUrl: instanceOf(parts, grant.instanceUrl),
    org: org === undefined ? null : id18(org),
    user: user === undefined ? null : id18(user),
  };
}

const trusted = /\.(salesforce\.com|force\.com|salesforce\.mil|cloudforce\.com|sfcrmproducts\.cn)$/;

/** The token goes only to a host that the configuration names or that belongs to Salesforce. */
function instanceOf(parts: SessionParts, given: string): string {
  const { instanceUrl, loginUrl } = parts.config;
  if (instanceUrl !== null) return instanceUrl;
  const login = new URL(loginUrl);
  const url = URL.canParse(given) ? new URL(given) : null;
  const known =
    url !== null && (url.origin === login.origin || (url.protocol === 'https:' && trusted.test(url.hostname)));
  if (!known) {
    throw new SpokePaused({
      spoke: parts.spoke,
      code: 'instance_not_trusted',
      message: `${parts.spoke}: the login points to a host that does not belong to Salesforce; the token was not sent there`,
      hint: 'if that host is right, set instanceUrl in truespoke.yaml',
    });
  }
  return url.origin;
}

/** JWT bearer assertion (RFC 7523), valid for three minutes. */
export function assertion(
  clientId: string,
  username: string,
  audience: string,
  privateKey: string,
  nowMs: number,
): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { iss: clientId, sub: username, aud: audience, exp: Math.floor(nowMs / 1_000) + 180 };
  const signed = `${part({ alg: 'RS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${createSign('RSA-SHA256').update(signed).sign(privateKey, 'base64url')}`;
}
