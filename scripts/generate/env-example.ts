/** `.env.example`: every setting of the server with its description and its default, as a comment but for the two to fill in. */

import type { Setting } from '../../src/config/setting.ts';
import { groups } from '../../src/config/settings.ts';

const toFillIn = ['ANTHROPIC_API_KEY', 'API_TOKEN'];
const lineWidth = 120;

export function renderEnvExample(): string {
  const parts = groups.map(({ title, settings }) => `## ${title}\n\n${settings.map(renderSetting).join('\n\n')}`);
  return `# The settings of a server, for a file named .env. Copy it, fill in the first, and give a long random API_TOKEN
# (\`openssl rand -hex 32\`); or let ./picoclaw.sh up make one. Nobody but you may read it: chmod 600 .env
# Write values as they are, without quotes or spaces: not everything that reads this file would take them off.
#
# Generated from src/config/settings.ts by \`npm run generate\`.

${parts.join('\n\n')}
`;
}

function renderSetting({ variable, description, defaultText }: Setting<unknown>): string {
  // A default that is a value is in backticks, alone; any other is said in words.
  const value = /^`([^`]*)`$/.exec(defaultText)?.[1];
  const told = value === undefined && defaultText !== 'none' ? `${description} Default: ${defaultText}.` : description;
  const line = toFillIn.includes(variable) ? `${variable}=` : `#${variable}=${value ?? ''}`;
  return `${comment(told.replaceAll('`', ''))}\n${line}`;
}

function comment(text: string): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = `${lines.at(-1)} ${word}`;
    if (line.length < lineWidth) lines[lines.length - 1] = line;
    else lines.push(` ${word}`);
  }
  return lines.map((line) => `#${line}`).join('\n');
}
