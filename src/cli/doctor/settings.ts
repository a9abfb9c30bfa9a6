/** The checks of what the environment says, without a look at a disk. */

import { settings } from '../../config/settings.ts';
import { type Config, type Env, type Fault, warnings } from '../../config.ts';
import { type Check, type Finding, fail, ok, skip, warn } from './finding.ts';

export function settingsChecks(input: { env: Env; config: Config; faults: Fault[] }): Check[] {
  const { env, config, faults } = input;
  const isFaulty = (variable: string) => faults.some((fault) => fault.variable === variable);
  return [
    { name: 'settings', run: async () => checkSettings(input) },
    { name: 'key', run: async () => checkKey({ ...input, isFaulty }) },
    {
      name: 'TZ',
      run: async () => [isFaulty('TZ') ? skip('see settings') : describeZone(config.timezone, env.TZ, new Date())],
    },
  ];
}

/** Every value that must not be printed, as it was given and as it is used. */
export function secretsOf(env: Env, config: Config): string[] {
  const given = Object.values(settings).flatMap((setting) =>
    'secret' in setting && setting.secret ? [env[setting.variable] ?? ''] : [],
  );
  const parts = given.flatMap((value) => [value, ...value.split(',')]).map((part) => part.trim());
  return [...new Set([...parts, config.credential.value, ...config.apiTokens, ...parts.map(unquote)])];
}

function checkSettings({ env, config, faults }: { env: Env; config: Config; faults: Fault[] }): Finding[] {
  const all = Object.values(settings);
  const given = all.filter(({ variable }) => (env[variable] ?? '') !== '');
  const summary = `${all.length} read, ${given.length} given`;
  return [
    ...(faults.length === 0 ? [ok(summary)] : faults.map((fault) => fail(describeFault(fault)))),
    ...warnings(config).map(warn),
  ];
}

/** `PORT is "abc": must be …` */
export function describeFault({ variable, value, fix }: Fault): string {
  return `${variable} is ${value.replace(/^\((.*)\)$/, '$1')}: ${fix}`;
}

type KeyInput = { env: Env; config: Config; isFaulty: (variable: string) => boolean };

function checkKey({ env, config, isFaulty }: KeyInput): Finding[] {
  const { kind, value } = config.credential;
  const variable = kind === 'api_key' ? settings.apiKey.variable : settings.oauthToken.variable;
  if (isFaulty(settings.apiKey.variable) || isFaulty(settings.oauthToken.variable) || value === '')
    return [skip('see settings')];
  return [judgeKey({ variable, kind, value, raw: env[variable] ?? '', hasOwnApi: config.anthropicBaseUrl !== null })];
}

/** Whether the text has the form of what it is to be. `hasOwnApi`: a gateway may have keys of its own. */
export function judgeKey(key: {
  variable: string;
  kind: Config['credential']['kind'];
  value: string;
  raw: string;
  hasOwnApi: boolean;
}): Finding {
  const { variable, kind, value, raw, hasOwnApi } = key;
  if (/["'`]/.test(value))
    return fail(`${variable} has quotes in it, which are sent with it: give the text between them alone`);
  const isToken = value.startsWith('sk-ant-oat');
  if (kind === 'api_key' && isToken && !hasOwnApi)
    return fail(`${variable} holds a token of \`claude setup-token\`: give it as ${settings.oauthToken.variable}`);
  if (kind === 'oauth_token' && value.startsWith('sk-ant-api') && !hasOwnApi)
    return fail(`${variable} holds an API key: give it as ${settings.apiKey.variable}`);
  if (!value.startsWith('sk-ant-') && !hasOwnApi)
    return warn(`${variable} does not begin with sk-ant-, as what the model API gives out does: copy it again`);
  if (raw !== raw.trim()) return warn(`${variable} has white space around it, which is left out: remove it`);
  return ok(`${variable} is given, ${hasOwnApi ? 'for the API of ANTHROPIC_BASE_URL' : 'in the right form'}`);
}

/** Which zone, and how far it is from UTC at that time. */
export function describeZone(zone: string, given: string | undefined, at: Date): Finding {
  const parts = new Intl.DateTimeFormat('en', { timeZone: zone, timeZoneName: 'longOffset' }).formatToParts(at);
  const offset = parts.find(({ type }) => type === 'timeZoneName')?.value ?? '';
  const from = given === undefined || given === '' ? ', of the system: TZ is not set' : '';
  return ok(`${zone}, now ${offset.replace('GMT', 'UTC')}${from}`);
}

function unquote(text: string): string {
  return text.replace(/["'`]/g, '');
}
