// Owns the fence around the console: which addresses are ours alone, which host names we answer to, what a browser may do.
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

/** On every answer. The page adds its own content policy; everything else may load nothing at all. */
export const securityHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** Host names under which a person on this machine reaches us; any other in the Host header is a rebound name. */
export function localHost(
  header: string | undefined,
  own: { readonly host: string; readonly publicUrl?: string | undefined },
): boolean {
  const name = (header ?? '')
    .toLowerCase()
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1');
  if (isLoopback(name) || name === own.host) return true;
  return own.publicUrl !== undefined && name === new URL(own.publicUrl).hostname.toLowerCase();
}

/** A browser tells where a request comes from; programs do not and need no protection from themselves. */
export function crossSite(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  const origin = headers.origin;
  if (origin === undefined) return false;
  return !URL.canParse(origin) || new URL(origin).host !== headers.host;
}
