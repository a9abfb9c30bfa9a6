/**
 * A gateway for tests with a scripted upstream behind it, on real sockets, and a client that sends what it is told.
 *
 *     await using upstream = await startUpstream((request, outgoing) => outgoing.end('{}'));
 *     await using host = await startTestGateway({ upstream: upstream.url });
 *     const answer = await host.send({ path: '/v1/messages', body: '{}' });
 */

import { type Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { pino } from 'pino';
import { type Gateway, type GatewayDeps, type Pass, startGateway } from '../../src/agent/gateway.ts';

/** Stands for the API key wherever a test looks for its leaking. */
export const testKey = 'sk-ant-api03-the-real-key-of-this-server';

export type Upstreamed = { method: string; target: string; headers: IncomingMessage['headers']; body: string };

export type TestUpstream = AsyncDisposable & {
  url: string;
  port: number;
  /** The requests so far, whole. */
  requests: Upstreamed[];
  /** The connections so far, in order. */
  sockets: Socket[];
};

export type Answerer = (request: Upstreamed, outgoing: ServerResponse, index: number) => void;

export async function startUpstream(answer: Answerer): Promise<TestUpstream> {
  const requests: Upstreamed[] = [];
  const sockets: Socket[] = [];
  const server = createServer({ keepAliveTimeout: 0 }, (incoming, outgoing) => {
    readText(incoming).then(
      (body) => {
        const { method = '', url = '', headers } = incoming;
        const request = { method, target: url, headers, body };
        requests.push(request);
        answer(request, outgoing, requests.length - 1);
      },
      () => undefined,
    );
  });
  server.on('connection', (socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
  });
  const port = await listenOnLoopback(server);
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests,
    sockets,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export type Sent = {
  method?: string;
  path: string;
  headers?: Record<string, string | string[]>;
  body?: string | Buffer;
  /** In place of the pass's placeholder; null sends none. */
  placeholder?: string | null;
  /** Without one, each request has a connection of its own. */
  agent?: Agent;
};

export type Received = { status: number; headers: IncomingMessage['headers']; rawHeaders: string[]; text: string };

export type TestGateway = AsyncDisposable & {
  gateway: Gateway;
  pass: Pass;
  port: number;
  /** The lines of its log. */
  log: string[];
  /** Resolves when the headers have come. */
  open(sent: Sent): Promise<IncomingMessage>;
  /** Resolves with the whole answer; rejects when it breaks off. */
  send(sent: Sent): Promise<Received>;
  /** A connection to it. */
  connect(): Socket;
  /** Sends the text as it is; resolves with what came back when the connection is closed. */
  sendRaw(text: string): Promise<string>;
};

export async function startTestGateway(deps: Partial<GatewayDeps> & { upstream: string }): Promise<TestGateway> {
  const log: string[] = [];
  const gateway = await startGateway({
    credential: { kind: 'api_key', value: testKey },
    proxyEnv: {},
    log: pino({ level: 'trace' }, { write: (line: string) => void log.push(line) }),
    ...deps,
  });
  const pass = gateway.admit();
  const port = Number(new URL(gateway.url).port);

  const open = ({ method = 'POST', path, headers = {}, body, placeholder = pass.placeholder, agent }: Sent) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const key = placeholder === null ? {} : { 'x-api-key': placeholder };
      const to = { host: '127.0.0.1', port, method, path, headers: { ...key, ...headers } };
      const sending = request({ ...to, agent: agent ?? false });
      sending.once('response', resolve).on('error', reject).end(body);
    });

  const connectTo = () => {
    const socket = connect(port, '127.0.0.1');
    return socket.on('error', () => undefined);
  };

  return {
    gateway,
    pass,
    port,
    log,
    open,
    send: async (sent) => {
      const answer = await open(sent);
      const text = await readText(answer);
      return { status: answer.statusCode ?? 0, headers: answer.headers, rawHeaders: answer.rawHeaders, text };
    },
    connect: connectTo,
    sendRaw: (text) =>
      new Promise((resolve) => {
        const socket = connectTo();
        let received = '';
        socket.setEncoding('utf8').on('data', (data) => {
          received += String(data);
        });
        socket.once('close', () => resolve(received));
        socket.write(text);
      }),
    [Symbol.asyncDispose]: () => gateway.stop(),
  };
}

/** Rejects when the message is cut. */
export async function readText(message: IncomingMessage): Promise<string> {
  let text = '';
  message.setEncoding('utf8');
  for await (const chunk of message) text += String(chunk);
  return text;
}

/** A stream of the Messages API with these events. */
export function eventsOf(...events: Record<string, unknown>[]): string {
  return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('');
}

type Listens = {
  listen(port: number, host: string, done: () => void): unknown;
  address(): AddressInfo | string | null;
};

export async function listenOnLoopback(server: Listens): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening on a port');
  return address.port;
}
