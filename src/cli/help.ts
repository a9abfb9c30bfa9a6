/** `--help` and `--version`. */

import manifest from '../../package.json' with { type: 'json' };
import type { commandNames } from './command-line.ts';

const summaries: Record<(typeof commandNames)[number], string> = {
  serve: 'the server; what runs where no command is named',
  demo: 'shows it at work on folders of its own, offline where no key is set, and ends',
  doctor: 'checks settings, folders, key and clock, one line each, and changes nothing',
  mcp: "the agent's tools over standard input and output, for any MCP client",
};

/** `settings`: where the settings are described. */
export function helpText(settings: string): string {
  const commands = Object.entries(summaries).map(([name, summary]) => `  ${name.padEnd(13)} ${summary}`);
  return `picoclaw ${manifest.version}: a Claude agent behind an HTTP API

Usage: picoclaw [command]

${commands.join('\n')}

  -h, --help    this text
  -V, --version the version

Settings are environment variables; the first that you need are ANTHROPIC_API_KEY, API_TOKEN (or HOST=127.0.0.1),
STORE_DIR and MEMORY_DIR. All of them: ${settings}

Exit codes: 0 it has done what it should; 1 it could not start, a check of doctor failed, or what changed last could not be
kept; 2 there is no such command or option; 130, 143 a second SIGINT or SIGTERM cut the stop short.
`;
}

export function versionText(): string {
  return `${manifest.version}\n`;
}
