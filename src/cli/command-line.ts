/** What the command line asks for. It names a command and nothing else: settings are environment variables. */

export const commandNames = ['serve', 'demo', 'doctor', 'mcp'] as const;
export type CommandName = (typeof commandNames)[number] | 'help' | 'version';

export type CommandLine = { command: CommandName } | { fault: string };

/** `args`: without the program's own two. */
export function readCommandLine(args: string[]): CommandLine {
  if (args.some((arg) => arg === '--help' || arg === '-h')) return { command: 'help' };
  if (args.some((arg) => arg === '--version' || arg === '-V')) return { command: 'version' };
  const option = args.find((arg) => arg.startsWith('-'));
  if (option !== undefined)
    return { fault: `no option "${option}"; there are: --help, --version. Settings are environment variables` };
  const [name = 'serve', extra] = args;
  const command = commandNames.find((each) => each === name);
  if (command === undefined) return { fault: `no command "${name}"; there are: ${commandNames.join(', ')}` };
  if (extra !== undefined) return { fault: `${command} takes no "${extra}". Settings are environment variables` };
  return { command };
}
