/**
 * The log: one JSON line an entry on standard output. Message bodies and secrets are never given to it;
 * `redact` is the second net for the names under which a secret could slip in.
 */

import { type Logger, pino } from 'pino';

export type Log = Logger;
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
export type LogFormat = 'json' | 'pretty';

const redact = ['authorization', 'apiKey', 'api_key', 'token', 'headers', '*.authorization', '*.apiKey', '*.headers'];

export async function createLog(input: { level: LogLevel; format: LogFormat }): Promise<Log> {
  const options = { level: input.level, base: null, redact };
  if (input.format === 'pretty') {
    // Read only by people at a terminal: a server that logs JSON never loads it.
    const { default: pretty } = await import('pino-pretty');
    return pino(options, pretty({ translateTime: 'SYS:HH:MM:ss.l', sync: true }));
  }
  return pino({
    ...options,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
  });
}
