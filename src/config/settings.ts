/** All settings, once: parsing, defaults and docs/configuration.md come from this table. */

import {
  choice,
  flag,
  headerText,
  httpUrl,
  integer,
  optionalInteger,
  path,
  type Setting,
  secret,
  secrets,
  text,
  timezone,
} from './setting.ts';

export const settings = {
  apiKey: secret({
    variable: 'ANTHROPIC_API_KEY',
    description:
      'The key for the model API. Either this or CLAUDE_CODE_OAUTH_TOKEN is needed; with both, this one is used.',
  }),
  oauthToken: secret({
    variable: 'CLAUDE_CODE_OAUTH_TOKEN',
    description: 'A token of a Claude subscription, made by `claude setup-token`, in place of an API key.',
  }),
  anthropicBaseUrl: httpUrl({
    variable: 'ANTHROPIC_BASE_URL',
    description: 'Where the model API is: a gateway or proxy that speaks the Messages API.',
    defaultText: "the model API's own",
  }),
  model: text({
    variable: 'CLAUDE_MODEL',
    description: 'The model of every run that does not name one (`model` of POST /chat).',
    fallback: null,
    defaultText: "the agent's own",
  }),
  fallbackModel: text({
    variable: 'CLAUDE_FALLBACK_MODEL',
    description: 'The model that takes over while the other is overloaded.',
    fallback: null,
  }),
  apiTokens: secrets({
    variable: 'API_TOKEN',
    description:
      'What a caller must send, as `Authorization: Bearer <token>` or `x-api-key: <token>`. Several, separated by commas, ' +
      'are all valid: add the new one, move the callers, remove the old one. Without any, the server starts only on a ' +
      'loopback HOST or with ALLOW_ANONYMOUS.',
  }),
  allowAnonymous: flag({
    variable: 'ALLOW_ANONYMOUS',
    description:
      'Serves without API_TOKEN on any HOST, under any name and to any web page: for a server that only an authenticating gateway can reach.',
  }),
  allowStdioMcp: flag({
    variable: 'ALLOW_STDIO_MCP',
    description:
      'Lets callers give `mcp_servers` of type `stdio`. Such a server is a command that runs on this machine: whoever may ' +
      'call may then run anything here.',
  }),
  host: headerText({
    variable: 'HOST',
    description: 'The address to listen on. `127.0.0.1` serves this machine only.',
    fallback: '0.0.0.0',
  }),
  port: integer({
    variable: 'PORT',
    description: 'The port to listen on; 0 lets the system choose one, which the log tells.',
    fallback: 9000,
    min: 0,
    max: 65_535,
  }),
  maxExecutionMs: integer({
    variable: 'MAX_EXECUTION_MS',
    description: 'Milliseconds that a run may take at most; also the limit of a request that asks for no other.',
    fallback: 300_000,
    min: 1,
    max: 86_400_000,
  }),
  shutdownGraceMs: integer({
    variable: 'SHUTDOWN_GRACE_MS',
    description:
      'Milliseconds that runs under way have to end by themselves when the server is stopped; what is left is ended, with ' +
      'its text kept. Keep it below the time after which the platform kills (10 s of `docker stop`; the image sets 8000).',
    fallback: 10_000,
    min: 0,
    max: 3_600_000,
  }),
  sandbox: choice({
    variable: 'SANDBOX',
    description:
      'Whether the agent, and all that it runs, is kept in a sandbox (bubblewrap): without sight of the server and its files, ' +
      'and with nothing to write but MEMORY_DIR and a `/tmp` of its own. `auto`: where that works; the log and GET /health say ' +
      'whether it does. `on`: the server does not start where it does not.',
    fallback: 'auto',
    values: ['auto', 'on', 'off'],
  }),
  warmSpares: integer({
    variable: 'WARM_SPARES',
    description: 'Agent processes that are kept ready for new conversations, at about 85 MB each; 0: none.',
    fallback: 1,
    min: 0,
    max: 64,
  }),
  warmConversations: optionalInteger({
    variable: 'WARM_CONVERSATIONS',
    description:
      'Conversations whose agent process is kept between their runs, at about 130 MB each, so that the next message finds it ready; ' +
      'those unused for longest go first. 0: none.',
    defaultText: 'as many as the memory of the container allows, at most 32',
    min: 0,
    max: 10_000,
  }),
  warmIdleMs: integer({
    variable: 'WARM_IDLE_MS',
    description: "Milliseconds after its last run that a conversation's agent process is kept.",
    fallback: 600_000,
    min: 1_000,
    max: 86_400_000,
  }),
  assistantName: text({
    variable: 'ASSISTANT_NAME',
    description: "`sender_name` of the agent's messages.",
    fallback: 'Pico',
  }),
  timezone: timezone({
    variable: 'TZ',
    description: 'The zone of the times that the agent reads, and of tasks that name no other.',
    defaultText: "the system's",
  }),
  systemPromptOverride: text({
    variable: 'SYSTEM_PROMPT_OVERRIDE',
    description: 'A system prompt in place of the Claude Code preset and of `CLAUDE.md` in ORG_DIR.',
    fallback: null,
  }),
  sessionEndMarker: {
    ...text({
      variable: 'SESSION_END_MARKER',
      description:
        'A text by which the agent says that the conversation is over; `session_end_marker_detected` of an answer tells ' +
        'whether it was there. Empty turns it off.',
      fallback: '[[PICOCLAW_SESSION_END]]',
    }),
    emptyIsValue: true,
  },
  memoryDir: path({
    variable: 'MEMORY_DIR',
    description:
      "The agent's working directory, on a persistent volume: its files, `CLAUDE.md`, `skills/`, `.claude/` with the " +
      'transcripts. Created if it is not there.',
    fallback: '/data/memory',
  }),
  storeDir: path({
    variable: 'STORE_DIR',
    description:
      'Where the durable database is, on a persistent volume. Created if it is not there. Must be another folder than MEMORY_DIR, and should not be inside it (a warning): the agent writes there.',
    fallback: '/data/store',
  }),
  orgDir: path({
    variable: 'ORG_DIR',
    description:
      "An organisation's folder, read only: its `CLAUDE.md` is appended to the system prompt, the MCP servers of its " +
      '`managed-mcp.json` are there in every run, its `skills/` are installed.',
    fallback: null,
  }),
  skillsDir: path({
    variable: 'SKILLS_DIR',
    description:
      "An organisation's skills, one folder each; they replace built-in ones of the same name. Need not be there.",
    fallback: null,
    defaultText: '`$ORG_DIR/skills`, or `/data/skills` without ORG_DIR',
  }),
  builtInSkillsDir: path({
    variable: 'BUILT_IN_SKILLS_DIR',
    description: 'The skills that come with the server. Need not be there.',
    fallback: null,
    defaultText: '`built-in-skills` beside the program',
  }),
  localDbPath: path({
    variable: 'LOCAL_DB_PATH',
    description: 'The runtime database, on a fast local disk that may be lost at any time. Not inside STORE_DIR.',
    fallback: '/tmp/messages.db',
  }),
  outboundTtlDays: integer({
    variable: 'OUTBOUND_TTL_DAYS',
    description: 'Days that an outbound message is kept, whether an answer has taken it along or not.',
    fallback: 7,
    min: 1,
    max: 36_500,
  }),
  taskLogRetention: integer({
    variable: 'TASK_LOG_RETENTION',
    description: "Runs that a task's log keeps; the oldest go first.",
    fallback: 100,
    min: 0,
    max: 1_000_000,
  }),
  logLevel: choice({
    variable: 'LOG_LEVEL',
    description: 'The least level that is logged.',
    fallback: 'info',
    values: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
  }),
  logFormat: choice({
    variable: 'LOG_FORMAT',
    description: '`json`: one object a line. `pretty`: for people.',
    fallback: null,
    values: ['json', 'pretty'],
    defaultText: '`pretty` on a terminal, else `json`',
  }),
  version: headerText({
    variable: 'APP_VERSION',
    description: 'What the server says its version is, in `X-Build-Version` and GET /health.',
    fallback: null,
    defaultText: 'the version of the package',
  }),
  commit: headerText({
    variable: 'BUILD_COMMIT',
    description: 'What it was built from, in `X-Build-Commit` and GET /health.',
    fallback: 'unknown',
  }),
  buildTime: headerText({
    variable: 'BUILD_TIME',
    description: 'When it was built, in GET /health.',
    fallback: 'unknown',
  }),
} satisfies Record<string, Setting<unknown>>;

type Group = { title: string; settings: Setting<unknown>[] };

/** The order of the docs. */
export const groups: Group[] = [
  {
    title: 'The model',
    settings: [settings.apiKey, settings.oauthToken, settings.anthropicBaseUrl, settings.model, settings.fallbackModel],
  },
  {
    title: 'Who may call',
    settings: [settings.apiTokens, settings.allowAnonymous, settings.allowStdioMcp],
  },
  {
    title: 'The server',
    settings: [settings.host, settings.port, settings.maxExecutionMs, settings.shutdownGraceMs],
  },
  {
    title: 'The agent',
    settings: [
      settings.sandbox,
      settings.warmSpares,
      settings.warmConversations,
      settings.warmIdleMs,
      settings.assistantName,
      settings.timezone,
      settings.systemPromptOverride,
      settings.sessionEndMarker,
    ],
  },
  {
    title: 'Folders',
    settings: [
      settings.memoryDir,
      settings.storeDir,
      settings.orgDir,
      settings.skillsDir,
      settings.builtInSkillsDir,
      settings.localDbPath,
    ],
  },
  { title: 'Retention', settings: [settings.outboundTtlDays, settings.taskLogRetention] },
  {
    title: 'Log and build',
    settings: [settings.logLevel, settings.logFormat, settings.version, settings.commit, settings.buildTime],
  },
];
