/**
 * The composition root: builds everything, in order, and stops it in the reverse.
 *
 * Order of a start: the volume is taken over and hydrated before the database is opened; runs of the instance before are
 * recovered, and what that and a migration changed is synced, before anything is served. Where another instance is at work
 * on the volume, the server listens all the same and says so.
 */

import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClaudeAgent, ClaudeAgentDeps } from './agent/claude.ts';
import type { Confinement } from './agent/confinement.ts';
import { createLazyAgent } from './agent/lazy-agent.ts';
import { availableBytes, decideProcesses } from './agent/memory.ts';
import { waitFor } from './agent/wait-for.ts';
import { findVolumes } from './config/folders.ts';
import type { Config, Env } from './config.ts';
import { finishDeletions } from './conversations/delete.ts';
import type { HttpApp } from './http/app.ts';
import { makeEarlyHealth } from './http/early-health.ts';
import { readHealth } from './http/health.ts';
import type { LazyApp } from './http/server.ts';
import { type Clock, systemClock } from './lib/clock.ts';
import type { Log } from './lib/log.ts';
import { within } from './lib/within.ts';
import { Retention } from './runs/retention.ts';
import { Runs } from './runs/runs.ts';
import { serverFiles } from './server-files.ts';
import type { Skills } from './skills/skills.ts';
import { StoreAccess } from './store/access.ts';
import type { Store } from './store/store.ts';
import { nextDueAt } from './tasks/read.ts';

export type Runtime = {
  app: LazyApp;
  activeRuns(): number;
  /**
   * What can wait until the server listens: loads the app, the agent and its tools, installs its skills, finishes deletions that
   * were cut off, removes what is past its retention. Never rejects.
   */
  warmUp(): Promise<void>;
  /** What keeps the agent from the server. Rejects where the agent cannot be loaded. */
  confinement(): Promise<Confinement>;
  /** Ends runs, syncs, closes. Idempotent. Resolves to false when the last sync failed. */
  stop(): Promise<boolean>;
};

export type RuntimeInput = {
  config: Config;
  /** What the process was started with; `process.env` has less. */
  env: Env;
  log: Log;
  requestStop(reason: string): void;
  /** Another agent behind the same port. */
  createAgent?: (deps: ClaudeAgentDeps) => ClaudeAgent;
};

/**
 * How long a task stays claimed after its server was last heard of: longer than a pause that a server survives, short enough
 * for whoever waits for the next attempt after a crash.
 */
const taskLeaseMs = 30_000;

/** For the requests that have waited for the app, before loading the agent holds the event loop up again. */
const answersMs = 100;

/** A volume that is slower than that must not hold up what needs no process. */
const maxAheadMs = 1_000;

/** What is wrong with a volume that takes longer is not made better by waiting; the skills installed before are there. */
const maxSkillsWaitMs = 10_000;

/** Of the grace period, what it takes at the worst to interrupt what is left, to settle and to sync it: 5 s, or half of it. */
const settlingMs = 5_000;

function runGraceMs(graceMs: number): number {
  return Math.max(graceMs - settlingMs, graceMs / 2);
}

export async function createRuntime({
  config,
  env,
  log,
  requestStop,
  createAgent = createLazyAgent,
}: RuntimeInput): Promise<Runtime> {
  const clock = systemClock;
  await using undo = new AsyncDisposableStack();

  const access = new StoreAccess({
    storeDir: config.storeDir,
    localDbPath: config.localDbPath,
    clock,
    log,
    onLost: async () => {
      await runs.drop();
      // Another instance goes on with the conversations, and with their sessions.
      await agent.letGo();
    },
    onOpen: (opened) => recover(opened, { clock, log }),
  });
  undo.defer(async () => void (await access.stop()));
  const { store } = access;
  const volume = access;

  const volumes = await findVolumes(config);
  const agent = createAgent({
    credential: config.credential,
    anthropicBaseUrl: config.anthropicBaseUrl,
    defaultModel: config.model,
    fallbackModel: config.fallbackModel,
    memoryDir: config.memoryDir,
    orgDir: config.orgDir,
    systemPromptOverride: config.systemPromptOverride,
    timezone: config.timezone,
    baseEnv: env,
    ...serverFiles(config),
    toolServer: async (current) =>
      (await loadTools()).makeToolServer({ ...operations, version: config.version }, current),
    sandbox: config.sandbox,
    warm: {
      idleMs: config.warmIdleMs,
      ...decideProcesses(availableBytes(), { spares: config.warmSpares, conversations: config.warmConversations }),
    },
    log,
  });
  undo.defer(() => agent.stop());
  const skills = makeLazySkills(async () => {
    const { createSkills } = await import('./skills/skills.ts');
    return createSkills({
      memoryDir: config.memoryDir,
      builtInDir: config.builtInSkillsDir,
      orgSkillsDir: config.skillsDir,
      betweenStarts: agent.betweenStarts,
      log,
    });
  });
  let installed: Promise<unknown> | null = null;
  // What fails is in the log, and the skills that were installed before are there.
  const installSkills = () => (installed ??= skills.reload().catch(() => undefined));
  const runs = new Runs({
    store,
    agent: waitFor(agent, { ready: installSkills, maxWaitMs: maxSkillsWaitMs }),
    volume,
    clock,
    log,
    owner: randomUUID(),
    hold: () => access.hold(),
    leaseMs: taskLeaseMs,
    onTaskRunEnded: () => retention.wake(),
    settings: config,
  });
  // Until the start has installed its own, those of the instance before are there, or none.
  const readSkills = async () => {
    await within(maxSkillsWaitMs, installSkills());
    return await skills.read();
  };
  const skillsToTell: Skills = { reload: skills.reload, read: readSkills };
  const operations = { store, volume, agent, runs, skills: skillsToTell, clock, log, settings: config };
  const retention = new Retention({ store, volume, clock, log, settings: config });
  undo.defer(() => retention.stop());
  await access.start();

  let stopped: Promise<boolean> | null = null;
  const health = {
    health: () => readHealth({ store, volume, agent, volumes, nextDueAt: () => nextDueAt(operations), log }),
    stopping: () => stopped !== null,
    log,
    settings: config,
  };
  let warming: Promise<void> | null = null;
  const warmAgent = () => (warming ??= warmUp());
  const warmUp = async () => {
    try {
      await Promise.all([agent.warmUp(), loadTools(), installSkills()]);
    } catch (error) {
      // The run that needs it tells its caller what is wrong.
      log.error({ err: error }, 'the Agent SDK cannot be loaded');
    }
    await agent.keepSpares();
  };
  let loading: Promise<HttpApp> | null = null;
  const loadApp = async (first?: IncomingMessage) => {
    // The process that it will want takes longest: it starts while the app is loaded.
    if (first?.method === 'POST' && first.url === '/chat' && config.warmSpares > 0)
      await within(maxAheadMs, warmAgent());
    const { createApp } = await import('./http/app.ts');
    return createApp({
      ...health,
      operations,
      useStore: (kind, work) => access.use(kind, work),
      requestStop: (reason) => requestStop(reason ?? 'asked over HTTP'),
    });
  };
  const app: LazyApp = { load: (first) => (loading ??= loadApp(first)), early: makeEarlyHealth(health), log };
  const parts = undo.move();

  async function stop(): Promise<boolean> {
    await runs.stop({ graceMs: runGraceMs(config.shutdownGraceMs) });
    await retention.stop();
    const clean = await access.stop();
    await parts.disposeAsync();
    return clean;
  }

  return {
    app,
    activeRuns: () => runs.active,
    confinement: () => agent.confinement(),
    warmUp: async () => {
      await app.load();
      await sleep(answersMs);
      if (stopped !== null) return;
      await warmAgent();
      await finishDeletions({ store, volume, agent, log });
      await retention.start();
    },
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}

/** Whatever was running when the volume was left is not running any more, whoever began it. */
async function recover(store: Store, { clock, log }: { clock: Clock; log: Log }): Promise<void> {
  const recovered = await store.recoverRuns({ owner: 'nobody', at: clock.now() });
  if (recovered > 0) log.warn({ runs: recovered }, 'runs that an instance before left unfinished are now interrupted');
}

// What follows takes longer to load than all else that an answer to /health needs: the MCP library, the reader of YAML.

function loadTools() {
  return import('./tools/in-process.ts');
}

function makeLazySkills(create: () => Promise<Skills>): Skills {
  let made: Promise<Skills> | null = null;
  const get = () => {
    made ??= create();
    return made;
  };
  return { reload: async () => (await get()).reload(), read: async () => (await get()).read() };
}
