/**
 * Reads settings from the environment, and says what is wrong with them. A secret's value is in what is read and nowhere
 * else: no fault shows it.
 */

import type { Setting } from './setting.ts';

export type Env = Record<string, string | undefined>;

/** `value` is fit to print. */
export type Fault = { variable: string; value: string; fix: string };

/** A value that is wrong is added to `faults` and read as the default: good for looking for more faults, not for a start. */
export function readSetting<T>(env: Env, setting: Setting<T>, faults: Fault[]): T {
  const text = env[setting.variable];
  if (text === undefined || (text === '' && !setting.emptyIsValue)) return setting.fallback;
  const value = setting.parse(text);
  if (value !== undefined) return value;
  faults.push({ variable: setting.variable, value: shown(setting, text), fix: `must be ${setting.wants}` });
  return setting.fallback;
}

/** For standard error. `what` cannot start. */
export function describeFaults(faults: Fault[], what: string): string {
  const lines = faults.map(({ variable, value, fix }) => `  ${variable}: ${value}\n    ${fix}\n`);
  return `picoclaw: ${what} cannot start with these settings\n${lines.join('')}`;
}

const maxShownCharacters = 80;

function shown(setting: Setting<unknown>, text: string): string {
  if (setting.secret) return '(secret)';
  return text.length > maxShownCharacters
    ? `${JSON.stringify(text.slice(0, maxShownCharacters))}…`
    : JSON.stringify(text);
}
