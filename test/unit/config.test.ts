import { afterEach, describe, expect, it, vi } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { groups, settings } from '../../src/config/settings.ts';
import { type Config, type Env, type Facts, formatFaults, loadConfig, warnings } from '../../src/config.ts';

const facts: Facts = { isRoot: false, isTerminal: false, homeDir: '/home/pico' };
const least: Env = { ANTHROPIC_API_KEY: 'sk-ant-0123456789', API_TOKEN: 'a-token-long-enough' };

function load(env: Env, given = facts): Config {
  const loaded = loadConfig({ ...least, ...env }, given);
  if (loaded.faults.length > 0) throw new Error(formatFaults(loaded.faults));
  return loaded.config;
}

function faultsOf(env: Env) {
  return loadConfig(env, facts).faults;
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('loadConfig', () => {
  it('has the defaults of the contract', () => {
    expect(load({ TZ: 'UTC' })).toEqual({
      credential: { kind: 'api_key', value: 'sk-ant-0123456789' },
      unusedCredential: null,
      anthropicBaseUrl: null,
      model: null,
      fallbackModel: null,
      apiTokens: ['a-token-long-enough'],
      allowAnonymous: false,
      allowStdioMcp: false,
      host: '0.0.0.0',
      port: 9000,
      maxExecutionMs: 300_000,
      shutdownGraceMs: 10_000,
      assistantName: 'Pico',
      timezone: 'UTC',
      systemPromptOverride: null,
      sandbox: 'auto',
      warmSpares: 1,
      warmConversations: null,
      warmIdleMs: 600_000,
      sessionEndMarker: '[[PICOCLAW_SESSION_END]]',
      memoryDir: '/data/memory',
      storeDir: '/data/store',
      orgDir: null,
      skillsDir: '/data/skills',
      builtInSkillsDir: expect.stringMatching(/\/built-in-skills$/),
      localDbPath: '/tmp/messages.db',
      outboundTtlDays: 7,
      taskLogRetention: 100,
      logLevel: 'info',
      logFormat: 'json',
      version: manifest.version,
      commit: 'unknown',
      buildTime: 'unknown',
      isRoot: false,
      homeDir: '/home/pico',
    });
  });

  it('reads every setting of the table, and only those', () => {
    const read = new Set<string>();
    const env = new Proxy(least, {
      get: (target, name) => {
        read.add(String(name));
        return Reflect.get(target, name);
      },
    });
    loadConfig(env, facts);
    const table = Object.values(settings).map(({ variable }) => variable);
    expect([...read].sort()).toEqual([...table].sort());
    expect(groups.flatMap((group) => group.settings.map(({ variable }) => variable)).sort()).toEqual(table.sort());
  });

  it.each<[string, string, Partial<Config>]>([
    ['PORT', '0', { port: 0 }],
    ['PORT', '65535', { port: 65_535 }],
    ['PORT', ' 8080 ', { port: 8080 }],
    ['MAX_EXECUTION_MS', '1', { maxExecutionMs: 1 }],
    ['MAX_EXECUTION_MS', '86400000', { maxExecutionMs: 86_400_000 }],
    ['ANTHROPIC_BASE_URL', 'http://127.0.0.1:4010/v1', { anthropicBaseUrl: 'http://127.0.0.1:4010/v1' }],
    ['API_TOKEN', ' one-token-0123456 , two-token-0123456', { apiTokens: ['one-token-0123456', 'two-token-0123456'] }],
    ['WARM_CONVERSATIONS', '0', { warmConversations: 0 }],
    ['SANDBOX', 'off', { sandbox: 'off' }],
    ['SESSION_END_MARKER', '', { sessionEndMarker: '' }],
    ['SESSION_END_MARKER', ' <end> ', { sessionEndMarker: ' <end> ' }],
    ['ASSISTANT_NAME', '', { assistantName: 'Pico' }],
    ['ORG_DIR', '/org', { orgDir: '/org', skillsDir: '/org/skills' }],
    ['STORE_DIR', 'data/store', { storeDir: `${process.cwd()}/data/store` }],
    ['LOG_FORMAT', 'pretty', { logFormat: 'pretty' }],
    ['ALLOW_STDIO_MCP', 'true', { allowStdioMcp: true }],
    ['TZ', 'Asia/Shanghai', { timezone: 'Asia/Shanghai' }],
    ['TZ', 'europe/BERLIN', { timezone: 'Europe/Berlin' }],
    ['TZ', 'Asia/Kolkata', { timezone: 'Asia/Kolkata' }],
    ['APP_VERSION', '3.1.4-rc.1', { version: '3.1.4-rc.1' }],
  ])('takes %s=%j', (variable, value, expected) => {
    expect(load({ [variable]: value })).toMatchObject(expected);
  });

  it.each([
    ['PORT', '5m'],
    ['PORT', '-1'],
    ['PORT', '65536'],
    ['PORT', '80.0'],
    ['PORT', '1e3'],
    ['PORT', '0x50'],
    ['MAX_EXECUTION_MS', '5m'],
    ['MAX_EXECUTION_MS', '0'],
    ['MAX_EXECUTION_MS', '86400001'],
    ['MAX_EXECUTION_MS', '99999999999999999999'],
    ['SHUTDOWN_GRACE_MS', '10s'],
    ['OUTBOUND_TTL_DAYS', '0'],
    ['TASK_LOG_RETENTION', 'all'],
    ['TZ', 'CST-8'],
    ['TZ', '+05:30'],
    ['TZ', 'Mars/Olympus'],
    ['LOG_LEVEL', 'verbose'],
    ['LOG_LEVEL', 'INFO'],
    ['LOG_FORMAT', 'text'],
    ['ANTHROPIC_BASE_URL', 'localhost:8080'],
    ['ANTHROPIC_BASE_URL', 'ftp://example.com'],
    ['ALLOW_STDIO_MCP', '1'],
    ['ALLOW_ANONYMOUS', 'yes'],
    ['HOST', 'a\nb'],
    ['APP_VERSION', 'caf\u00e9'],
    ['BUILD_COMMIT', 'a\r\nX-Evil: 1'],
    ['LOCAL_DB_PATH', '/data/store/local.db'],
  ])('refuses %s=%j, naming the variable, the value and what to do', (variable, value) => {
    const faults = faultsOf({ ...least, [variable]: value });
    expect(faults).toEqual([{ variable, value: expect.any(String), fix: expect.stringMatching(/^must /) }]);
    expect(faults[0]?.value).toContain(JSON.stringify(value).slice(1, -1));
  });

  it('reports all faults at once', () => {
    const faults = faultsOf({ PORT: 'x', TZ: 'x', LOG_LEVEL: 'x', MAX_EXECUTION_MS: '5m' });
    expect(faults.map(({ variable }) => variable).sort()).toEqual([
      'ANTHROPIC_API_KEY',
      'API_TOKEN',
      'LOG_LEVEL',
      'MAX_EXECUTION_MS',
      'PORT',
      'TZ',
    ]);
    const text = formatFaults(faults);
    for (const { variable, value, fix } of faults)
      for (const part of [variable, value, fix]) expect(text).toContain(part);
    expect(text).toContain('MAX_EXECUTION_MS: "5m"\n    must be an integer from 1 to 86400000, in digits only\n');
  });

  it.each(['ANTHROPIC_API_KEY', 'CLAUDE_CODE_OAUTH_TOKEN', 'API_TOKEN'])(
    'never shows any part of %s, right or wrong',
    (variable) => {
      const faults = faultsOf({ ...least, [variable]: 's3cr3t with blanks', PORT: 'x' });
      expect(faults.map((fault) => fault.variable).sort()).toEqual([variable, 'PORT'].sort());
      expect(formatFaults(faults)).not.toMatch(/s3cr3t|blanks/);
      const good = load({ [variable]: 's3cr3t' });
      expect(warnings(good).join()).not.toContain('s3cr3t');
    },
  );

  it('shows a long value cut short', () => {
    const [fault] = faultsOf({ ...least, PORT: 'x'.repeat(5000) });
    expect(fault?.value.length).toBeLessThan(100);
  });

  it('takes an empty value for none', () => {
    const empty = Object.fromEntries(
      Object.values(settings)
        .filter(({ variable }) => !(variable in least))
        .map(({ variable }) => [variable, '']),
    );
    expect(load({ ...empty, TZ: 'UTC' })).toEqual({ ...load({ TZ: 'UTC' }), sessionEndMarker: '' });
  });

  it('leaves variables alone that it does not know', () => {
    expect(faultsOf({ ...least, SDK_LOG_LEVEL: 'debug', CLEANUP_INTERVAL_SEC: '60', PORTS: 'x' })).toEqual([]);
  });

  it('writes its log for people on a terminal', () => {
    expect(load({}, { ...facts, isTerminal: true }).logFormat).toBe('pretty');
    expect(load({ LOG_FORMAT: 'json' }, { ...facts, isTerminal: true }).logFormat).toBe('json');
  });

  it.each([
    ['Asia/Tokyo', 'Asia/Tokyo'],
    ['Etc/UTC', 'UTC'],
    ['Europe/London', 'Europe/London'],
    ['Mars/Phobos', 'UTC'],
  ])('takes the zone of a system in %s to be %s', (system, expected) => {
    vi.stubEnv('TZ', system);
    expect(load({}).timezone).toBe(expected);
  });
});

describe('the credential of the model', () => {
  it('is missing without either variable, and the fault tells both and the demo', () => {
    const [fault, ...rest] = faultsOf({ API_TOKEN: least.API_TOKEN });
    expect(rest).toEqual([]);
    expect(fault).toMatchObject({ variable: 'ANTHROPIC_API_KEY', value: '(not set)' });
    for (const part of ['CLAUDE_CODE_OAUTH_TOKEN', 'claude setup-token', '`make demo`', '`picoclaw demo`'])
      expect(fault?.fix).toContain(part);
  });

  it('is one fault, not two, when it is malformed', () => {
    expect(faultsOf({ ...least, ANTHROPIC_API_KEY: 'two words' })).toHaveLength(1);
  });

  it('may be an OAuth token', () => {
    expect(load({ ANTHROPIC_API_KEY: '', CLAUDE_CODE_OAUTH_TOKEN: ' oauth ' }).credential).toEqual({
      kind: 'oauth_token',
      value: 'oauth',
    });
  });

  it('is the API key when both are set, with a warning', () => {
    const config = load({ CLAUDE_CODE_OAUTH_TOKEN: 'oauth' });
    expect(config.credential.kind).toBe('api_key');
    expect(warnings(config)).toEqual([expect.stringContaining('CLAUDE_CODE_OAUTH_TOKEN is set as well')]);
  });
});

describe('a server without API_TOKEN', () => {
  it.each(['0.0.0.0', '10.0.0.1', '::', 'example.com', '127.0.0.1.example.com'])('does not start on %s', (HOST) => {
    const [fault, ...rest] = faultsOf({ ...least, API_TOKEN: '', HOST });
    expect(rest).toEqual([]);
    expect(fault).toMatchObject({ variable: 'API_TOKEN', value: '(not set)' });
    for (const part of ['HOST=127.0.0.1', 'ALLOW_ANONYMOUS=true']) expect(fault?.fix).toContain(part);
  });

  it.each(['127.0.0.1', '127.1.2.3', '::1', 'localhost'])('starts on %s, with a warning', (HOST) => {
    const config = load({ API_TOKEN: '', HOST });
    expect(config.apiTokens).toEqual([]);
    expect(warnings(config)).toEqual([expect.stringContaining('API_TOKEN is not set')]);
  });

  it('starts anywhere with ALLOW_ANONYMOUS=true, with a warning', () => {
    const config = load({ API_TOKEN: '', ALLOW_ANONYMOUS: 'true' });
    expect(warnings(config)).toEqual([expect.stringContaining('API_TOKEN is not set')]);
  });

  it.each([',', 'good-token-0123456,', 'white space', 'caf\u00e9'])('is not what API_TOKEN=%j makes', (API_TOKEN) => {
    expect(faultsOf({ ...least, API_TOKEN }).map(({ variable }) => variable)).toEqual(['API_TOKEN']);
  });
});

describe('warnings', () => {
  it('has none for a good configuration', () => {
    expect(warnings(load({}))).toEqual([]);
  });

  it.each<[string, Env, RegExp]>([
    ['a short token', { API_TOKEN: 'short' }, /API_TOKEN/],
    ['commands of callers', { ALLOW_STDIO_MCP: 'true' }, /ALLOW_STDIO_MCP/],
    ["a store inside the agent's folder", { MEMORY_DIR: '/data', STORE_DIR: '/data/store' }, /STORE_DIR is inside/],
  ])('tells of %s', (_, env, pattern) => {
    expect(warnings(load(env))).toEqual([expect.stringMatching(pattern)]);
  });

  it('tells of a home in which the agent finds no skills', () => {
    const given = { ...facts, homeDir: '/data/memory/' };
    expect(warnings(load({ MEMORY_DIR: '/data/memory' }, given))).toEqual([
      expect.stringContaining('HOME is MEMORY_DIR'),
    ]);
  });

  it('tells of root, which is no fault', () => {
    expect(warnings(load({}, { ...facts, isRoot: true }))).toEqual([expect.stringContaining('root')]);
  });

  it('knows a folder beside another from one inside it', () => {
    expect(warnings(load({ MEMORY_DIR: '/data', STORE_DIR: '/data-store' }))).toEqual([]);
  });
});
