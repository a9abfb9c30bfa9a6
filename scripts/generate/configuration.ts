/** docs/configuration.md: every setting. */

import { mcpSettings } from '../../src/cli/mcp-settings.ts';
import type { Setting } from '../../src/config/setting.ts';
import { groups } from '../../src/config/settings.ts';

export function renderConfiguration(): string {
  const tables = groups.map(({ title, settings }) => `## ${title}\n\n${settingsTable(settings)}`);
  return `# Configuration

Generated from \`src/config/settings.ts\` by \`npm run generate\`; do not edit.

All settings are environment variables. An empty value is the same as none, unless its row says otherwise; variables
that are not listed are left alone. Every value is checked whole at the start: if any is wrong, all that are wrong are printed with
what to do about it, and the process ends with exit code 1.

${tables.join('\n\n')}

## \`picoclaw mcp\`

These belong to that command, not to the server.

${settingsTable(mcpSettings)}
`;
}

function settingsTable(settings: Setting<unknown>[]): string {
  return [
    '| Variable | Default | Must be | What it is for |',
    '| --- | --- | --- | --- |',
    ...settings.map(
      ({ variable, defaultText, wants, description }) =>
        `| \`${variable}\` | ${defaultText} | ${wants} | ${description} |`,
    ),
  ].join('\n');
}
