/** What is not the agent's to read: the database, its volume, settings of ours and of the organisation. */

import { join } from 'node:path';
import type { AgentSandboxInput } from './agent/confinement.ts';
import { processFoldersIn } from './agent/process-folder.ts';
import { coverOf } from './agent/sandbox.ts';
import type { Config } from './config.ts';
import { envFiles } from './lib/own-environment.ts';

export function serverFiles({
  storeDir,
  localDbPath,
  memoryDir,
  orgDir,
}: Config): Pick<AgentSandboxInput, 'hidden' | 'covered'> {
  const needed = [memoryDir, processFoldersIn(process.env.TMPDIR ?? '/tmp'), ...(orgDir === null ? [] : [orgDir])];
  return {
    hidden: [
      storeDir,
      ...['', '-wal', '-shm', '-journal'].map((suffix) => localDbPath + suffix),
      join(process.cwd(), '.env'),
      ...envFiles(),
      // Its headers may be secrets.
      ...(orgDir === null ? [] : [join(orgDir, 'managed-mcp.json')]),
    ],
    covered: coverOf(localDbPath, needed),
  };
}
