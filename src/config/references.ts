// Owns secrets in truespoke.yaml: they are references, `${NAME}` or `file:path`, and a literal one is refused. Messages name the
// place and the variable, never a value.
import type { Problem } from '../base/errors.js';
import type { YamlFile, YamlPath } from '../base/yaml.js';

export const spokeKeys: readonly string[] = ['connector', 'enabled', 'limits', 'quota', 'deletions'];

export type Environment = Readonly<Record<string, string | undefined>>;
/** Text of the file, or the reason why it cannot be read. */
export type FileReader = (path: string) => Promise<{ readonly text: string } | { readonly fault: string }>;

export interface Resolved {
  readonly value: unknown;
  readonly secrets: readonly string[];
  readonly problems: readonly Problem[];
  /** Where a reference could not be resolved; the value there is null. */
  readonly failed: readonly YamlPath[];
}

const secretKey = /(token|secret|passw(or)?d|passphrase|private_?key|api_?key|access_?key|signing_?key|credential)s?$/i;
/** Lists and objects that only sound like secrets. */
const notSecret: readonly RegExp[] = [/^server\.tokens(\.|$)/];
const secretText = /^shp(at|ca|pa|ss)_|^-----BEGIN|^00D[A-Za-z0-9]{12,15}!|^gh[pousr]_|^xox[bp]-|^sk_live_/;
const reference = /\$\{([^}]*)\}/g;
const variable = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Replaces every reference below the root of a parsed file. */
export async function resolveReferences(
  source: YamlFile,
  environment: Environment,
  readFile: FileReader,
): Promise<Resolved> {
  const problems: Problem[] = [];
  const secrets: string[] = [];
  const failed: YamlPath[] = [];
  const add = (path: YamlPath, message: string, hint: string): void => {
    failed.push(path);
    problems.push({ ...source.place(path), message, hint });
  };
  const walk = async (value: unknown, path: YamlPath, secret: boolean): Promise<unknown> => {
    if (typeof value === 'string') return resolveText(value, path, secret);
    if (Array.isArray(value)) return Promise.all(value.map((entry, i) => walk(entry, [...path, i], secret)));
    if (typeof value === 'number' && secret) {
      add(path, `${shown(path)} is a secret written out`, 'write a reference instead: ${NAME} or file:path');
      return null;
    }
    if (typeof value !== 'object' || value === null) return value;
    const copy = Object.create(null) as Record<string, unknown>;
    for (const [key, inner] of Object.entries(value))
      copy[key] = await walk(inner, [...path, key], isSecret([...path, key]));
    return copy;
  };
  const resolveText = async (text: string, path: YamlPath, secret: boolean): Promise<string | null> => {
    if (text.startsWith('file:')) {
      const answer = await readFile(text.slice('file:'.length));
      if ('fault' in answer) {
        add(
          path,
          `${shown(path)} names a file that cannot be read: ${answer.fault}`,
          'paths are relative to the folder of truespoke.yaml',
        );
        return null;
      }
      secrets.push(answer.text, ...passwordOf(answer.text));
      return answer.text;
    }
    const names = [...text.matchAll(reference)].map((match) => match[1] ?? '');
    if (secret && (names.length !== 1 || text !== `\${${names[0] ?? ''}}`)) {
      add(path, `${shown(path)} is a secret written out`, 'write a reference instead: ${NAME} or file:path');
      return null;
    }
    if (names.length === 0 && (secretText.test(text) || hasPassword(text))) {
      add(path, `${shown(path)} looks like a secret written out`, 'write a reference instead: ${NAME} or file:path');
      return null;
    }
    return substitute(text, names, path, secret);
  };
  const substitute = (text: string, names: readonly string[], path: YamlPath, secret: boolean): string | null => {
    for (const name of names) {
      if (!variable.test(name)) {
        add(path, `${shown(path)}: '\${${name}}' is not a reference`, 'write ${NAME}: letters, digits and _');
        return null;
      }
      const value = environment[name];
      if (value === undefined || value === '') {
        add(
          path,
          `${shown(path)} needs the variable ${name}, which is ${value === '' ? 'empty' : 'not set'}`,
          `set ${name} in the environment or in .env beside truespoke.yaml`,
        );
        return null;
      }
      if (secret || secretText.test(value) || hasPassword(value)) secrets.push(value, ...passwordOf(value));
    }
    return text.replace(reference, (_whole, name: string) => environment[name] ?? '');
  };
  const value = await walk(source.value, [], false);
  return { value, secrets: [...new Set(secrets)].filter((text) => text.length >= 4), problems, failed };
}

function isSecret(path: YamlPath): boolean {
  const dotted = path.join('.');
  const key = path.findLast((step) => typeof step === 'string') ?? '';
  return secretKey.test(String(key)) && !notSecret.some((pattern) => pattern.test(dotted));
}

/** `postgres://user:password@host`: the password is a secret wherever it stands. */
function hasPassword(text: string): boolean {
  if (!URL.canParse(text)) return false;
  return new URL(text).password !== '';
}

/** The password alone is as secret as the address around it. */
function passwordOf(text: string): readonly string[] {
  if (!hasPassword(text)) return [];
  const { password } = new URL(text);
  return [password, decodeURIComponent(password)];
}

function shown(path: YamlPath): string {
  return `'${path.join('.')}'`;
}
