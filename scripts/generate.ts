/**
 * Writes the docs that are derived from the code: the settings, the errors, the OpenAPI document.
 *
 *     node scripts/generate.ts            writes them
 *     node scripts/generate.ts --check    writes nothing; exit code 1 names each file that is not what it would write
 */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import manifest from '../package.json' with { type: 'json' };
import { mcpSettings } from '../src/cli/mcp-settings.ts';
import type { Setting } from '../src/config/setting.ts';
import { groups } from '../src/config/settings.ts';
import { catalogue } from '../src/domain/problem.ts';
import { makeOpenApiDocument } from '../src/http/openapi.ts';
import { routes } from '../src/http/routes/openapi.ts';
import { renderEnvExample } from './env-example.ts';

const root = join(import.meta.dirname, '..');

const files: Record<string, () => string> = {
  '.env.example': () => renderEnvExample(groups),
  'docs/configuration.md': renderConfiguration,
  'docs/errors.md': renderErrors,
  'docs/api/openapi.json': () => `${JSON.stringify(makeOpenApiDocument(routes, manifest.version), null, 2)}\n`,
};

const check = process.argv.includes('--check');
const stale: string[] = [];
for (const [name, render] of Object.entries(files)) {
  const path = join(root, name);
  const wanted = render();
  const found = await readFile(path, 'utf8').catch(() => null);
  if (found === wanted) continue;
  stale.push(name);
  if (check) continue;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, wanted);
}
if (check && stale.length > 0) {
  process.stderr.write(`not up to date, run "npm run generate": ${stale.join(', ')}\n`);
  process.exitCode = 1;
} else if (stale.length > 0) {
  process.stdout.write(`written: ${stale.join(', ')}\n`);
}

function renderConfiguration(): string {
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

function renderErrors(): string {
  const rows = Object.entries(catalogue).map(
    ([code, { status, title, retryable, hint }]) =>
      `| \`${code}\` | ${status} | ${retryable ? 'yes' : 'no'} | ${title} | ${hint} |`,
  );
  return `# Errors

Generated from \`src/domain/problem.ts\` by \`npm run generate\`; do not edit.

Every error is an RFC 9457 problem, \`application/problem+json\`, with the members \`type\` (\`urn:picoclaw:problem:<code>\`), \`title\`,
\`status\`, \`detail\`, \`code\`, \`retryable\`, \`request_id\`, \`error\` (= \`detail\`), \`errors\` (\`[{path, message}]\`, for a request that is not
valid), and \`conversation_id\` or \`task_id\` where one is concerned. A 503, and a 409 for a busy conversation, carry \`Retry-After\`.

A run that failed is answered with 200 and \`status: "error"\` or \`"timeout"\`; its \`error_code\` is one of these codes; the
response itself is 200: the status below only classifies the cause.

| Code | Status | Retry? | Title | What to do |
| --- | --- | --- | --- | --- |
${rows.join('\n')}
`;
}
