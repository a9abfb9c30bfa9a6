/**
 * The log: one JSON line an entry on standard output. Message bodies and secrets are never given to it;
 * `redact` is the second net for the names under which a secret could slip in.
 */

import { type Logger, pino } from 'pino';

export type Log = Logger;
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
export type LogFormat = 'json' | 'pretty';

const redact = ['authorization', 'apiKey', 'api_key', 'token', 'headers', '*.authorization', '*.apiKey', '*.headers'];

export function createLog(input: { level: LogLevel; format: LogFormat }): Log {
  const options = {
    level: input.level,
    base: null,
    redact,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return input.format === 'pretty'
    ? pino({ ...options, formatters: {}, transport: { target: 'pino-pretty', options: { ignore: 'pid,hostname' } } })
    : pino(options);
}
