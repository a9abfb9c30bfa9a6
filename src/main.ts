#!/usr/bin/env node
/**
 * The process: puts its environment out of others' sight, turns the compile cache on, then hands over to the command. Nothing
 * else is loaded before that.
 */

import { enableCompileCache } from 'node:module';
import { takeEnvironment } from './lib/own-environment.ts';

enableCompileCache();

const { env } = takeEnvironment();
const commands = new Map([
  ['serve', async () => (await import('./cli/serve.ts')).serve(env)],
  ['doctor', async () => (await import('./cli/doctor.ts')).doctor(env, (text) => process.stdout.write(text))],
  ['mcp', async () => (await import('./cli/mcp.ts')).mcp(env)],
  ['demo', async () => (await import('./cli/demo.ts')).demo(env, (text) => process.stdout.write(text))],
]);

const name = process.argv[2] ?? 'serve';
const command = commands.get(name);
if (!command) process.stderr.write(`picoclaw: no command "${name}"; there are: ${[...commands.keys()].join(', ')}\n`);
async function run(start: () => Promise<number>): Promise<number> {
  try {
    return await start();
  } catch (error) {
    process.stderr.write(`picoclaw: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

// A command is over when it says so: a connection that a client keeps open must not hold the process.
process.exit(command ? await run(command) : 1);
