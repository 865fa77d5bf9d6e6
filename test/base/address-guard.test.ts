import { expect, test } from 'vitest';
import { addressGuard, addressKind } from '../../src/base/address-guard.js';

test.each([
  ['8.8.8.8', 'public'],
  ['2606:4700::1111', 'public'],
  ['127.0.0.1', 'loopback'],
  ['127.255.1.2', 'loopback'],
  ['::1', 'loopback'],
  ['::ffff:127.0.0.1', 'loopback'],
  ['10.1.2.3', 'private'],
  ['172.31.255.255', 'private'],
  ['172.32.0.1', 'public'],
  ['192.168.0.1', 'private'],
  ['100.64.0.1', 'private'],
  ['fd12::1', 'private'],
  ['::ffff:10.0.0.1', 'private'],
  ['64:ff9b::10.0.0.1', 'private'],
  ['169.254.169.254', 'never'],
  ['::ffff:169.254.169.254', 'never'],
  ['64:ff9b::a9fe:a9fe', 'never'],
  ['fe80::1', 'never'],
  ['fd00:ec2::254', 'never'],
  ['0.0.0.0', 'never'],
  ['::', 'never'],
  ['224.0.0.1', 'never'],
  ['255.255.255.255', 'never'],
  ['2002:a9fe:a9fe::1', 'never'],
  ['not an address', 'never'],
])('%s is %s', (address, kind) => {
  expect(addressKind(address)).toBe(kind);
});

const resolving = (addresses: readonly string[]): Parameters<typeof addressGuard>[1] => {
  const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  return (_host, _options, done) => done(null, found);
};

const look = (guard: ReturnType<typeof addressGuard>, all: boolean): Promise<unknown> =>
  new Promise((resolve, reject) => {
    guard.lookup('spoke.example.com', { all }, (error, address) => (error === null ? resolve(address) : reject(error)));
  });

test('F129 a name that resolves to a metadata address is refused while connecting, whatever else it resolves to', async () => {
  const guard = addressGuard({}, resolving(['93.184.216.34', '169.254.169.254']));
  await expect(look(guard, true)).rejects.toThrow('link-local');
});

test('F129 the address that was checked is the address that is used: no second look at the name', async () => {
  let answers = 0;
  const guard = addressGuard({}, (_host, _options, done) => {
    answers += 1;
    done(null, [{ address: answers === 1 ? '93.184.216.34' : '127.0.0.1', family: 4 }]);
  });
  expect(await look(guard, false)).toBe('93.184.216.34');
  expect(answers).toBe(1);
  await expect(look(guard, false)).rejects.toThrow('loopback');
});

test('private networks and loopback open separately, link-local never', async () => {
  expect(await look(addressGuard({ allowPrivate: true }, resolving(['10.0.0.1'])), false)).toBe('10.0.0.1');
  await expect(look(addressGuard({ allowPrivate: true }, resolving(['127.0.0.1'])), false)).rejects.toThrow('loopback');
  await expect(
    look(addressGuard({ allowPrivate: true, allowLoopback: true }, resolving(['fe80::1'])), false),
  ).rejects.toThrow();
});

test('only http and https, without credentials in the address, and only hosts on the list', () => {
  const refusal = (text: string, hosts?: string[]): string | null => addressGuard({ hosts }).refusal(new URL(text));
  expect(refusal('file:///etc/passwd')).not.toBeNull();
  expect(refusal('https://user:secret@example.com/')).not.toBeNull();
  expect(refusal('https://shop.example.com/', ['*.example.com'])).toBeNull();
  expect(refusal('https://example.com.evil.org/', ['*.example.com'])).not.toBeNull();
  expect(refusal('https://evilexample.com/', ['*.example.com'])).not.toBeNull();
  expect(refusal('https://.example.com/', ['*.example.com'])).not.toBeNull();
  expect(refusal('https://example.com:8443/', ['example.com:8443'])).toBeNull();
});
