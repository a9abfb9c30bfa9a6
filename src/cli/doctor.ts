/**
 * `doctor`: whether a server with this environment would start, and keep what it answers. One line a check.
 *
 *     ok    settings       33 read, 9 given
 *     fail  STORE_DIR      /data/store: mount it writable (EROFS)
 *
 * - It may run beside a server: it needs no port, does not take the volume over, and leaves no file.
 * - A check that finds something never keeps the others from being made. Exit code 1 when one failed.
 */

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Env, loadConfig } from '../config.ts';
import { agentChecks } from './doctor/agent.ts';
import { fileSystemChecks } from './doctor/file-system.ts';
import { type Check, formatLine, runCheck, skip } from './doctor/finding.ts';
import { folderChecks } from './doctor/folders.ts';
import { secretsOf, settingsChecks } from './doctor/settings.ts';
import { databaseBytes, volumeChecks } from './doctor/volume.ts';

export async function doctor(env: Env, print: (text: string) => void): Promise<number> {
  const { config, faults } = loadConfig(env, {
    isRoot: process.getuid?.() === 0,
    isTerminal: process.stdout.isTTY === true,
    homeDir: env.HOME || null,
  });
  const isFaulty = (variable: string) => faults.some((fault) => fault.variable === variable);
  // A faulty LOCAL_DB_PATH may be on the volume, where nothing is to be copied to.
  const localDbPath = isFaulty('LOCAL_DB_PATH') ? join(tmpdir(), 'messages.db') : config.localDbPath;
  const ofVolume = [...fileSystemChecks(config.storeDir), ...volumeChecks({ storeDir: config.storeDir, localDbPath })];
  const checks: Check[] = [
    ...settingsChecks({ env, config, faults }),
    ...folderChecks({ config, faults, databaseBytes: () => databaseBytes(config.storeDir) }),
    ...(isFaulty('STORE_DIR') ? ofVolume.map(skipped) : ofVolume),
    ...agentChecks({ env, config }),
  ];

  const secrets = secretsOf(env, config);
  let hasFailed = false;
  for (const check of checks) {
    for (const finding of await runCheck(check)) {
      print(formatLine(check.name, finding, secrets));
      hasFailed ||= finding.status === 'fail';
    }
  }
  return hasFailed ? 1 : 0;
}

/** What is looked at instead of a faulty setting's folder says nothing. */
function skipped({ name }: Check): Check {
  return { name, run: async () => [skip('see settings')] };
}
