/**
 * `$ORG_DIR/managed-mcp.json`: the organisation's MCP servers, which every run has, in the format of Claude Code.
 *
 *     { "mcpServers": { "search": { "url": "https://…", "headers": { "Authorization": "Bearer ${SEARCH_TOKEN}" } } } }
 *
 * `${NAME}` and `${NAME:-default}` stand for the server's own environment, in the command, args, env, url and headers.
 * What comes of them is a secret: no fault shows a value.
 *
 * Read afresh for each run. A file that is gone means no servers. One that has broken leaves those of its last good
 * state in use, and each run is told.
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { httpServer, serverName, stdioServer } from '../domain/mcp-server.ts';
import type { FieldError } from '../domain/problem.ts';
import type { McpServer } from '../domain/run.ts';
import { check } from '../lib/check.ts';
import { codeOf, ifMissing } from '../lib/error-code.ts';
import { readJsonLines } from './json-lines.ts';

export type McpServers = Record<string, McpServer>;

export type ManagedMcpInput = {
  orgDir: string | null;
  /** The server's own. */
  env: Record<string, string | undefined>;
};

/** `fault` names the file, and each line with its reason. */
export type ManagedMcp = { servers: McpServers } | { fault: string };

export async function readManagedMcp({ orgDir, env }: ManagedMcpInput): Promise<ManagedMcp> {
  if (orgDir === null) return { servers: {} };
  const path = join(orgDir, 'managed-mcp.json');
  let text: string | null;
  try {
    text = await readFile(path, 'utf8').catch(ifMissing(null));
  } catch (error) {
    return { fault: `${path} cannot be read (${codeOf(error) ?? String(error)})` };
  }
  if (text === null) return { servers: {} };
  const parsed = parseManagedMcp(text, env);
  return 'faults' in parsed ? { fault: `${path}: ${parsed.faults.join('; ')}` } : parsed;
}

/** The servers of the file as it is now or, with the fault, as it last was without one. */
export type ReadServers = () => Promise<{ servers: McpServers; fault: string | null }>;

export function makeServersReader(input: ManagedMcpInput): ReadServers {
  let lastGood: McpServers = {};
  return async () => {
    const read = await readManagedMcp(input);
    if ('fault' in read) return { servers: lastGood, fault: read.fault };
    lastGood = read.servers;
    return { servers: lastGood, fault: null };
  };
}

/** Pure. */
export function parseManagedMcp(
  text: string,
  env: ManagedMcpInput['env'],
): { servers: McpServers } | { faults: string[] } {
  // Some editors begin a file with a byte order mark.
  const json = readJsonLines(text.replace(/^\ufeff/, ''));
  if (json.kind === 'malformed') return { faults: [`line ${json.line}: ${json.reason}`] };

  const unset: FieldError[] = [];
  const expanded = mapStrings(json.value, [], (value, path) => {
    const [, , field = ''] = path;
    if (!expandedFields.has(field)) return value;
    return expand(value, env, (message) => unset.push({ path: path.join('.'), message }));
  });
  const checked = check(managedMcp, expanded, { showsValues: false });
  if (checked.kind === 'valid' && unset.length === 0) return { servers: checked.value.mcpServers };
  const others = checked.kind === 'valid' ? [] : checked.faults;
  // What a variable is missing from may be wrong in other ways, which is not its fault.
  const faults = [...unset, ...others.filter(({ path }) => unset.every((each) => each.path !== path))];
  const located = faults.map((fault) => ({ ...fault, line: json.lineOf(fault.path) }));
  return {
    faults: located
      .toSorted((a, b) => a.line - b.line)
      .map(({ line, path, message }) => `line ${line}${path === '' ? '' : `, ${path}`}: ${message}`),
  };
}

const managedMcp = z.strictObject({ mcpServers: z.record(serverName, z.union([httpServer, stdioServer])) });

/** Of a server, as Claude Code does. */
const expandedFields = new Set(['command', 'args', 'env', 'url', 'headers']);

const reference = /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g;

function expand(text: string, env: ManagedMcpInput['env'], onUnset: (message: string) => void): string {
  return text.replace(reference, (_, name: string, fallback: string | undefined) => {
    // `constructor` is no variable.
    const value = (Object.hasOwn(env, name) ? env[name] : undefined) ?? fallback;
    if (value === undefined) onUnset(`\${${name}} is not set in the environment of the server, and has no default`);
    return value ?? '';
  });
}

function mapStrings(value: unknown, path: string[], map: (text: string, path: string[]) => string): unknown {
  if (typeof value === 'string') return map(value, path);
  if (Array.isArray(value)) return value.map((each, index) => mapStrings(each, [...path, String(index)], map));
  if (typeof value !== 'object' || value === null) return value;
  const members: [string, unknown][] = Object.entries(value);
  return Object.fromEntries(members.map(([name, member]) => [name, mapStrings(member, [...path, name], map)]));
}
