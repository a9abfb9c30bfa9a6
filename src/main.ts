/**
 * The process: puts its environment out of others' sight, turns the compile cache on, then hands over to the command. Nothing
 * else is loaded before that.
 */

import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';
import { type CommandName, readCommandLine } from './cli/command-line.ts';
import { takeEnvironment } from './lib/own-environment.ts';

enableCompileCache();

const { env } = takeEnvironment();
const commands: Record<CommandName, () => Promise<number>> = {
  serve: async () => (await import('./cli/serve.ts')).serve(env),
  demo: async () => (await import('./cli/demo.ts')).demo(env, print),
  doctor: async () => (await import('./cli/doctor.ts')).doctor(env, print),
  mcp: async () => (await import('./cli/mcp.ts')).mcp(env),
  help: async () => {
    const { helpText } = await import('./cli/help.ts');
    return print(helpText(fileURLToPath(new URL('../docs/configuration.md', import.meta.url))));
  },
  version: async () => print((await import('./cli/help.ts')).versionText()),
};

// A command is over when it says so: a connection that a client keeps open must not hold the process.
process.exit(await run());

async function run(): Promise<number> {
  const asked = readCommandLine(process.argv.slice(2));
  if ('fault' in asked) {
    process.stderr.write(`picoclaw: ${asked.fault}; see picoclaw --help\n`);
    return 2;
  }
  try {
    return await commands[asked.command]();
  } catch (error) {
    process.stderr.write(`picoclaw: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}
