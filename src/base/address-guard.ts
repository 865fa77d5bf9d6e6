// Owns which hosts and addresses we may connect to (F129). The check runs on the very address that is connected to:
// resolved once per connection and pinned to it, so a name that resolves differently a moment later gains nothing.
import { lookup, type LookupAddress, type LookupOptions } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

export interface AddressRules {
  /** Host names that may be called: exact, `host:port`, or `*.example.com`. Absent = any public host. */
  readonly hosts?: readonly string[] | undefined;
  /** 127.0.0.0/8 and ::1: simulators and tests. */
  readonly allowLoopback?: boolean | undefined;
  /** RFC 1918, unique local, carrier-grade NAT: a spoke inside the user's own network. Link-local is never allowed. */
  readonly allowPrivate?: boolean | undefined;
}

export interface AddressGuard {
  /** The reason why this URL may not be called, or null. Names are checked again, by address, while connecting. */
  refusal(url: URL): string | null;
  /** For `net.connect`: fails when any address that the name resolves to is refused. */
  readonly lookup: LookupFunction;
}

type Resolve = (
  host: string,
  options: LookupOptions,
  done: (error: Error | null, found: LookupAddress[]) => void,
) => void;

const loopback = ranges(['127.0.0.0/8'], ['::1/128']);
const local = ranges(
  ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '198.18.0.0/15'],
  ['fc00::/7', 'fec0::/10'],
);
// Metadata services live in link-local space; the rest are addresses that no remote system has.
const never = ranges(
  ['0.0.0.0/8', '169.254.0.0/16', '192.0.0.0/24', '224.0.0.0/4', '240.0.0.0/4'],
  ['::/128', 'fe80::/10', 'ff00::/8', 'fd00:ec2::/32', '64:ff9b:1::/48', '2002::/16', '2001::/32'],
);

/** An IPv4 range also covers its IPv4-mapped (by BlockList itself) and NAT64 (64:ff9b::/96) spellings. */
function ranges(v4: readonly string[], v6: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of v4) {
    const [net = '', bits = '32'] = range.split('/');
    list.addSubnet(net, Number(bits), 'ipv4');
    list.addSubnet(`64:ff9b::${net}`, 96 + Number(bits), 'ipv6');
  }
  for (const range of v6) {
    const [net = '', bits = '128'] = range.split('/');
    list.addSubnet(net, Number(bits), 'ipv6');
  }
  return list;
}

/** The kind of ground an IP address lies on. Anything that is no IP address counts as `never`. */
export function addressKind(address: string): 'public' | 'loopback' | 'private' | 'never' {
  const family = isIP(address);
  if (family === 0) return 'never';
  const type = family === 4 ? 'ipv4' : 'ipv6';
  if (never.check(address, type)) return 'never';
  if (loopback.check(address, type)) return 'loopback';
  return local.check(address, type) ? 'private' : 'public';
}

export class AddressRefused extends Error {
  override readonly name = 'AddressRefused';
}

export function addressGuard(rules: AddressRules, resolve: Resolve = resolveAll): AddressGuard {
  const refuseAddress = (address: string): string | null => {
    const kind = addressKind(address);
    if (kind === 'public') return null;
    if (kind === 'loopback') return rules.allowLoopback === true ? null : `${address} is a loopback address`;
    if (kind === 'private') return rules.allowPrivate === true ? null : `${address} is a private address`;
    return `${address} is a link-local or reserved address`;
  };
  return {
    refusal(url) {
      if (url.protocol !== 'https:' && url.protocol !== 'http:') return `${url.protocol} is not http or https`;
      if (url.username !== '' || url.password !== '') return 'the address carries a user name or password';
      if (rules.hosts !== undefined && !rules.hosts.some((rule) => hostMatches(rule, url))) {
        return `host ${url.host} is not on the list of allowed hosts`;
      }
      const bare = url.hostname.replace(/^\[|\]$/g, '');
      return isIP(bare) === 0 ? null : refuseAddress(bare);
    },
    lookup(hostname, options, callback) {
      resolve(hostname, { ...options, all: true }, (error, found) => {
        if (error !== null) return callback(error, '');
        const refused = found.map(({ address }) => refuseAddress(address)).find((reason) => reason !== null);
        if (refused !== undefined) return callback(new AddressRefused(`${hostname}: ${refused}`), '');
        const first = found[0];
        if (first === undefined) return callback(new Error(`${hostname} has no address`), '');
        return options.all === true ? callback(null, [...found]) : callback(null, first.address, first.family);
      });
    },
  };
}

function resolveAll(
  host: string,
  options: LookupOptions,
  done: (error: Error | null, found: LookupAddress[]) => void,
): void {
  lookup(host, { ...options, all: true }, (error, found) => done(error, found));
}

function hostMatches(rule: string, url: URL): boolean {
  const wanted = rule.toLowerCase();
  if (wanted.startsWith('*.')) return url.hostname.endsWith(wanted.slice(1)) && url.hostname.length > wanted.length - 1;
  return wanted === url.hostname || wanted === url.host;
}
