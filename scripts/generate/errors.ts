/** docs/errors.md: the catalogue of problems. */

import { catalogue } from '../../src/domain/problem.ts';

export function renderErrors(): string {
  const rows = Object.entries(catalogue).map(
    ([code, { status, title, retryable, hint }]) =>
      `| \`${code}\` | ${status} | ${retryable ? 'yes' : 'no'} | ${title} | ${hint} |`,
  );
  return `# Errors

Generated from \`src/domain/problem.ts\` by \`npm run generate\`; do not edit.

Every error is an RFC 9457 problem, \`application/problem+json\`, with the members \`type\` (\`urn:picoclaw:problem:<code>\`), \`title\`,
\`status\`, \`detail\`, \`code\`, \`retryable\`, \`request_id\`, \`error\` (= \`detail\`), \`errors\` (\`[{path, message}]\`, for a request that is not
valid), and \`conversation_id\` or \`task_id\` where one is concerned. A 503, and a 409 for a busy conversation or task, carry \`Retry-After\`.

A run that failed is answered with 200 and \`status: "error"\` or \`"timeout"\`; its \`error_code\` is one of these codes; the
response itself is 200: the status below only classifies the cause.

| Code | Status | Retry? | Title | What to do |
| --- | --- | --- | --- | --- |
${rows.join('\n')}
`;
}
