/** How an MCP server outside of this process is reached, and what of it is not to be told. */

import { SSEClientTransport, type SSEClientTransportOptions } from '@modelcontextprotocol/sdk/client/sse.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { McpServer } from '../domain/run.ts';
import { McpChild } from './mcp-child.ts';
import { makeFetch } from './mcp-fetch.ts';
import { McpHttp } from './mcp-http.ts';
import { tieToParentArgs } from './spawn.ts';

export type RemoteDeps = {
  /** How long a server may take to answer `initialize`. */
  connectMs: number;
  /** What a program has in its environment besides its own, and the proxy for HTTP. Never the server's whole environment. */
  env: Record<string, string>;
  /** In the environment of every program, over its own. */
  marks: Record<string, string>;
  /** The working directory of programs. */
  cwd: string;
  tieToParent: boolean;
};

/** Several times what the model can be shown of an answer. */
const maxMessageBytes = 32 * 1_048_576;

export function makeRemote(server: McpServer, deps: RemoteDeps): Transport {
  if (server.type === 'stdio') {
    const { command, args = [], env } = server;
    const prefix = tieToParentArgs(deps.tieToParent);
    const whole = { ...deps.env, ...env, ...deps.marks };
    return new McpChild({ command, args, env: whole, cwd: deps.cwd, prefix, maxMessageBytes });
  }
  const { url, headers = {} } = server;
  const { fetch, disconnect } = makeFetch({ env: deps.env, maxMessageBytes });
  return server.type === 'http'
    ? new McpHttp({ url, headers, fetch, connectMs: deps.connectMs })
    : new McpSse(new URL(url), { requestInit: { headers }, fetch, disconnect });
}

/** The library's, which leaves an answer that is no stream unread, and its connection open. */
class McpSse extends SSEClientTransport {
  readonly #disconnect: () => void;

  constructor(url: URL, { disconnect, ...options }: SSEClientTransportOptions & { disconnect: () => void }) {
    super(url, options);
    this.#disconnect = disconnect;
  }

  override async close(): Promise<void> {
    await super.close();
    this.#disconnect();
  }
}

/** Shorter values, such as `true`, are no secrets, and their like is in any text. */
const minSecret = 6;

/** No word is as long, and a part of a path that is may be what opens it. */
const minSecretInPath = 16;

/** A server that repeats what it was sent when it refuses it is no reason to pass it on. */
export function withoutSecrets(server: McpServer, text: string): string {
  return (
    secretsOf(server)
      .filter((value) => value.length >= minSecret)
      // One may begin as another does, of which the rest would stay.
      .toSorted((a, b) => b.length - a.length)
      .reduce((rest, secret) => rest.replaceAll(secret, '[secret]'), text)
  );
}

function secretsOf(server: McpServer): string[] {
  const values = Object.values((server.type === 'stdio' ? server.env : server.headers) ?? {});
  return [
    ...values.flatMap((value) => [value, ...value.split(/\s+/)]),
    ...(server.type === 'stdio' ? [] : secretsOfUrl(new URL(server.url))),
  ];
}

/** Of what is asked for, as it is sent and as it reads. */
function secretsOfUrl({ pathname, search, searchParams }: URL): string[] {
  const sent = search
    .slice(1)
    .split('&')
    .map((pair) => pair.slice(pair.indexOf('=') + 1));
  const parts = pathname.split('/').filter((part) => part.length >= minSecretInPath);
  return [search, ...sent, ...searchParams.values(), ...parts];
}
