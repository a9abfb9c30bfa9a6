/**
 * The agent by the Claude Agent SDK: the only file that imports it, and not before it is needed.
 *
 * One claude process a run. A run resolves when its process and all that its tools started are gone.
 */

import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { Log } from '../lib/log.ts';
import type { Agent, AgentResult, ToolContext } from './agent.ts';
import type { ArchiveLimits } from './archive/archiver.ts';
import { removeArchives } from './archive/remove.ts';
import { type Credential, makeEnvironment } from './environment.ts';
import { runInSession, type SessionDeps } from './in-session.ts';
import { makeServersReader } from './managed-mcp.ts';
import type { ToolServer } from './options.ts';
import type { PerformLimits } from './perform.ts';
import type { ProcessDeps } from './process.ts';
import { canTieToParent } from './spawn.ts';
import { makeStartSlots, type StartSlots } from './start-slots.ts';
import { deleteSession, promptsIn } from './transcripts.ts';
import { instanceVariable, startWatchdog, type Watchdog } from './watchdog.ts';

/** `archiveMs` is less than `silenceMs`. */
export type ClaudeLimits = PerformLimits &
  ArchiveLimits & {
    maxConcurrentStarts: number;
    /** Of one call of the model API; each waits twice as long as the one before, from half a second. */
    maxRetries: number;
    /** How long a stream of the model API may send nothing before the CLI asks again without streaming. */
    streamIdleMs: number;
    /** How long an MCP server may take to connect before the run goes on without it. */
    mcpConnectMs: number;
    /** How long one call of a tool of the tool server may take; at least a second. */
    toolMs: number;
    /** From the end of a process's input to killing it. */
    exitMs: number;
  };

export const defaultLimits: ClaudeLimits = {
  maxConcurrentStarts: 2,
  maxRetries: 4,
  startMs: 60_000,
  streamIdleMs: 60_000,
  // Longer than the CLI's own watch over the stream and the answer without streaming that follows it.
  silenceMs: 240_000,
  mcpConnectMs: 10_000,
  toolMs: 30_000,
  archiveMs: 60_000,
  transcriptMs: 2_000,
  interruptMs: 2_000,
  exitMs: 2_000,
};

export type ClaudeAgentDeps = {
  credential: Credential;
  anthropicBaseUrl: string | null;
  defaultModel: string | null;
  fallbackModel: string | null;
  /** The agent's working directory. Must exist. */
  memoryDir: string;
  /** Where the CLI keeps its sessions; `.claude` below the working directory when null. */
  configDir: string | null;
  orgDir: string | null;
  systemPromptOverride: string | null;
  /** IANA. */
  timezone: string;
  /** The host's environment, of which only what programs need is passed on, and what `managed-mcp.json` refers to. */
  baseEnv: Record<string, string | undefined>;
  /** Makes the server of our own tools for one claude process; it is closed with the process. */
  toolServer: (context: ToolContext) => Promise<ToolServer>;
  log: Log;
  limits?: Partial<ClaudeLimits>;
};

export type ClaudeAgent = Agent & {
  /** Loads the SDK, which takes about 0.15 s, and reads what a run needs, ahead of the first run. */
  warmUp(): Promise<void>;
  /** Does the work while no process is starting: what a starting process reads, it reads whole. */
  betweenStarts: StartSlots['betweenStarts'];
};

export function createClaudeAgent(deps: ClaudeAgentDeps): ClaudeAgent {
  const limits: ClaudeLimits = { ...defaultLimits, ...deps.limits };
  const configDir = deps.configDir ?? join(deps.memoryDir, '.claude');
  const stopping = new AbortController();
  const active = new Set<Promise<AgentResult>>();
  const instance = randomUUID();
  let watchdog: Watchdog | null = null;
  let loading: Promise<Loaded> | null = null;
  let program = { ok: true, version: '' };

  async function load(): Promise<Loaded> {
    watchdog ??= startWatchdog(instance);
    loading ??= loadSdk(limits.exitMs);
    try {
      const loaded = await loading;
      program = { ok: true, version: loaded.version };
      return loaded;
    } catch (error) {
      // The next run tries again.
      loading = null;
      program = { ...program, ok: false };
      throw error;
    }
  }

  const slots = makeStartSlots(limits.maxConcurrentStarts);
  const sessionDeps: SessionDeps = {
    settings: {
      cwd: deps.memoryDir,
      configDir,
      defaultModel: deps.defaultModel,
      fallbackModel: deps.fallbackModel,
      toolMs: limits.toolMs,
      env: {
        ...makeEnvironment({
          base: deps.baseEnv,
          credential: deps.credential,
          anthropicBaseUrl: deps.anthropicBaseUrl,
          configDir,
          timezone: deps.timezone,
          maxRetries: limits.maxRetries,
          streamIdleMs: limits.streamIdleMs,
          mcpConnectMs: limits.mcpConnectMs,
          isRoot: process.getuid?.() === 0,
        }),
        [instanceVariable]: instance,
      },
    },
    orgDir: deps.orgDir,
    systemPromptOverride: deps.systemPromptOverride,
    readServers: makeServersReader({ orgDir: deps.orgDir, env: deps.baseEnv }),
    toolServer: deps.toolServer,
    timezone: deps.timezone,
    archiveLimits: { archiveMs: limits.archiveMs, transcriptMs: limits.transcriptMs },
    limits,
    slots,
    load,
    redact: (text) => text.replaceAll(deps.credential.value, '[credential]'),
    log: deps.log,
  };

  return {
    run: async (request, onEvent) => {
      const signal = AbortSignal.any([request.signal, stopping.signal]);
      const running = runInSession(sessionDeps, { ...request, signal }, onEvent);
      active.add(running);
      try {
        return await running;
      } finally {
        active.delete(running);
      }
    },
    heldPrompts: (sessionId, promptIds) => promptsIn(configDir, sessionId, promptIds),
    forget: (sessionId) => deleteSession({ configDir, tempDir: deps.baseEnv.TMPDIR ?? '/tmp' }, sessionId),
    forgetArchives: (sessionIds) => removeArchives(deps.memoryDir, sessionIds),
    health: () => ({ ...program, warm: 0 }),
    warmUp: async () => {
      // Read once while it is known to be good, in case that it breaks before the first run.
      await Promise.all([load(), sessionDeps.readServers()]);
    },
    betweenStarts: slots.betweenStarts,
    stop: async () => {
      stopping.abort();
      await Promise.allSettled(active);
      watchdog?.stop();
    },
  };
}

type Loaded = ProcessDeps & { version: string };

async function loadSdk(exitMs: number): Promise<Loaded> {
  const name = '@anthropic-ai/claude-agent-sdk';
  const [sdk, tieToParent, manifest] = await Promise.all([
    import('@anthropic-ai/claude-agent-sdk'),
    canTieToParent(),
    readFile(fileURLToPath(new URL('manifest.json', import.meta.resolve(name))), 'utf8'),
  ]);
  const { version } = z.looseObject({ version: z.string() }).parse(JSON.parse(manifest));
  return { query: sdk.query, tieToParent, exitMs, version };
}
