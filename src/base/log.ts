// Owns the log's shape. Events carry ids (spoke, link, lsn), never customer values; secrets are redacted by path, and by their own text,
// as second nets.
import pino from 'pino';
import { scrubber } from './scrub.js';

export type Log = pino.Logger;

export interface LogOptions {
  readonly level: string;
  readonly destination?: pino.DestinationStream | undefined;
  /** Texts that must not stand in any line. Only with a destination of our own. */
  readonly secrets?: readonly string[] | undefined;
}

const redact = [
  'authorization',
  '*.authorization',
  'token',
  '*.token',
  'secret',
  '*.secret',
  'password',
  '*.password',
  'headers',
  '*.headers',
];

export function createLog(options: LogOptions): Log {
  const settings: pino.LoggerOptions = {
    level: options.level,
    redact: { paths: redact, censor: '[redacted]' },
    // What describes an error is plain already; only a raw Error must be taken apart.
    serializers: { err: (err: unknown) => (err instanceof Error ? pino.stdSerializers.err(err) : err) },
  };
  const { destination, secrets = [] } = options;
  if (destination === undefined) return pino(settings);
  const scrub = scrubber(secrets);
  return pino(settings, secrets.length === 0 ? destination : { write: (line) => destination.write(scrub(line)) });
}

export const silentLog: Log = pino({ level: 'silent' });
