// Owns `truespoke token`: makes an access token, shows it once, and tells what to write into truespoke.yaml. Stores nothing.
import { randomBytes } from 'node:crypto';
import { Option, type Command } from 'commander';
import type { ExitCode } from '../base/errors.js';
import { hashToken, type Role } from '../console/tokens.js';
import { examples, print, type Common, type Frame } from './command.js';
import type { Io } from './io.js';

export interface TokenOptions extends Common {
  readonly role: Role;
}

export function execute(name: string, options: TokenOptions, io: Io): ExitCode {
  const token = `ts_${randomBytes(24).toString('base64url')}`;
  const sha256 = hashToken(token);
  print(io, options, { name, role: options.role, token, sha256 }, (paint) =>
    [
      `${paint.bold(token)}`,
      paint.dim('This is shown once. The configuration holds only its hash:'),
      '',
      'server:',
      '  tokens:',
      `    - { name: ${name}, role: ${options.role}, sha256: ${sha256} }`,
    ].join('\n'),
  );
  return 0;
}

export function register(program: Command, frame: Frame): void {
  program
    .command('token <name>')
    .description('make an access token for the server; only its hash is kept')
    .addOption(new Option('--role <role>', 'what it allows').choices(['viewer', 'operator', 'admin']).default('viewer'))
    .addHelpText(
      'after',
      examples([['truespoke token grafana --role viewer', 'a token that may read status and metrics']]),
    )
    .action((name: string, _options: unknown, command: Command) => {
      frame.code = execute(name, command.optsWithGlobals<TokenOptions>(), frame.io);
    });
}
