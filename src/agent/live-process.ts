/**
 * A claude process with everything that is its own: its folder, its pass at the gateway, its tool server, the bridges to other
 * MCP servers. All of it begins with the process and ends with it.
 *
 * It works on one run at a time. Outside of a run its tools act for nobody.
 */

import type { RunOptions } from '../domain/run.ts';
import type { Log } from '../lib/log.ts';
import type { AgentPrompt, AgentRequest, ToolContext } from './agent.ts';
import { type ArchiveLimits, Archiver, makeArchiveHooks } from './archive/archiver.ts';
import type { Confinement } from './confinement.ts';
import { makeProcessEnvironment, type ProcessEnvironment } from './environment.ts';
import type { Gateway, Pass } from './gateway.ts';
import { bridgeMcpServers, type McpBridge } from './mcp-bridge.ts';
import { makeOptions, type OptionsSettings, type ToolServer } from './options.ts';
import { ClaudeProcess, type ProcessDeps } from './process.ts';
import { makeProcessFolder, type ProcessFolder } from './process-folder.ts';
import { makeSandboxArgs } from './sandbox.ts';
import type { Session } from './session.ts';
import { decideReuse, type Spec } from './spec.ts';
import type { SystemPrompt } from './system-prompt.ts';

/** What a run asks of a process. */
export type Wanted = {
  session: Session;
  run: RunOptions;
  systemPrompt: SystemPrompt;
  spec: Spec;
};

export type LiveDeps = {
  settings: OptionsSettings;
  /** Below it each process has its folder. */
  foldersRoot: string;
  /** Folders that a sandbox covers whole. */
  covered: string[];
  env: ProcessEnvironment;
  /** Of the programs that MCP servers are, besides their own. */
  programEnv: ProcessEnvironment;
  /** In the environment of all that is started for a process. */
  marks: Record<string, string>;
  credentialKind: 'api_key' | 'oauth_token';
  toolServer: (current: () => ToolContext | null) => Promise<ToolServer>;
  /** IANA. */
  timezone: string;
  archiveLimits: ArchiveLimits;
  mcpConnectMs: number;
  log: Log;
};

/** What is only there once the SDK is loaded. */
export type LiveParts = {
  processDeps: ProcessDeps;
  gateway: Gateway;
  confinement: Confinement;
};

export class LiveProcess {
  readonly sessionId: string;
  readonly process: ClaudeProcess;
  readonly pass: Pass;
  readonly #deps: LiveDeps;
  readonly #folder: ProcessFolder;
  readonly #bridges: McpBridge[];
  readonly #current: { run: Current | null };
  #spec: Spec;
  #ending: Promise<string> | null = null;

  private constructor(deps: LiveDeps, wanted: Wanted, own: Own) {
    this.#deps = deps;
    this.sessionId = wanted.session.id;
    this.#spec = wanted.spec;
    this.process = own.process;
    this.pass = own.pass;
    this.#folder = own.folder;
    this.#bridges = own.bridges;
    this.#current = own.current;
  }

  /** Resolves once the process has been started; whether it is ready, `process.ready` says. Rejects when it cannot be. */
  static async start(deps: LiveDeps, parts: LiveParts, wanted: Wanted): Promise<LiveProcess> {
    const { settings, archiveLimits, log } = deps;
    const current: Own['current'] = { run: null };
    await using undo = new AsyncDisposableStack();
    const folder = await makeProcessFolder({
      root: deps.foldersRoot,
      sessionId: wanted.session.id,
      memoryDir: settings.cwd,
      sessionsDir: settings.sessionsDir,
    });
    undo.defer(() => folder.remove());
    const pass = parts.gateway.admit();
    undo.defer(() => pass.revoke());
    const bridges = bridgeMcpServers(wanted.run.mcpServers, {
      connectMs: deps.mcpConnectMs,
      env: deps.programEnv,
      marks: deps.marks,
      // Not the memory folder, which the agent writes: a program found there would run outside of the sandbox.
      cwd: '/',
      tieToParent: parts.confinement.tieToParent,
      log,
    });
    undo.defer(async () => void (await Promise.all(Object.values(bridges).map((bridge) => bridge.close()))));
    const { sandbox } = parts.confinement;
    const env = makeProcessEnvironment(deps.env, {
      configDir: folder.configDir,
      tempDir: sandbox === null ? folder.tempDir : '/tmp',
      credential: { kind: deps.credentialKind, value: pass.placeholder },
      gatewayUrl: parts.gateway.url,
    });
    const options = makeOptions(settings, {
      session: wanted.session,
      systemPrompt: wanted.systemPrompt,
      run: wanted.run,
      env: { ...env, ...deps.marks },
      configDir: folder.configDir,
      toolServer: await deps.toolServer(() => current.run?.context ?? null),
      mcpServers: Object.fromEntries(Object.entries(bridges).map(([name, bridge]) => [name, bridge.config])),
      hooks: makeArchiveHooks(() => current.run?.archiver ?? null, archiveLimits),
    });
    const prefix =
      sandbox === null
        ? parts.confinement.prefix
        : [
            'bwrap',
            ...(await makeSandboxArgs({
              writable: [settings.cwd, folder.configDir],
              readable: sandbox.readable,
              // Of other sessions' folders nothing is seen.
              hidden: [...settings.hidden, ...deps.covered, deps.foldersRoot],
              sealed: folder.sealed,
              tempDir: folder.tempDir,
            })),
          ];
    const claude = new ClaudeProcess(parts.processDeps, { options, prefix });
    undo.move();
    return new LiveProcess(deps, wanted, { process: claude, pass, folder, bridges: Object.values(bridges), current });
  }

  /** Whether it can be given a run that wants this, once it is ready and if need be changed. */
  async fits(wanted: Spec): Promise<boolean> {
    if (!this.process.isFit || this.#ending !== null) return false;
    // One that was lost is tried again, by a process that connects anew.
    if (this.#bridges.some(({ lost }) => lost !== null)) return false;
    const reuse = decideReuse(this.#spec, wanted);
    if (reuse.kind === 'replace' || !(await this.#folder.isAsMade())) return false;
    if (reuse.kind === 'as_it_is') return true;
    const changed = await this.process.change(reuse.changes);
    if (changed) this.#spec = { ...this.#spec, ...reuse.changes };
    return changed;
  }

  /** From here on its tools act for this run. */
  beginRun({ runId, conversationId }: AgentRequest, prompt: AgentPrompt): Archiver {
    const { settings, timezone, archiveLimits, log } = this.#deps;
    const context = { runId, conversationId };
    const archiver = new Archiver({
      memoryDir: settings.cwd,
      sessionsDir: settings.sessionsDir,
      timezone,
      ...archiveLimits,
      ...context,
      sessionId: this.sessionId,
      promptId: prompt.id,
      log,
    });
    // What it said before is no run's.
    this.pass.takeUsage();
    this.#current.run = { context, archiver };
    return archiver;
  }

  endRun(): void {
    this.#current.run = null;
  }

  /** Whether it is of use to another run. */
  get isReusable(): boolean {
    return this.process.isFit && !this.#spec.once && this.#ending === null;
  }

  /** Ends the process and all that is its own, and says how it ended. Idempotent, never rejects. */
  end(): Promise<string> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<string> {
    const how = await this.process.end();
    this.pass.revoke();
    await Promise.all(this.#bridges.map((bridge) => bridge.close()));
    await this.#folder.remove().catch((error: unknown) => {
      this.#deps.log.warn({ err: error }, 'the folder of an ended claude process could not be removed');
    });
    return how;
  }
}

type Current = { context: ToolContext; archiver: Archiver };

type Own = {
  process: ClaudeProcess;
  pass: Pass;
  folder: ProcessFolder;
  bridges: McpBridge[];
  current: { run: Current | null };
};
