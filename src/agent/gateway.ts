/**
 * The way of claude processes to the model API, which keeps this server's credential from them.
 *
 * A process gets the address of the gateway, which is on loopback, and a placeholder in place of a key. The gateway
 * checks the placeholder, puts the credential in its place and passes the request on.
 *
 * 1. A placeholder is good from `admit` to `revoke` and never again; `revoke` cuts what is open under it.
 * 2. Only the Messages API's own targets pass (`targets.ts`), and as they came: nothing is decoded or normalised, so what
 *    was checked is what is sent.
 * 3. The credential leaves this process in one header to the upstream. Where a refusal of the upstream repeats it, it is
 *    blotted out; no placeholder and no credential is ever logged.
 * 4. What breaks off on one side breaks off on the other, at once. An answer that was cut never ends cleanly, and an
 *    upstream that cannot be reached is a connection that breaks, which the CLI takes for what it is and tries again.
 * 5. No clock of the gateway ends a request: the CLI and the run have their own.
 */

import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Log } from '../lib/log.ts';
import type { Credential } from './environment.ts';
import { createMeter, type Meter, type Metered } from './gateway/meter.ts';
import { type Refusal, refuse, refuseRaw } from './gateway/refusal.ts';
import { type Held, relay } from './gateway/relay.ts';
import { decideTarget } from './gateway/targets.ts';
import { createUpstream, type Upstream } from './gateway/upstream.ts';

export type Gateway = {
  /** For ANTHROPIC_BASE_URL of a claude process; `http://127.0.0.1:<port>`. */
  url: string;
  /** A pass for one claude process. Throws once the gateway has stopped. */
  admit(): Pass;
  /** Cuts what is open and stops listening. Idempotent. */
  stop(): Promise<void>;
};

export type Pass = {
  /** What the process has in place of a key: looks like one to the CLI, and opens nothing but this gateway. */
  placeholder: string;
  /** What the model API has counted under this pass since the last take; also after `revoke`. */
  takeUsage(): Metered;
  /** Void from now on; requests that are open are cut. Idempotent. */
  revoke(): void;
};

export type GatewayDeps = {
  credential: Credential;
  /** ANTHROPIC_BASE_URL, with a path or without; the model API's own address when null. */
  upstream: string | null;
  /** Where HTTPS_PROXY and its like are looked up. */
  proxyEnv: Record<string, string | undefined>;
  log: Log;
};

/** Rejects when the credential cannot be sent as a header, or the upstream or its proxy is not an http(s) URL. */
export async function startGateway(deps: GatewayDeps): Promise<Gateway> {
  // An empty one would be found everywhere it is looked for.
  if (!/^[\x21-\x7e]+$/.test(deps.credential.value))
    throw new Error('the credential is not one that a header can carry');
  const upstream = createUpstream({ baseUrl: deps.upstream ?? modelApi, proxyEnv: deps.proxyEnv, log: deps.log });
  const passes = new Map<string, OpenPass>();
  const serveDeps = { ...deps, upstream, passes };

  const server = createServer({
    // A connection lives as long as the process on the other side, however long that, or this, was frozen.
    requestTimeout: 0,
    headersTimeout: 0,
    keepAliveTimeout: 0,
    requireHostHeader: false,
  });
  server.on('request', (incoming, outgoing) => {
    serve(serveDeps, incoming, outgoing).catch((error: unknown) => {
      deps.log.error({ err: error }, 'the model gateway failed');
      outgoing.destroy();
    });
  });
  // Without a listener node closes the connection of a CONNECT without a word.
  server.on('connect', (_, socket) => refuseRaw(socket, notAProxy));
  await listening(server);
  // Such as no file descriptor left for a connection: that one is lost, the server is not.
  server.on('error', (error) => deps.log.error({ err: error }, 'a connection to the model gateway could not be taken'));

  let stopping: Promise<void> | null = null;
  const stop = async () => {
    for (const pass of [...passes.values()]) pass.revoke();
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    upstream.stop();
    await closed;
  };
  return {
    url: `http://127.0.0.1:${portOf(server)}`,
    admit: () => {
      if (stopping !== null) throw new Error('the model gateway has stopped');
      const { placeholder, meter, revoke } = openPass(passes, deps.credential.kind);
      return { placeholder, takeUsage: meter.take, revoke };
    },
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}

const modelApi = 'https://api.anthropic.com';

type OpenPass = {
  placeholder: string;
  meter: Meter;
  underWay: Set<ServerResponse>;
  held: Held;
  revoke(): void;
};

function openPass(passes: Map<string, OpenPass>, kind: Credential['kind']): OpenPass {
  // The prefixes of real ones, so that whatever looks for leaked keys takes it for one, and hides it.
  const prefix = kind === 'api_key' ? 'sk-ant-picoclaw-' : 'sk-ant-oat01-picoclaw-';
  const placeholder = `${prefix}${randomBytes(32).toString('base64url')}`;
  const underWay = new Set<ServerResponse>();
  const revoke = () => {
    passes.delete(placeholder);
    for (const outgoing of underWay) outgoing.destroy();
  };
  const opened = { placeholder, meter: createMeter(), underWay, held: { bytes: 0 }, revoke };
  passes.set(placeholder, opened);
  return opened;
}

type ServeDeps = Pick<GatewayDeps, 'credential' | 'log'> & { upstream: Upstream; passes: Map<string, OpenPass> };

async function serve(deps: ServeDeps, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const target = decideTarget(incoming);
  if (target.kind === 'refused') return refuse(outgoing, target.refusal);

  const shown = placeholdersOf(incoming);
  const pass = shown.map((placeholder) => deps.passes.get(placeholder)).find((found) => found !== undefined);
  if (pass === undefined) return refuse(outgoing, shown.length === 0 ? noPlaceholder : badPlaceholder);

  const { placeholder, meter, underWay, held } = pass;
  underWay.add(outgoing);
  outgoing.once('close', () => underWay.delete(outgoing));
  const { isMetered } = target;
  await relay(deps, { incoming, outgoing, target: target.target, placeholder, held, meter: isMetered ? meter : null });
}

function placeholdersOf({ headers }: IncomingMessage): string[] {
  const bearer = /^bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
  return [headers['x-api-key'], bearer].filter((value) => typeof value === 'string');
}

const noPlaceholder: Refusal = {
  status: 401,
  type: 'authentication_error',
  message: 'the request carries no placeholder of this server’s model gateway',
};

const badPlaceholder: Refusal = {
  status: 401,
  type: 'authentication_error',
  message: 'the placeholder is not one of this server’s model gateway, or the process that it was made for has ended',
};

const notAProxy: Refusal = {
  status: 405,
  type: 'invalid_request_error',
  allow: 'GET, POST',
  message: 'the model gateway opens no tunnels',
};

function listening(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: 0 }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the model gateway is not listening on a port');
  return address.port;
}
