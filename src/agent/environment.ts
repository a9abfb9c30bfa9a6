/**
 * The environment of the claude process, built from nothing.
 *
 * Invariant: whatever the agent runs inherits this, so only what is named here goes in. The server's own environment
 * (its token, cloud credentials, database URLs) never does.
 */

export type Credential = { kind: 'api_key' | 'oauth_token'; value: string };

export type ProcessEnvironment = Record<string, string>;

export type EnvironmentInput = {
  /** The host's environment, of which only the allowed names are taken. */
  base: Record<string, string | undefined>;
  timezone: string;
  maxRetries: number;
  streamIdleMs: number;
  /** In tokens; null: the model's own. */
  compactWindow: number | null;
  mcpConnectMs: number;
  isRoot: boolean;
};

/** What differs from one process to the next. */
export type ProcessEnvironmentInput = {
  configDir: string;
  tempDir: string;
  /** The placeholder, of the kind of the real credential. */
  credential: Credential;
  gatewayUrl: string;
};

/** What programs need to run at all, to be in the right language, and to reach the network of their host. */
const allowed = new Set([
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'LANG',
  'LANGUAGE',
  'TMPDIR',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'ALL_PROXY',
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'all_proxy',
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'CURL_CA_BUNDLE',
  'REQUESTS_CA_BUNDLE',
]);

const proxies = new Set(['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY']);

/** What any program on this host may have of its environment. A proxy's user and password are the server's alone. */
export function inheritedEnvironment(base: EnvironmentInput['base']): ProcessEnvironment {
  return Object.fromEntries(
    Object.entries(base).flatMap(([name, value]) =>
      value !== undefined && (allowed.has(name) || name.startsWith('LC_')) ? [[name, withoutUser(name, value)]] : [],
    ),
  );
}

/** The variables whose proxy asks for a user and password, which the agent's programs are not given. */
export function proxiesWithUser(base: EnvironmentInput['base']): string[] {
  return Object.entries(base).flatMap(([name, value]) =>
    value !== undefined && withoutUser(name, value) !== value ? [name] : [],
  );
}

/** A password may have been written without the escapes that a URL asks for, so all up to the last @ goes. */
function withoutUser(name: string, value: string): string {
  return proxies.has(name.toUpperCase()) ? value.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, '$1') : value;
}

/** What all claude processes have in common. */
export function makeEnvironment(input: EnvironmentInput): ProcessEnvironment {
  const inherited = inheritedEnvironment(input.base);
  return {
    ...inherited,
    ...withoutProxy(inherited),
    TZ: input.timezone,
    // Without it the CLI refuses to bypass permissions as root; a container is the sandbox it asks about.
    ...(input.isRoot ? { IS_SANDBOX: '1' } : {}),
    // Otherwise one extra model call per user message (a title), and telemetry.
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    // A background task would start a turn that nobody asked for after the run's answer.
    CLAUDE_CODE_DISABLE_BACKGROUND_TASKS: '1',
    // It would be one memory for all conversations, written behind their backs; CLAUDE.md is the memory that is meant.
    CLAUDE_CODE_DISABLE_AUTO_MEMORY: '1',
    // A first line of the system prompt that differs from one conversation to the next: none would share a prompt cache.
    CLAUDE_CODE_ATTRIBUTION_HEADER: '0',
    // Every tool is in the request from the start, and no placeholder for ones to be searched.
    ENABLE_TOOL_SEARCH: 'false',
    ...(input.compactWindow === null ? {} : { CLAUDE_CODE_AUTO_COMPACT_WINDOW: String(input.compactWindow) }),
    CLAUDE_CODE_MAX_RETRIES: String(input.maxRetries),
    MCP_TIMEOUT: String(input.mcpConnectMs),
    // Otherwise each start reads all certificates of the system. As with the server's own TLS, an authority of the
    // organisation comes by NODE_EXTRA_CA_CERTS, or by a store that is named.
    ...(namesCertificates(inherited) ? {} : { CLAUDE_CODE_CERT_STORE: 'bundled' }),
    // The only one of the CLI's stream deadlines that acts on bytes that stop coming.
    CLAUDE_ENABLE_BYTE_WATCHDOG: '1',
    CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS: String(input.streamIdleMs),
  };
}

export function makeProcessEnvironment(shared: ProcessEnvironment, input: ProcessEnvironmentInput): ProcessEnvironment {
  const { kind, value } = input.credential;
  return {
    ...shared,
    TMPDIR: input.tempDir,
    // Programs that keep a cache below HOME find it read only in the sandbox.
    XDG_CACHE_HOME: `${input.tempDir}/.cache`,
    npm_config_cache: `${input.tempDir}/.npm`,
    CLAUDE_CONFIG_DIR: input.configDir,
    ...(kind === 'api_key' ? { ANTHROPIC_API_KEY: value } : { CLAUDE_CODE_OAUTH_TOKEN: value }),
    ANTHROPIC_BASE_URL: input.gatewayUrl,
  };
}

function namesCertificates({ SSL_CERT_FILE, SSL_CERT_DIR }: ProcessEnvironment): boolean {
  return Boolean(SSL_CERT_FILE || SSL_CERT_DIR);
}

const gatewayHost = '127.0.0.1';

/** The way to the gateway is not through the proxy, which could not reach it. */
function withoutProxy(inherited: Record<string, string>): Record<string, string> {
  // Of two the CLI takes the lower-case one.
  const given = inherited.no_proxy || inherited.NO_PROXY;
  const list = given ? `${given},${gatewayHost}` : gatewayHost;
  return { NO_PROXY: list, no_proxy: list };
}
