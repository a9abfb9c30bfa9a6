/**
 * The agent by the Claude Agent SDK: the only file that imports it, and not before it is needed.
 *
 * One claude process a run. A run resolves when its process and all that its tools started are gone.
 */

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { noUsage } from '../domain/run.ts';
import type { Log } from '../lib/log.ts';
import type { Agent, AgentEvent, AgentPrompt, AgentRequest, AgentResult } from './agent.ts';
import { type Credential, makeEnvironment } from './environment.ts';
import { decideOutcome } from './failure.ts';
import { makeOptions } from './options.ts';
import { type Performed, type PerformLimits, perform } from './perform.ts';
import { ClaudeProcess, type QueryFunction } from './process.ts';
import { decideSession, refusalOf, type SessionChoice } from './session.ts';
import { canTieToParent } from './spawn.ts';
import { makeStartSlots } from './start-slots.ts';
import { readSystemPrompt } from './system-prompt.ts';
import { totalsOf } from './tally.ts';
import { deleteSession, readTranscript, type Transcript } from './transcripts.ts';

export type ClaudeLimits = PerformLimits & {
  maxConcurrentStarts: number;
  /** Of one call of the model API; each waits twice as long as the one before, from half a second. */
  maxRetries: number;
  /** How long a stream of the model API may send nothing before the CLI asks again without streaming. */
  streamIdleMs: number;
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
  /** The host's environment, of which only what programs need is passed on. */
  baseEnv: Record<string, string | undefined>;
  log: Log;
  limits?: Partial<ClaudeLimits>;
};

export type ClaudeAgent = Agent & {
  /** Loads the SDK, which takes about 0.15 s, ahead of the first run. */
  warmUp(): Promise<void>;
};

export function createClaudeAgent(deps: ClaudeAgentDeps): ClaudeAgent {
  const { log, memoryDir } = deps;
  const configDir = deps.configDir ?? join(memoryDir, '.claude');
  const limits: ClaudeLimits = { ...defaultLimits, ...deps.limits };
  const slots = makeStartSlots(limits.maxConcurrentStarts);
  const stopping = new AbortController();
  const active = new Set<Promise<AgentResult>>();
  let loading: Promise<Loaded> | null = null;

  const env = makeEnvironment({
    base: deps.baseEnv,
    credential: deps.credential,
    anthropicBaseUrl: deps.anthropicBaseUrl,
    configDir,
    timezone: deps.timezone,
    maxRetries: limits.maxRetries,
    streamIdleMs: limits.streamIdleMs,
    isRoot: process.getuid?.() === 0,
  });

  function load(): Promise<Loaded> {
    loading ??= Promise.all([import('@anthropic-ai/claude-agent-sdk'), canTieToParent()]).then(
      ([sdk, tieToParent]) => ({ query: sdk.query, tieToParent }),
    );
    return loading;
  }

  async function run(request: AgentRequest, onEvent: (event: AgentEvent) => void): Promise<AgentResult> {
    const signal = AbortSignal.any([request.signal, stopping.signal]);
    const transcript = await readTranscript(configDir, request.sessionId);
    let choice = decideSession(request, transcript);
    let freshBecause: string | null = null;
    let sessionId = request.sessionId;
    let prompt = request.prompt;
    for (;;) {
      if (choice.kind === 'fresh') {
        freshBecause = choice.because;
        sessionId = randomUUID();
        prompt = await request.freshPrompt();
        log.warn({ run: request.runId, conversation: request.conversationId, because: freshBecause }, 'fresh session');
        choice = { kind: 'create', id: sessionId };
      }
      const tried = await attempt({ ...request, signal, prompt }, choice, transcript, onEvent);
      if (tried.kind === 'refused' && freshBecause === null) {
        choice = { kind: 'fresh', because: tried.because };
        continue;
      }
      return { ...tried.result, sessionId, freshBecause };
    }
  }

  async function attempt(
    request: AgentRequest,
    session: Exclude<SessionChoice, { kind: 'fresh' }>,
    transcript: Transcript,
    onEvent: (event: AgentEvent) => void,
  ): Promise<Attempted> {
    const { query, tieToParent } = await load();
    const systemPrompt = await readSystemPrompt({ orgDir: deps.orgDir, override: deps.systemPromptOverride });
    const release = await slots.take(request.signal);
    if (release === null) return { kind: 'ended', result: neverStarted(session.id) };

    const claude = new ClaudeProcess({ query, tieToParent, exitMs: limits.exitMs }, (spawn) =>
      makeOptions({
        session,
        run: request.options,
        env,
        cwd: memoryDir,
        configDir,
        systemPrompt,
        defaultModel: deps.defaultModel,
        fallbackModel: deps.fallbackModel,
        spawn,
      }),
    );
    const performed = await perform(limits, {
      process: claude,
      sessionId: session.id,
      prompt: unheld(request.prompt, transcript),
      onEvent,
      onStarted: release,
      signal: request.signal,
    });
    const refusal = performed.result?.subtype === 'success' ? null : refusalOf(said(performed, claude.stderr));
    if (refusal !== null)
      return { kind: 'refused', because: refusal, result: await toResult(request, session.id, performed) };
    if (performed.result === null && performed.cut === null) {
      const { death } = performed;
      log.error({ run: request.runId, death, stderr: withoutSecret(claude.stderr) }, 'the claude process died');
    }
    return { kind: 'ended', result: await toResult(request, session.id, performed) };
  }

  async function toResult(request: AgentRequest, sessionId: string, performed: Performed): Promise<AgentResult> {
    const ended = decideOutcome({ ...performed, options: request.options });
    const held = async () => (await readTranscript(configDir, sessionId)).holds(request.prompt.id);
    return {
      outcome: ended.outcome,
      error: ended.outcome === 'error' ? ended.problem.toBody() : null,
      sessionId,
      promptTaken: ended.outcome === 'success' || (await held()),
      freshBecause: null,
      model: performed.tally.model,
      ...totalsOf(performed.tally, performed.result),
      numTurns: performed.result?.num_turns ?? 0,
      warnings: performed.tally.warnings,
    };
  }

  function withoutSecret(text: string): string {
    return text.replaceAll(deps.credential.value, '[credential]');
  }

  return {
    run: async (request, onEvent) => {
      const running = run(request, onEvent);
      active.add(running);
      try {
        return await running;
      } finally {
        active.delete(running);
      }
    },
    heldPrompts: async (sessionId, promptIds) => {
      const transcript = await readTranscript(configDir, sessionId);
      return new Set(promptIds.filter((id) => transcript.holds(id)));
    },
    forget: (sessionId) => deleteSession(configDir, sessionId),
    health: () => ({ ok: true, version: '', warm: 0 }),
    warmUp: async () => {
      await load();
    },
    stop: async () => {
      stopping.abort();
      await Promise.allSettled(active);
    },
  };
}

type Loaded = { query: QueryFunction; tieToParent: boolean };

type Attempted = { kind: 'ended'; result: AgentResult } | { kind: 'refused'; because: string; result: AgentResult };

function neverStarted(sessionId: string): AgentResult {
  return {
    outcome: 'interrupted',
    error: null,
    sessionId,
    promptTaken: false,
    freshBecause: null,
    model: null,
    usage: noUsage,
    costUsd: 0,
    numTurns: 0,
    warnings: [],
  };
}

/** A session silently ignores a prompt whose id it has; one that is sent again all the same goes under another. */
function unheld(prompt: AgentPrompt, transcript: Transcript): AgentPrompt {
  return transcript.holds(prompt.id) ? { ...prompt, id: randomUUID() } : prompt;
}

/** All that the CLI said about why it failed. */
function said({ result }: Performed, stderr: string): string {
  return [...(result && 'errors' in result ? result.errors : []), stderr].join('\n');
}
