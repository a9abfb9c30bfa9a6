/** The agent's pure choices: how a run ended, which session it goes into, what the process may see and touch. */

import type { SDKResultMessage } from '@anthropic-ai/claude-agent-sdk';
import { expect, test } from 'vitest';
import {
  inheritedEnvironment,
  makeEnvironment,
  makeProcessEnvironment,
  proxiesWithUser,
} from '../../src/agent/environment.ts';
import { decideOutcome, type Ending } from '../../src/agent/failure.ts';
import { makeDenyRules } from '../../src/agent/permissions.ts';
import { decideSession, refusalOf } from '../../src/agent/session.ts';
import { emptyTally, type Tally } from '../../src/agent/tally.ts';

const apiError = (status: number | null, kind: NonNullable<Tally['apiError']>['kind'], text = 'words'): Tally => ({
  ...emptyTally,
  apiError: { status, kind, text },
});

const failed = { subtype: 'success', is_error: true, result: 'words', stop_reason: null };

const endings: [string, Partial<Ending>, string][] = [
  ['a result without an error', { result: made({ subtype: 'success', is_error: false }) }, 'success'],
  [
    'a whole result after an abort',
    { result: made({ subtype: 'success', is_error: false }), cut: 'aborted' },
    'success',
  ],
  [
    'a result that an abort cut short',
    { result: made({ subtype: 'success', is_error: false, terminal_reason: 'aborted_streaming' }), cut: 'aborted' },
    'interrupted',
  ],
  ['an abort without a result', { cut: 'aborted', death: 'it was ended by SIGKILL' }, 'interrupted'],
  ['an abort of a failing run', { cut: 'aborted', result: made({ subtype: 'error_during_execution' }) }, 'interrupted'],
  ['a death', { death: 'it was ended by SIGKILL' }, 'agent_failed'],
  ['a start that hung', { cut: 'no_start' }, 'agent_failed'],
  ['a silent model', { cut: 'silent_model' }, 'model_unreachable'],
  ['a refused credential', { cut: 'refused_credential', tally: apiError(401, 'authentication_failed') }, 'model_auth'],
  ['the turns used up', { result: made({ subtype: 'error_max_turns' }) }, 'limit_reached'],
  ['the budget used up', { result: made({ subtype: 'error_max_budget_usd' }) }, 'limit_reached'],
  ['a refusal', { result: made({ ...failed, stop_reason: 'refusal' }) }, 'model_refused'],
  ['a 400', { result: made({ ...failed, api_error_status: 400 }) }, 'model_refused'],
  ['a 401', { result: made({ ...failed, api_error_status: 401 }) }, 'model_auth'],
  ['a 429', { result: made({ ...failed, api_error_status: 429 }) }, 'model_rate_limited'],
  ['a 503', { result: made({ ...failed, api_error_status: 503 }) }, 'model_failed'],
  ['a 529', { result: made({ ...failed, api_error_status: 529 }) }, 'model_overloaded'],
  ['a status of the last retry only', { result: made(failed), tally: apiError(529, 'overloaded') }, 'model_overloaded'],
  ['a class without a status', { result: made(failed), tally: apiError(null, 'rate_limit') }, 'model_rate_limited'],
  ['a network error', { result: made(failed), tally: apiError(null, 'unknown', 'ECONNREFUSED') }, 'model_unreachable'],
  ['an answer that is too long', { result: made(failed), tally: apiError(null, 'max_output_tokens') }, 'limit_reached'],
  ['an answer of something else', { result: made(failed), tally: apiError(null, 'unknown') }, 'model_failed'],
];

for (const [what, ending, expected] of endings) {
  test(`${what} is ${expected}`, () => {
    const options = { maxTurns: 3, maxBudgetUsd: 0.5 };
    const outcome = decideOutcome({ cut: null, result: null, death: null, tally: emptyTally, options, ...ending });
    expect(outcome.outcome === 'error' ? outcome.problem.code : outcome.outcome).toBe(expected);
  });
}

test('a caller reads the API’s words where it refused the request, shortened, and nowhere else', () => {
  const options = { maxTurns: null, maxBudgetUsd: null };
  const detail = (status: number, result: string) => {
    const ending = { cut: null, death: null, tally: emptyTally, options };
    const outcome = decideOutcome({ ...ending, result: made({ ...failed, api_error_status: status, result }) });
    return outcome.outcome === 'error' ? outcome.problem.message : '';
  };
  expect(detail(400, 'API Error: prompt\n is too long')).toBe(
    'The model API refused the request. It said: prompt is too long',
  );
  expect(detail(400, 'x'.repeat(2_000)).length).toBeLessThan(600);
  expect(detail(401, 'invalid key sk-ant-123')).not.toContain('sk-ant-123');
  expect(detail(500, 'host db-7.internal')).not.toContain('internal');
});

test('the CLI’s advice to set a variable of its own does not reach a caller', () => {
  const said = 'API Error: response exceeded the maximum. Set the CLAUDE_CODE_MAX_OUTPUT_TOKENS environment variable.';
  const options = { maxTurns: null, maxBudgetUsd: null };
  const tally = apiError(null, 'max_output_tokens', said);
  const outcome = decideOutcome({ cut: null, death: null, tally, options, result: made({ ...failed, result: said }) });
  expect(outcome.outcome === 'error' && outcome.problem.message).toBe(
    'The answer was longer than the model may write.',
  );
});

test('a session is resumed where it can be, created where there is none, and begun afresh where it is lost', () => {
  const decide = (resume: boolean, state: 'usable' | 'missing' | 'unusable') => {
    const choice = decideSession({ sessionId: 's', resume }, state);
    return choice.kind === 'use' ? choice.session.kind : choice.kind;
  };
  expect([decide(true, 'usable'), decide(false, 'usable')]).toEqual(['resume', 'resume']);
  expect([decide(true, 'missing'), decide(false, 'missing')]).toEqual(['fresh', 'create']);
  expect([decide(true, 'unusable'), decide(false, 'unusable')]).toEqual(['fresh', 'fresh']);
});

test('a refusal of the session is told from any other failure', () => {
  expect(refusalOf('Error: No conversation found with session ID: 1234')).not.toBeNull();
  expect(refusalOf('Error: Session ID 1234 is already in use.')).not.toBeNull();
  expect(refusalOf('Error: out of memory')).toBeNull();
});

test('the process sees the names that are allowed, one credential, and nothing else of the host', () => {
  const base = { PATH: '/bin', LC_ALL: 'C', https_proxy: 'http://p', API_TOKEN: 'secret', ANTHROPIC_API_KEY: 'hosts' };
  const env = makeProcessEnvironment(makeEnvironment({ ...environmentInput, base }), {
    configDir: '/c',
    tempDir: '/t',
    credential: { kind: 'oauth_token', value: 'placeholder' },
    gatewayUrl: 'http://127.0.0.1:1',
  });
  expect(env).toMatchObject({
    PATH: '/bin',
    LC_ALL: 'C',
    https_proxy: 'http://p',
    no_proxy: '127.0.0.1',
    CLAUDE_CODE_OAUTH_TOKEN: 'placeholder',
    ANTHROPIC_BASE_URL: 'http://127.0.0.1:1',
  });
  expect(Object.keys(env)).not.toEqual(expect.arrayContaining(['API_TOKEN']));
  expect(env).not.toHaveProperty('ANTHROPIC_API_KEY');
  expect(env).not.toHaveProperty('IS_SANDBOX');
});

test('the CLI reads the certificates of the system only where the host names a store of them', () => {
  const storeOf = (base: Record<string, string>) =>
    makeEnvironment({ ...environmentInput, base }).CLAUDE_CODE_CERT_STORE ?? null;
  expect(storeOf({ PATH: '/bin', NODE_EXTRA_CA_CERTS: '/ca.pem' })).toBe('bundled');
  expect(storeOf({ SSL_CERT_FILE: '/ca.pem' })).toBeNull();
  expect(storeOf({ SSL_CERT_DIR: '/certs' })).toBeNull();
});

test.each([
  ['HTTPS_PROXY', 'http://user:pass@proxy:8080', 'http://proxy:8080'],
  ['http_proxy', 'user:p@ss@proxy:8080', 'proxy:8080'],
  ['ALL_PROXY', 'socks5://user@proxy', 'socks5://proxy'],
  ['https_proxy', 'http://proxy:8080/', 'http://proxy:8080/'],
  ['NO_PROXY', 'a@b', 'a@b'],
])('the agent reaches the proxy %s=%s as %s', (name, value, inherited) => {
  expect(inheritedEnvironment({ [name]: value })).toEqual({ [name]: inherited });
  expect(proxiesWithUser({ [name]: value })).toEqual(value === inherited ? [] : [name]);
});

test('the deny rules cover every other session’s folder and not its own', () => {
  const own = '0a1b2c3d-0000-4000-8000-000000000000';
  const input = { cwd: '/m', sessionsDir: '/m/.claude', configDir: '/p/config', sessionId: own, hidden: ['/store'] };
  const rules = makeDenyRules(input);
  const folders = rules.flatMap((rule) => rule.match(/^Read\(\/\/m\/\.claude\/projects\/\*\/(.+)\/\*\*\)$/)?.[1] ?? []);
  const denies = (id: string) => folders.some((folder) => new RegExp(`^${folder.replace('*', '.*')}$`).test(id));
  expect(rules).toEqual(expect.arrayContaining(['Read(//proc/**)', 'Edit(//store/**)', 'Read(//store)']));
  expect(denies(own)).toBe(false);
  for (let place = 0; place < 8; place += 1) {
    expect(denies(`${own.slice(0, place)}f${own.slice(place + 1)}`)).toBe(true);
  }
});

const environmentInput = {
  timezone: 'UTC',
  maxRetries: 1,
  streamIdleMs: 1,
  compactWindow: null,
  mcpConnectMs: 1,
  isRoot: false,
};

/** The SDK's result has some forty members; only those that are read are given. */
function made(result: object): SDKResultMessage {
  return { type: 'result', ...result } as unknown as SDKResultMessage;
}
