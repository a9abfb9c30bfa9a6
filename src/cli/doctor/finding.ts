/**
 * What a check finds, and how it is told: one line each, in columns, without a secret.
 *
 * A check that throws, or that does not end, has found something: it never keeps the others from being made.
 */

/** `fail`: a server with this environment would not start, or what it answers would not be durable, or no run would succeed. */
export type Status = 'ok' | 'warn' | 'fail' | 'skip';

export type Finding = { status: Status; text: string };

export type Check = {
  /** The variable, or the thing that is looked at. */
  name: string;
  run: () => Promise<Finding[]>;
  /** How long it may take; 30 s without. */
  limitMs?: number;
};

export const ok = (text: string): Finding => ({ status: 'ok', text });
export const warn = (text: string): Finding => ({ status: 'warn', text });
export const fail = (text: string): Finding => ({ status: 'fail', text });
export const skip = (text: string): Finding => ({ status: 'skip', text });

const usualLimitMs = 30_000;

/** Never rejects. */
export async function runCheck({ run, limitMs = usualLimitMs }: Check): Promise<Finding[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Finding[]>((resolve) => {
    timer = setTimeout(() => resolve([fail(`has not answered for ${limitMs / 1000} s`)]), limitMs);
  });
  try {
    return await Promise.race([run(), late]);
  } catch (error) {
    return [fail(error instanceof Error ? error.message : String(error))];
  } finally {
    clearTimeout(timer);
  }
}

/** As wide as LOCAL_DB_PATH. */
const nameWidth = 13;

export function formatLine(name: string, { status, text }: Finding, secrets: string[]): string {
  return `${status.padEnd(4)}  ${name.padEnd(nameWidth)}  ${redact(oneLine(text), secrets)}\n`;
}

/** Also what would move a terminal's cursor: some of it comes from the environment and from files. */
function oneLine(text: string): string {
  return text.replace(/[\s\p{Cc}]+/gu, ' ').trim();
}

/** No check prints a secret; an error's message of somebody else could. Shorter than this is found in every text. */
const minSecretCharacters = 6;

function redact(text: string, secrets: string[]): string {
  return secrets
    .filter((secret) => secret.length >= minSecretCharacters)
    .toSorted((one, other) => other.length - one.length)
    .reduce((rest, secret) => rest.replaceAll(secret, '(secret)'), text);
}

const units = ['bytes', 'KB', 'MB', 'GB', 'TB', 'PB', 'EB'];

/** In powers of 1000, as disks are sold. */
export function inBytes(bytes: number): string {
  const power = bytes < 1000 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), units.length - 1);
  const value = bytes / 1000 ** power;
  return `${power > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}

/** A span of time. */
export function inTime(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 2 * 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}
