/** One call of a tool, to its result. It never rejects: whatever goes wrong is told to the model as an error of the tool. */

import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { Problem } from '../domain/problem.ts';
import type { Clock } from '../lib/clock.ts';
import { type ToolBackend, ToolError } from './backend.ts';
import { tools } from './definitions.ts';

export type CallDeps = {
  backend: ToolBackend;
  clock: Clock;
  /** For the operator: bugs, and problems that are the server's. */
  report(error: unknown, tool: string): void;
};

export async function callTool(deps: CallDeps, name: string, args: unknown): Promise<CallToolResult> {
  const tool = tools.find((each) => each.name === name);
  if (!tool) return failed(`no such tool: ${name}; there are ${tools.map((each) => each.name).join(', ')}`);
  try {
    const text = await tool.act({ backend: deps.backend, now: deps.clock.now() }, args);
    return { content: [{ type: 'text', text }] };
  } catch (error) {
    return failed(explain(deps, error, name));
  }
}

function explain({ report }: CallDeps, error: unknown, name: string): string {
  if (error instanceof ToolError) return error.message;
  if (error instanceof Problem) {
    if (error.status >= 500) report(error, name);
    return error.message;
  }
  report(error, name);
  return 'internal error';
}

export function failed(text: string): CallToolResult {
  return { content: [{ type: 'text', text }], isError: true };
}
