/**
 * The configuration: environment variables → `Config`, or all that is wrong with them at once.
 *
 * - `loadConfig` is pure but for the package's own version; the step that touches the disk is `config/folders.ts`.
 * - Unknown variables are not faults: an environment has many that are not ours.
 * - A secret's value is in `Config` and nowhere else: no fault or warning shows it.
 */

import { join, resolve } from 'node:path';
import manifest from '../package.json' with { type: 'json' };
import { isInside } from './config/folders.ts';
import { describeFaults, type Env, type Fault, readSetting } from './config/read-setting.ts';
import type { Setting } from './config/setting.ts';
import { settings } from './config/settings.ts';
import { toTimezone } from './domain/timezone.ts';
import { isLoopback } from './lib/loopback.ts';

export type { Env, Fault };

export type Config = {
  credential: { kind: 'api_key' | 'oauth_token'; value: string };
  /** The other credential, which is set as well and not used. */
  unusedCredential: string | null;
  anthropicBaseUrl: string | null;
  model: string | null;
  fallbackModel: string | null;
  /** Empty: whoever can connect may call. */
  apiTokens: string[];
  allowAnonymous: boolean;
  allowStdioMcp: boolean;
  host: string;
  port: number;
  maxExecutionMs: number;
  shutdownGraceMs: number;
  sandbox: 'auto' | 'on' | 'off';
  warmSpares: number;
  /** Null: what there is memory for. */
  warmConversations: number | null;
  warmIdleMs: number;
  assistantName: string;
  timezone: string;
  systemPromptOverride: string | null;
  /** Empty: off. */
  sessionEndMarker: string;
  /** Paths are absolute. */
  memoryDir: string;
  storeDir: string;
  orgDir: string | null;
  skillsDir: string;
  builtInSkillsDir: string;
  localDbPath: string;
  outboundTtlDays: number;
  taskLogRetention: number;
  logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
  logFormat: 'json' | 'pretty';
  version: string;
  commit: string;
  buildTime: string;
  isRoot: boolean;
  homeDir: string | null;
};

/** What the process knows of itself. */
export type Facts = { isRoot: boolean; isTerminal: boolean; homeDir: string | null };

/** With faults, `config` has the defaults in place of what is wrong: good for looking for more faults, not for a start. */
export function loadConfig(env: Env, facts: Facts): { config: Config; faults: Fault[] } {
  const faults: Fault[] = [];
  const read = <T>(setting: Setting<T>): T => readSetting(env, setting, faults);

  const apiKey = read(settings.apiKey);
  const oauthToken = read(settings.oauthToken);
  const allowAnonymous = read(settings.allowAnonymous);
  const orgDir = read(settings.orgDir);
  const config: Config = {
    credential: apiKey === null ? { kind: 'oauth_token', value: oauthToken ?? '' } : { kind: 'api_key', value: apiKey },
    unusedCredential: apiKey !== null && oauthToken !== null ? settings.oauthToken.variable : null,
    anthropicBaseUrl: read(settings.anthropicBaseUrl),
    model: read(settings.model),
    fallbackModel: read(settings.fallbackModel),
    apiTokens: read(settings.apiTokens),
    allowAnonymous,
    allowStdioMcp: read(settings.allowStdioMcp),
    host: read(settings.host),
    port: read(settings.port),
    maxExecutionMs: read(settings.maxExecutionMs),
    shutdownGraceMs: read(settings.shutdownGraceMs),
    sandbox: read(settings.sandbox),
    warmSpares: read(settings.warmSpares),
    warmConversations: read(settings.warmConversations),
    warmIdleMs: read(settings.warmIdleMs),
    assistantName: read(settings.assistantName),
    timezone: read(settings.timezone) ?? systemTimezone(),
    systemPromptOverride: read(settings.systemPromptOverride),
    sessionEndMarker: read(settings.sessionEndMarker),
    memoryDir: read(settings.memoryDir),
    storeDir: read(settings.storeDir),
    orgDir,
    skillsDir: read(settings.skillsDir) ?? (orgDir === null ? '/data/skills' : join(orgDir, 'skills')),
    // Beside `src` and `dist` alike.
    builtInSkillsDir: read(settings.builtInSkillsDir) ?? join(import.meta.dirname, '../built-in-skills'),
    localDbPath: read(settings.localDbPath),
    outboundTtlDays: read(settings.outboundTtlDays),
    taskLogRetention: read(settings.taskLogRetention),
    logLevel: read(settings.logLevel),
    logFormat: read(settings.logFormat) ?? (facts.isTerminal ? 'pretty' : 'json'),
    version: read(settings.version) ?? manifest.version,
    commit: read(settings.commit),
    buildTime: read(settings.buildTime),
    isRoot: facts.isRoot,
    homeDir: facts.homeDir === null ? null : resolve(facts.homeDir),
  };

  const isFaulty = (...checked: Setting<unknown>[]) =>
    checked.some((setting) => faults.some((fault) => fault.variable === setting.variable));
  if (config.credential.value === '' && !isFaulty(settings.apiKey, settings.oauthToken))
    faults.push({
      variable: settings.apiKey.variable,
      value: notSet,
      fix:
        'give the model API key here, or a token of `claude setup-token` as CLAUDE_CODE_OAUTH_TOKEN; ' +
        '`make demo`, or `picoclaw demo` of the package, shows the server without either',
    });
  if (
    config.apiTokens.length === 0 &&
    !allowAnonymous &&
    !isLoopback(config.host) &&
    !isFaulty(settings.apiTokens, settings.allowAnonymous, settings.host)
  )
    faults.push({
      variable: settings.apiTokens.variable,
      value: notSet,
      fix:
        `give a token, since HOST (${config.host}) can be reached from other machines; or HOST=127.0.0.1; or ` +
        'ALLOW_ANONYMOUS=true where only an authenticating gateway can reach it',
    });
  if (isInside(config.localDbPath, config.storeDir))
    faults.push({
      variable: settings.localDbPath.variable,
      value: config.localDbPath,
      fix: 'must not be inside STORE_DIR: the database there is the durable copy of this one',
    });
  return { config, faults };
}

/** What is not wrong but should be known. */
export function warnings(config: Config): string[] {
  const found: string[] = [];
  if (config.apiTokens.length === 0)
    found.push(`API_TOKEN is not set: whoever can connect to ${config.host} may call, and stop the server`);
  if (config.apiTokens.some((token) => token.length < minTokenCharacters))
    found.push(`API_TOKEN has a token of less than ${minTokenCharacters} characters, which can be guessed`);
  if (config.unusedCredential !== null)
    found.push(`${config.unusedCredential} is set as well and is not used: ANTHROPIC_API_KEY goes before it`);
  if (config.isRoot)
    found.push('the server runs as root, and so does everything the agent runs; give the process a user of its own');
  if (config.allowStdioMcp) found.push('ALLOW_STDIO_MCP is on: whoever may call may run commands on this machine');
  if (isInside(config.storeDir, config.memoryDir))
    found.push('STORE_DIR is inside MEMORY_DIR, which the agent writes: it can damage the database');
  if (config.homeDir === config.memoryDir)
    found.push('HOME is MEMORY_DIR, and the agent finds no skills there; set HOME to another folder');
  return found;
}

/** For standard error. */
export function formatFaults(faults: Fault[]): string {
  return describeFaults(faults, 'the server');
}

const notSet = '(not set)';
const minTokenCharacters = 16;
function systemTimezone(): string {
  // As most containers have it, told without the first formatter of the process, which takes 7 % of a start.
  if (new Date().toString().endsWith('(Coordinated Universal Time)')) return 'UTC';
  // Whatever its type says, it is undefined where the system's zone is none that Intl knows.
  const name: string | undefined = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return (name === undefined ? null : toTimezone(name)) ?? 'UTC';
}
