// Owns who may call: OAuth token requests (JWT bearer, client credentials, refresh token, password), sessions that expire and
// can be revoked, user info. Secrets stay in memory; none is ever logged.
import { createPublicKey, generateKeyPairSync, randomBytes, timingSafeEqual, verify } from 'node:crypto';
import { must } from '../../base/assert.js';
import type { Clock } from '../../base/clock.js';
import type { Reply } from '../faults.js';
import { json } from './call.js';
import { ApiError } from './errors.js';
import type { Org } from './org.js';

export interface AuthOptions {
  readonly clientId?: string | undefined;
  readonly clientSecret?: string | undefined;
  /** PEM: verifies JWT assertions. Without it the simulator makes a pair; see `credentials.privateKey`. */
  readonly publicKey?: string | undefined;
  /** The integration user; must be a user of the org. */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly tokenLifetimeMs?: number | undefined;
  /** Each refresh gives a new refresh token and ends the old one. */
  readonly rotateRefreshTokens?: boolean | undefined;
}

export interface Credentials {
  readonly clientId: string;
  readonly clientSecret: string;
  readonly username: string;
  readonly password: string;
  /** PEM of the key that belongs to the simulator's own public key; '' when a public key was given. */
  readonly privateKey: string;
  /** The refresh token of the integration user at start. */
  readonly refreshToken: string;
}

export interface Session {
  readonly userId: string;
  readonly username: string;
  readonly expiresAt: number;
}

interface Refresh {
  readonly userId: string;
  readonly username: string;
}

/** An OAuth refusal: 400 with `error` and `error_description`. */
class Refused extends Error {
  constructor(
    readonly error: string,
    description: string,
    readonly status = 400,
  ) {
    super(description);
  }
}

const defaults = {
  clientId: 'truespoke-simulator',
  clientSecret: 'simulated-secret',
  password: 'simulated-password',
  tokenLifetimeMs: 7_200_000,
};
const userName = 'integration@truespoke.example';

export class Auth {
  readonly credentials: Credentials;
  private readonly keys: () => KeyPair;
  private readonly sessions = new Map<string, Session>();
  private readonly refreshTokens = new Map<string, Refresh>();
  private readonly usedAssertions = new Set<string>();
  private rotate: boolean;
  private lifetimeMs: number;

  constructor(
    private readonly org: Org,
    private readonly clock: Clock,
    private readonly base: () => string,
    options: AuthOptions,
  ) {
    const username = options.username ?? userName;
    if (org.userNamed(username) === undefined) org.addUser(username, null, 'Integration');
    // Made when first needed: a key pair costs a quarter of a second, and most tests never use it.
    this.keys = once(() =>
      options.publicKey === undefined ? makeKeys() : { publicKey: options.publicKey, privateKey: '' },
    );
    const { keys } = this;
    this.rotate = options.rotateRefreshTokens ?? false;
    this.lifetimeMs = options.tokenLifetimeMs ?? defaults.tokenLifetimeMs;
    this.credentials = {
      clientId: options.clientId ?? defaults.clientId,
      clientSecret: options.clientSecret ?? defaults.clientSecret,
      username,
      password: options.password ?? defaults.password,
      get privateKey() {
        return keys().privateKey;
      },
      refreshToken: this.grantRefresh(must(org.userNamed(username), 'integration user'), username),
    };
  }

  /** The session behind `Authorization: Bearer …`; throws INVALID_SESSION_ID. */
  session(authorization: string | undefined): Session {
    const token = /^(?:Bearer|OAuth)\s+(\S+)$/i.exec(authorization ?? '')?.[1];
    const session = token === undefined ? undefined : this.sessions.get(token);
    if (session === undefined || session.expiresAt <= this.clock.now()) {
      throw new ApiError('INVALID_SESSION_ID', 'Session expired or invalid');
    }
    return session;
  }

  /** Opens a session without OAuth: SOAP login, tests. */
  openSession(username: string, password?: string): string | null {
    const userId = this.org.userNamed(username);
    if (userId === undefined || (password !== undefined && !same(password, this.credentials.password))) return null;
    return this.grant(userId, username);
  }

  /** A person authorises the app again: a new refresh token of the integration user. */
  authorise(): string {
    const { username } = this.credentials;
    return this.grantRefresh(must(this.org.userNamed(username), 'integration user'), username);
  }

  /** Ends all access tokens (`what: 'access'`), all refresh tokens, or both. */
  revokeAll(what: 'access' | 'refresh' | 'all'): void {
    if (what !== 'refresh') this.sessions.clear();
    if (what !== 'access') this.refreshTokens.clear();
  }

  set(change: {
    readonly rotateRefreshTokens?: boolean | undefined;
    readonly tokenLifetimeMs?: number | undefined;
  }): void {
    this.rotate = change.rotateRefreshTokens ?? this.rotate;
    this.lifetimeMs = change.tokenLifetimeMs ?? this.lifetimeMs;
  }

  /** `http://127.0.0.1:port` */
  baseUrl(): string {
    return this.base();
  }

  /** POST /services/oauth2/token */
  token(form: URLSearchParams, authorization: string | undefined): Reply {
    try {
      return json(200, this.answer(form, authorization));
    } catch (error) {
      if (error instanceof Refused) return json(error.status, { error: error.error, error_description: error.message });
      throw error;
    }
  }

  /** POST /services/oauth2/revoke */
  revoke(form: URLSearchParams): Reply {
    const token = form.get('token') ?? '';
    const known = this.sessions.delete(token) || this.refreshTokens.delete(token);
    if (known) return { status: 200, headers: { 'content-type': 'text/plain' }, body: '' };
    return json(400, { error: 'unsupported_token_type', error_description: 'this token type is not supported' });
  }

  userInfo(session: Session): Reply {
    const user = this.org.store.table('User').get(session.userId) ?? {};
    return json(200, {
      sub: this.identityUrl(session.userId),
      user_id: session.userId,
      organization_id: this.org.orgId,
      preferred_username: session.username,
      nickname: user['Alias'],
      name: user['Name'],
      email: user['Email'],
      email_verified: true,
      given_name: user['FirstName'],
      family_name: user['LastName'],
      zoneinfo: 'Etc/UTC',
      active: true,
      user_type: 'STANDARD',
      urls: this.urls(),
    });
  }

  /** GET /id/{org}/{user} */
  identity(session: Session): Reply {
    const user = this.org.store.table('User').get(session.userId) ?? {};
    return json(200, {
      id: this.identityUrl(session.userId),
      asserted_user: true,
      user_id: session.userId,
      organization_id: this.org.orgId,
      username: session.username,
      nick_name: user['Alias'],
      display_name: user['Name'],
      email: user['Email'],
      active: true,
      user_type: 'STANDARD',
      language: 'en_US',
      locale: 'en_US',
      utcOffset: 0,
      last_modified_date: user['LastModifiedDate'],
      urls: this.urls(),
      is_app_installed: true,
    });
  }

  private urls(): object {
    const base = this.base();
    const rest = `${base}/services/data/v{version}/`;
    return {
      rest,
      sobjects: `${rest}sobjects/`,
      query: `${rest}query/`,
      search: `${rest}search/`,
      recent: `${rest}recent/`,
      partner: `${base}/services/Soap/u/{version}/${this.org.orgId}`,
      enterprise: `${base}/services/Soap/c/{version}/${this.org.orgId}`,
      custom_domain: base,
    };
  }

  private answer(form: URLSearchParams, authorization: string | undefined): object {
    switch (form.get('grant_type')) {
      case 'urn:ietf:params:oauth:grant-type:jwt-bearer':
        return this.tokenBody(this.jwtUser(form.get('assertion') ?? ''));
      case 'client_credentials': {
        this.requireClient(form, authorization);
        return this.tokenBody(this.credentials.username);
      }
      case 'password': {
        this.requireClient(form, authorization);
        const username = form.get('username') ?? '';
        const known =
          this.org.userNamed(username) !== undefined && same(form.get('password') ?? '', this.credentials.password);
        if (!known) throw new Refused('invalid_grant', 'authentication failure');
        return this.tokenBody(username);
      }
      case 'refresh_token':
        return this.refresh(form);
      default:
        throw new Refused('unsupported_grant_type', 'grant type not supported');
    }
  }

  private refresh(form: URLSearchParams): object {
    if ((form.get('client_id') ?? '') !== this.credentials.clientId)
      throw new Refused('invalid_client_id', 'client identifier invalid');
    const secret = form.get('client_secret');
    if (secret !== null && !same(secret, this.credentials.clientSecret))
      throw new Refused('invalid_client', 'invalid client credentials');
    const token = form.get('refresh_token') ?? '';
    const known = this.refreshTokens.get(token);
    if (known === undefined) throw new Refused('invalid_grant', 'expired access/refresh token');
    const body = this.tokenBody(known.username);
    if (!this.rotate) return body;
    this.refreshTokens.delete(token);
    return { ...body, refresh_token: this.grantRefresh(known.userId, known.username) };
  }

  private requireClient(form: URLSearchParams, authorization: string | undefined): void {
    const basic = /^Basic\s+(\S+)$/i.exec(authorization ?? '')?.[1];
    const [basicId, basicSecret] = basic === undefined ? [] : Buffer.from(basic, 'base64').toString('utf8').split(':');
    const id = form.get('client_id') ?? basicId ?? '';
    const secret = form.get('client_secret') ?? basicSecret ?? '';
    if (id !== this.credentials.clientId) throw new Refused('invalid_client_id', 'client identifier invalid');
    if (!same(secret, this.credentials.clientSecret)) throw new Refused('invalid_client', 'invalid client credentials');
  }

  /** Checks signature, issuer, audience, expiry; gives the user that the assertion names. */
  private jwtUser(assertion: string): string {
    const [head = '', payload = '', signature = ''] = assertion.split('.');
    const header = decode(head);
    const claims = decode(payload);
    if (header === null || claims === null) throw new Refused('invalid_grant', 'invalid assertion');
    if (header['alg'] !== 'RS256') throw new Refused('invalid_grant', 'algorithm not supported');
    if (claims['iss'] !== this.credentials.clientId)
      throw new Refused('invalid_client_id', 'client identifier invalid');
    const signed = Buffer.from(`${head}.${payload}`);
    if (!verify('RSA-SHA256', signed, createPublicKey(this.keys().publicKey), Buffer.from(signature, 'base64url'))) {
      throw new Refused('invalid_grant', 'invalid assertion');
    }
    const audiences = [
      'https://login.salesforce.com',
      'https://test.salesforce.com',
      this.base(),
      `${this.base()}/services/oauth2/token`,
    ];
    if (!audiences.includes(String(claims['aud']).replace(/\/$/, '')))
      throw new Refused('invalid_grant', 'audience is invalid');
    const expiry = claims['exp'];
    if (typeof expiry !== 'number' || expiry * 1000 <= this.clock.now())
      throw new Refused('invalid_grant', 'expired authorization code');
    // A `jti` makes an assertion single-use.
    const once = claims['jti'];
    if (typeof once === 'string' && this.usedAssertions.has(once))
      throw new Refused('invalid_grant', 'assertion has been used');
    if (typeof once === 'string') this.usedAssertions.add(once);
    const username = String(claims['sub'] ?? claims['prn']);
    if (this.org.userNamed(username) === undefined)
      throw new Refused('invalid_grant', "user hasn't approved this consumer");
    return username;
  }

  private tokenBody(username: string): object {
    const userId = must(this.org.userNamed(username), 'user');
    return {
      access_token: this.grant(userId, username),
      scope: 'api',
      instance_url: this.base(),
      id: this.identityUrl(userId),
      token_type: 'Bearer',
      issued_at: String(this.clock.now()),
      signature: randomBytes(32).toString('base64'),
    };
  }

  private identityUrl(userId: string): string {
    return `${this.base()}/id/${this.org.orgId}/${userId}`;
  }

  private grant(userId: string, username: string): string {
    const token = `${this.org.orgId.slice(0, 15)}!${randomBytes(48).toString('base64url')}`;
    this.sessions.set(token, { userId, username, expiresAt: this.clock.now() + this.lifetimeMs });
    return token;
  }

  private grantRefresh(userId: string, username: string): string {
    const token = `5Aep${randomBytes(32).toString('base64url')}`;
    this.refreshTokens.set(token, { userId, username });
    return token;
  }
}

interface KeyPair {
  readonly publicKey: string;
  readonly privateKey: string;
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => (made ??= { value: make() }).value;
}

function makeKeys(): KeyPair {
  return generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}

function same(a: string, b: string): boolean {
  const x = Buffer.from(a);
  const y = Buffer.from(b);
  return x.length === y.length && timingSafeEqual(x, y);
}

function decode(part: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    // Not JSON: the caller refuses the assertion.
    return null;
  }
}
