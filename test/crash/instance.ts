/**
 * An instance under test: the real composition behind the real HTTP server, with an agent that echoes. Only what starts it,
 * `cli/serve.ts`, is left out; and with it the time that loading the Agent SDK takes.
 */

import { loadConfig } from '../../src/config.ts';
import { listen } from '../../src/http/server.ts';
import { createLog } from '../../src/lib/log.ts';
import { createRuntime } from '../../src/runtime.ts';
import { createEchoAgent } from './agent.ts';

const { config, faults } = loadConfig(process.env, { isRoot: false, isTerminal: false, homeDir: null });
if (faults.length > 0) throw new Error(JSON.stringify(faults));
const log = await createLog({ level: config.logLevel, format: 'json' });
const stop = Promise.withResolvers<void>();
process.on('SIGTERM', () => stop.resolve());
const runtime = await createRuntime({
  config,
  env: process.env,
  log,
  requestStop: () => stop.resolve(),
  createAgent: createEchoAgent,
});
const server = await listen(runtime.app, config);
log.info({ port: server.port }, 'listening');
void runtime.warmUp();
await stop.promise;
const closed = server.close();
const isClean = await runtime.stop();
await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 1_000))]);
process.exit(isClean ? 0 : 1);
