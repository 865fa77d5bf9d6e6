// Owns the log's shape. Events carry ids (spoke, link, lsn), never customer values; secrets are redacted by path as a second net.
import pino from 'pino';

export type Log = pino.Logger;

export interface LogOptions {
  readonly level: string;
  readonly destination?: pino.DestinationStream | undefined;
}

const redact = [
  'authorization', '*.authorization', 'token', '*.token', 'secret', '*.secret', 'password', '*.password', 'headers',
  '*.headers',
];

export function createLog(options: LogOptions): Log {
  const settings: pino.LoggerOptions = { level: options.level, redact: { paths: redact, censor: '[redacted]' } };
  return options.destination === undefined ? pino(settings) : pino(settings, options.destination);
}

export const silentLog: Log = pino({ level: 'silent' });
