/** The checks of what the agent needs: its program, which really starts, its sandbox, and the organisation's MCP servers. */

import { execFile } from 'node:child_process';
import { access, constants, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { probeAgentSandbox } from '../../agent/confinement.ts';
import { readManagedMcp } from '../../agent/managed-mcp.ts';
import { findProgram, programPackages } from '../../agent/program.ts';
import type { Config, Env } from '../../config.ts';
import { serverFiles } from '../../server-files.ts';
import { type Check, type Finding, fail, ok, skip, warn } from './finding.ts';

const run = promisify(execFile);

export function agentChecks({ env, config }: { env: Env; config: Config }): Check[] {
  return [
    { name: 'claude', run: async () => [await checkProgram(env, findProgram())] },
    { name: 'sandbox', run: async () => [await checkSandbox(config)] },
    { name: 'MCP servers', run: async () => [await checkManagedMcp(env, config)] },
  ];
}

const versionMs = 20_000;

/** With a home of its own, so that it leaves nothing behind, and without a key. */
async function checkProgram(env: Env, path: string | null): Promise<Finding> {
  if (path === null)
    return fail(`the agent's program is not installed: install ${programPackages().join(' or ')} (npm ci)`);
  const home = await mkdtemp(join(tmpdir(), 'picoclaw-doctor-'));
  try {
    await access(path, constants.X_OK);
    const { stdout } = await run(path, ['--version'], {
      env: { PATH: env.PATH ?? '', HOME: home, CLAUDE_CONFIG_DIR: home },
      timeout: versionMs,
      killSignal: 'SIGKILL',
    });
    return ok(`${stdout.trim()}, ${path}`);
  } catch (error) {
    return fail(`${path} ${whyNot(error)}`);
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

function whyNot(error: unknown): string {
  const has = (key: string) => (error instanceof Error && key in error ? Reflect.get(error, key) : undefined);
  if (has('code') === 'EACCES')
    return 'may not be executed (EACCES): give this user the right to, on a mount without noexec';
  if (has('code') === 'ENOENT')
    return 'cannot be started (ENOENT): it is for another kind of Linux; run npm ci on this machine';
  if (has('killed') === true)
    return `has not told its version in ${versionMs / 1000} s: is there enough memory and processor time?`;
  return `does not run: ${error instanceof Error ? error.message : String(error)}`;
}

async function checkSandbox(config: Config): Promise<Finding> {
  if (config.sandbox === 'off') return skip('SANDBOX is off');
  const probe = await probeAgentSandbox({ ...config, ...serverFiles(config) });
  if (probe.works) return ok('bubblewrap works');
  const text = `there is none: ${probe.reason}`;
  return config.sandbox === 'on' ? fail(`${text}; to do without it, set SANDBOX=auto`) : warn(text);
}

async function checkManagedMcp(env: Env, { orgDir }: Config): Promise<Finding> {
  if (orgDir === null) return skip('ORG_DIR is not given');
  const read = await readManagedMcp({ orgDir, env });
  if ('fault' in read) return fail(`ORG_DIR is ${orgDir}: ${read.fault}`);
  const names = Object.keys(read.servers);
  return ok(names.length === 0 ? 'none' : names.join(', '));
}
