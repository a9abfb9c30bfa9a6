/**
 * The agent by the Claude Agent SDK: the only file that imports it, and not before it is needed.
 *
 * Its processes outlive their runs, know no credential, and are in a sandbox where there is one. When `stop` has resolved,
 * none of them is left, nor anything that their tools started.
 */

import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { RunOptions } from '../domain/run.ts';
import type { Agent, AgentResult, ToolContext } from './agent.ts';
import { removeArchives } from './archive/remove.ts';
import { type Confinement, type ConfinementInput, findConfinement } from './confinement.ts';
import { type Credential, inheritedEnvironment, makeEnvironment, proxiesWithUser } from './environment.ts';
import { startGateway } from './gateway.ts';
import { runInSession, type SessionDeps } from './in-session.ts';
import { type ClaudeLimits, defaultLimits, maxRunsOf } from './limits.ts';
import { type LiveDeps, type LiveParts, LiveProcess } from './live-process.ts';
import { makeServersReader } from './managed-mcp.ts';
import { MemoryUse } from './memory.ts';
import type { ToolServer } from './options.ts';
import { prepare } from './prepare.ts';
import { processFoldersIn, removeAbandonedFolders } from './process-folder.ts';
import { Processes, type ProcessesLimits } from './processes.ts';
import { makeStartSlots, type StartSlots } from './start-slots.ts';
import { deleteSession, promptsIn, transcriptState } from './transcripts.ts';
import { instanceVariable, startWatchdog, type Watchdog } from './watchdog.ts';

/** Which processes are kept without a run, and how many there may be at all. */
export type WarmLimits = Pick<ProcessesLimits, 'spares' | 'conversations' | 'idleMs' | 'maxProcesses'>;

export type ClaudeAgentDeps = ConfinementInput & {
  credential: Credential;
  anthropicBaseUrl: string | null;
  defaultModel: string | null;
  fallbackModel: string | null;
  systemPromptOverride: string | null;
  /** IANA. */
  timezone: string;
  /** The host's environment, of which only what programs need is passed on, and what `managed-mcp.json` refers to. */
  baseEnv: Record<string, string | undefined>;
  /** Makes the server of our own tools for one claude process; its tools act for the run that `current` tells. */
  toolServer: (current: () => ToolContext | null) => Promise<ToolServer>;
  warm: WarmLimits;
  /** Where it is being found out already. */
  confine?: () => Promise<Confinement>;
  limits?: Partial<ClaudeLimits>;
};

export type ClaudeAgent = Agent & {
  /** Loads the SDK, which takes about 0.15 s, and reads what a run needs, ahead of the first run. */
  warmUp(): Promise<void>;
  /** Starts the spares, and keeps them from now on. */
  keepSpares(): Promise<void>;
  confinement(): Promise<Confinement>;
  /** Does the work while no process is starting: what a starting process reads, it reads whole. */
  betweenStarts: StartSlots['betweenStarts'];
};

export function createClaudeAgent(deps: ClaudeAgentDeps): ClaudeAgent {
  const limits: ClaudeLimits = { ...defaultLimits, ...deps.limits };
  const { log, memoryDir, warm } = deps;
  const sessionsDir = join(memoryDir, '.claude');
  const temporaryDir = deps.baseEnv.TMPDIR ?? '/tmp';
  const foldersRoot = processFoldersIn(temporaryDir);
  const stopping = new AbortController();
  const active = new Set<Promise<AgentResult>>();
  const instance = randomUUID();
  let watchdog: Watchdog | null = null;
  let loading: Promise<Loaded> | null = null;
  let program = { ok: true, version: '' };
  let sandbox: 'on' | 'off' | null = null;

  async function load(): Promise<Loaded> {
    watchdog ??= startWatchdog(instance);
    loading ??= loadParts(deps, limits);
    try {
      const loaded = await loading;
      program = { ok: true, version: loaded.version };
      sandbox = loaded.parts.confinement.sandbox === null ? 'off' : 'on';
      return loaded;
    } catch (error) {
      // The next run tries again.
      loading = null;
      program = { ...program, ok: false };
      throw error;
    }
  }

  const proxies = proxiesWithUser(deps.baseEnv);
  if (proxies.length > 0)
    log.warn(
      { variables: proxies },
      "the proxy's user and password are not given to the agent, whose tools go without",
    );

  const settings = {
    cwd: memoryDir,
    sessionsDir,
    hidden: deps.hidden,
    defaultModel: deps.defaultModel,
    fallbackModel: deps.fallbackModel,
    toolMs: limits.toolMs,
  };
  const liveDeps: LiveDeps = {
    settings,
    foldersRoot,
    covered: deps.covered,
    env: makeEnvironment({
      base: deps.baseEnv,
      timezone: deps.timezone,
      maxRetries: limits.maxRetries,
      streamIdleMs: limits.streamIdleMs,
      compactWindow: limits.compactWindow,
      mcpConnectMs: limits.mcpConnectMs,
      isRoot: process.getuid?.() === 0,
    }),
    programEnv: inheritedEnvironment(deps.baseEnv),
    marks: { [instanceVariable]: instance },
    credentialKind: deps.credential.kind,
    toolServer: deps.toolServer,
    timezone: deps.timezone,
    archiveLimits: { archiveMs: limits.archiveMs, transcriptMs: limits.transcriptMs },
    mcpConnectMs: limits.mcpConnectMs,
    log,
  };
  const prepareDeps = {
    settings,
    orgDir: deps.orgDir,
    systemPromptOverride: deps.systemPromptOverride,
    readServers: makeServersReader({ orgDir: deps.orgDir, env: deps.baseEnv }),
    log,
  };
  const slots = makeStartSlots(limits.maxConcurrentStarts);
  const processes = new Processes({
    limits: { ...warm, promiseMs: limits.promiseMs },
    slots,
    wantedBySpare: async (sessionId) =>
      (await prepare(prepareDeps, { session: { kind: 'create', id: sessionId }, run: noWishes })).wanted,
    start: async (wanted) => LiveProcess.start(liveDeps, (await load()).parts, wanted),
    log,
  });
  const sessionDeps: SessionDeps = {
    ...prepareDeps,
    limits,
    processes,
    redact: (text) => text.replaceAll(deps.credential.value, '[credential]'),
  };
  const memory = new MemoryUse(() => processes.pids());

  return {
    maxRuns: maxRunsOf(warm, limits),
    newSessionId: () => processes.newSessionId(),
    expect: ({ sessionId, resume, options }) => {
      void expectRun({ sessionId, resume, options });
    },
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
    heldPrompts: (sessionId, promptIds) => promptsIn(sessionsDir, sessionId, promptIds),
    forget: async (sessionId) => {
      // It would write on.
      await processes.endSession(sessionId);
      await deleteSession({ sessionsDir, tempDir: temporaryDir }, sessionId);
    },
    forgetArchives: (sessionIds) => removeArchives(memoryDir, sessionIds),
    letGo: () => processes.endConversations(),
    health: () => {
      const counts = processes.counts();
      return { ...program, sandbox, warm: counts.spares, processes: { ...counts, memoryBytes: memory.bytes() } };
    },
    warmUp: async () => {
      // Read once while it is known to be good, in case that it breaks before the first run.
      await Promise.all([load(), prepareDeps.readServers(), removeAbandonedFolders(foldersRoot)]);
    },
    keepSpares: () => processes.keepSpares(),
    confinement: async () => (await load()).parts.confinement,
    betweenStarts: slots.betweenStarts,
    stop: async () => {
      stopping.abort();
      await Promise.allSettled(active);
      await processes.stop();
      const loaded = await loading?.catch(() => null);
      await loaded?.parts.gateway.stop();
      watchdog?.stop();
    },
  };

  /** What fails here fails again in the run, which tells. */
  async function expectRun({ sessionId, resume, options }: Parameters<Agent['expect']>[0]): Promise<void> {
    const { tenure } = processes;
    try {
      if (!resume || (await transcriptState(sessionsDir, sessionId)) !== 'usable') return;
      const { wanted } = await prepare(prepareDeps, { session: { kind: 'resume', id: sessionId }, run: options });
      await processes.prepare(wanted, tenure);
    } catch (error) {
      log.debug({ err: error }, 'a run could not be prepared ahead');
    }
  }
}

/** What a spare is started for. */
const noWishes: RunOptions = {
  model: null,
  maxExecutionMs: 0,
  thinking: { type: 'disabled' },
  effort: null,
  maxTurns: null,
  maxBudgetUsd: null,
  mcpServers: {},
};

type Loaded = { parts: LiveParts; version: string };

async function loadParts(deps: ClaudeAgentDeps, limits: ClaudeLimits): Promise<Loaded> {
  const name = '@anthropic-ai/claude-agent-sdk';
  const [confinement, manifest] = await Promise.all([
    deps.confine === undefined ? findConfinement(deps) : deps.confine(),
    readFile(fileURLToPath(new URL('manifest.json', import.meta.resolve(name))), 'utf8'),
  ]);
  // Not beside them: it keeps this process too busy to start their programs.
  const sdk = await import('@anthropic-ai/claude-agent-sdk');
  const gateway = await startGateway({
    credential: deps.credential,
    upstream: deps.anthropicBaseUrl,
    proxyEnv: deps.baseEnv,
    log: deps.log,
  });
  const { version } = z.looseObject({ version: z.string() }).parse(JSON.parse(manifest));
  const { startMs, exitMs, changeMs } = limits;
  const processDeps = { startup: sdk.startup, startMs, exitMs, changeMs };
  return { parts: { processDeps, gateway, confinement }, version };
}
