/**
 * `serve`: the server's process, from its settings to its exit code.
 *
 * Exit code 0 after a stop that kept everything; 1 when it could not start or a last sync failed. A second signal ends
 * the process at once: whatever was answered is on the volume by then.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { checkFolders } from '../config/folders.ts';
import { type Config, type Env, type Fault, formatFaults, loadConfig, warnings } from '../config.ts';
import { type Listening, listen } from '../http/server.ts';
import { codeOf } from '../lib/error-code.ts';
import { createLog, type Log } from '../lib/log.ts';
import { createRuntime, type Runtime } from '../runtime.ts';
import { serverFiles } from '../server-files.ts';
import { findMount, judgeMount } from '../store/volume/mount.ts';
import { forbidCoreDumps, refuseDebugger } from './own-process.ts';
import { decideOnSignal } from './stop-signals.ts';

/** For the last bytes of the last responses. */
const lastResponsesMs = 2_000;

/**
 * Loading the app, the agent and its tools holds the event loop up for some 0.1 s at a time. The first GET /health, which a
 * platform sends at once and waits for, is answered before; a request that comes earlier loads what it needs.
 */
const warmUpAfterMs = 100;

/** Past the grace period, for a last sync of a large history; then nothing is worth waiting for. */
const overdueMs = 20_000;

export async function serve(env: NodeJS.ProcessEnv): Promise<number> {
  const { config, faults } = loadConfig(env, {
    isRoot: process.getuid?.() === 0,
    isTerminal: process.stdout.isTTY === true,
    homeDir: env.HOME || null,
  });
  const [folders, mount, ...others] = await Promise.all([
    checkFolders(config),
    checkMount(config),
    checkManagedMcp(config, env),
    checkSandbox(config),
  ]);
  const allFaults = [...faults, ...folders, ...mount.faults, ...others.flat()];
  if (allFaults.length > 0) {
    process.stderr.write(formatFaults(allFaults));
    return 1;
  }

  const log = await createLog({ level: config.logLevel, format: config.logFormat });
  for (const warning of [...warnings(config), ...mount.warnings]) log.warn(warning);
  exitOnBugs(log);
  refuseDebugger(() => log.warn('somebody asked for the debugger (SIGUSR1), which stays closed'));
  try {
    return await run({ config, env, log });
  } catch (error) {
    log.fatal({ err: error }, 'the server failed');
    process.stderr.write(`picoclaw: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

async function checkManagedMcp({ orgDir }: Config, env: NodeJS.ProcessEnv): Promise<Fault[]> {
  if (orgDir === null) return [];
  // Loaded only where there may be a file: its schemas take longer to build than all other settings to check.
  const { readManagedMcp } = await import('../agent/managed-mcp.ts');
  const read = await readManagedMcp({ orgDir, env });
  return 'fault' in read ? [{ variable: 'ORG_DIR', value: orgDir, fix: read.fault }] : [];
}

/** A sandbox that need not be is looked for when the server listens. */
async function checkSandbox(config: Config): Promise<Fault[]> {
  if (config.sandbox !== 'on') return [];
  const { probeAgentSandbox } = await import('../agent/confinement.ts');
  const probe = await probeAgentSandbox({ ...config, ...serverFiles(config) });
  if (probe.works) return [];
  const fix = `there is none: ${probe.reason}; to do without it, set auto or off`;
  return [{ variable: 'SANDBOX', value: config.sandbox, fix }];
}

async function checkMount({ storeDir }: Config): Promise<{ faults: Fault[]; warnings: string[] }> {
  const mount = await findMount(storeDir);
  const verdict = mount === null ? null : judgeMount(mount);
  if (verdict === null || verdict.kind === 'fit') return { faults: [], warnings: [] };
  return verdict.kind === 'refused'
    ? { faults: [{ variable: 'STORE_DIR', value: storeDir, fix: verdict.reason }], warnings: [] }
    : { faults: [], warnings: [`STORE_DIR (${storeDir}) ${verdict.reason}`] };
}

async function run({ config, env, log }: { config: Config; env: Env; log: Log }): Promise<number> {
  const stopAsked = Promise.withResolvers<string>();
  const runtime = await createRuntime({ config, env, log, requestStop: stopAsked.resolve });
  const server = await listenOrStop(runtime, config);
  const unhook = onSignals(stopAsked.resolve, log);
  log.info({ host: config.host, port: server.port, version: config.version }, 'listening');
  const warmUp = setTimeout(() => void warm(runtime, { config, env, log }), warmUpAfterMs);

  const reason = await stopAsked.promise;
  clearTimeout(warmUp);
  log.info({ reason, active_runs: runtime.activeRuns() }, 'stopping');
  const overdue = setTimeout(() => {
    log.fatal('the stop takes too long, on a volume that does not answer perhaps; exiting without the rest');
    process.exit(1);
  }, config.shutdownGraceMs + overdueMs);
  const closed = server.close();
  const clean = await runtime.stop();
  clearTimeout(overdue);
  // Every answer has been given; a client that does not read it cannot hold the process for ever.
  await Promise.race([closed, sleep(lastResponsesMs)]);
  server.cut();
  unhook();
  log.info({ clean }, 'stopped');
  return clean ? 0 : 1;
}

const exposuresAfterMs = 2_000;

/** Never rejects. */
async function warm(runtime: Runtime, { config, env, log }: { config: Config; env: Env; log: Log }): Promise<void> {
  await Promise.all([runtime.warmUp(), forbidCoreDumps()]);
  // It starts programs: the first run goes before.
  await sleep(exposuresAfterMs, undefined, { ref: false });
  try {
    const { findExposures, secretValues } = await import('./exposure.ts');
    const secrets = [config.credential.value, ...config.apiTokens, ...secretValues(env)];
    const { sandbox, prefix } = await runtime.confinement();
    for (const { way, sentence } of await findExposures({ secrets, sandboxed: sandbox !== null, prefix }))
      log.warn({ way }, sentence);
  } catch (error) {
    log.warn({ err: error }, 'whether the agent can reach a secret of the server could not be checked');
  }
}

async function listenOrStop(runtime: Runtime, { host, port }: Config): Promise<Listening> {
  try {
    return await listen(runtime.app, { host, port });
  } catch (error) {
    await runtime.stop();
    const fault = listenFault({ host, port }, codeOf(error));
    throw fault === null ? error : new Error(fault, { cause: error });
  }
}

/** Which setting is at fault; null when none is. */
function listenFault({ host, port }: { host: string; port: number }, code: string | null): string | null {
  switch (code) {
    case 'EADDRINUSE':
      return `PORT: ${port} is in use on ${host}; stop what listens there, or set another`;
    case 'EACCES':
      return `PORT: ${port} may not be listened on by this user; set one above 1023`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EINVAL':
      return `HOST: ${host} is not an address of this machine (${code}); 0.0.0.0 is all of them, 127.0.0.1 this machine only`;
    default:
      return null;
  }
}

function onSignals(stop: (reason: string) => void, log: Log): () => void {
  let firstAt: number | null = null;
  const onSignal = (signal: NodeJS.Signals) => {
    const decision = decideOnSignal(firstAt === null ? null : performance.now() - firstAt);
    if (decision === 'stop') {
      firstAt = performance.now();
      stop(signal);
    } else if (decision === 'exit_at_once') {
      log.warn({ signal }, 'second signal: exiting at once');
      process.exit(signal === 'SIGINT' ? 130 : 143);
    }
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return () => {
    process.off('SIGTERM', onSignal);
    process.off('SIGINT', onSignal);
  };
}

/** A bug must not leave a half-working process behind. What was answered is durable; a restart recovers the rest. */
function exitOnBugs(log: Log): void {
  const die = (error: unknown) => {
    log.fatal({ err: error }, 'a bug ended the process');
    process.exit(1);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);
}
