/**
 * The app on a socket.
 *
 * - The app is loaded by the first request that needs it, unless its owner has loaded it by then.
 * - A request that node or the adapter cannot read is answered as a problem too, and ends only its own connection.
 * - `close` takes no new connection or request, cuts a connection without a response under way at once, and lets every
 *   other end its response. A client that does not read its response holds it up: the caller sets the limit.
 */

import { createServer, type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { Problem } from '../domain/problem.ts';
import type { Log } from '../lib/log.ts';
import type { HttpApp } from './app.ts';
import type { EarlyAnswer } from './early-health.ts';

export type LazyApp = {
  /** Loads it once. `first`: the request that needs it, where it is one. A rejection is a bug. */
  load(first?: IncomingMessage): Promise<HttpApp>;
  /** Asked before it is loaded, until a request has needed it. */
  early: EarlyAnswer;
  /** For what happens on the socket. */
  log: Log;
};

export type Listening = {
  /** The port in use: the one asked for, or the one that the system chose for 0. */
  port: number;
  /** Resolves when every connection is closed. Idempotent. */
  close(): Promise<void>;
  /** Cuts what is still open. */
  cut(): void;
};

/** Longer than the idle time of common load balancers (60 s), so that it is they who close: no request meets a closed socket. */
const keepAliveMs = 75_000;

/** Rejects when the address cannot be listened on, such as a port in use. */
export async function listen(lazy: LazyApp, { host, port }: { host: string; port: number }): Promise<Listening> {
  let app: HttpApp | null = null;
  const withApp = (work: (app: HttpApp) => Promise<void>, first?: IncomingMessage) => {
    if (app !== null) void work(app);
    else
      void lazy.load(first).then((loaded) => {
        app = loaded;
        return work(loaded);
      });
  };
  // Otherwise node answers a request without Host by itself, without our headers; the adapter refuses it as well.
  const server = createServer({ keepAliveTimeout: keepAliveMs, requireHostHeader: false });
  /** Responses under way on each open connection. */
  const connections = new Map<Duplex, number>();
  const count = (socket: Duplex, change: number) => {
    const responses = connections.get(socket);
    if (responses !== undefined) connections.set(socket, responses + change);
  };
  let closing: Promise<void> | null = null;

  server.on('connection', (socket) => {
    connections.set(socket, 0);
    socket.once('close', () => connections.delete(socket));
  });
  server.on('request', (incoming, outgoing) => {
    const { socket } = incoming;
    // HTTP/1.0 knows no Host, and health checks of load balancers still speak it.
    if (incoming.httpVersion === '1.0') incoming.headers.host ??= 'localhost';
    count(socket, 1);
    outgoing.once('close', () => {
      count(socket, -1);
      if (closing !== null && connections.get(socket) === 0) socket.destroySoon();
    });
    if (app === null && lazy.early(incoming, outgoing)) return;
    withApp((loaded) => loaded.handle(incoming, outgoing), incoming);
  });
  // Otherwise node refuses an expectation that it does not know by itself; RFC 9110 §10.1.1 allows to ignore it.
  server.on('checkExpectation', (incoming, outgoing) => server.emit('request', incoming, outgoing));
  // Without a listener node closes the connection of a CONNECT without a word.
  server.on('connect', (_, socket) => {
    // Node has let go of this socket: nobody else listens for its error, which would end the process.
    socket.on('error', () => socket.destroy());
    withApp((loaded) => refuseRaw(loaded, socket, undefined));
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // On a connection that is being answered, a second status line would be taken for a part of the answer.
    if (error.code === 'ECONNRESET' || !socket.writable || connections.get(socket) !== 0) socket.destroy();
    else withApp((loaded) => refuseRaw(loaded, socket, error.code));
  });
  await started(server, { host, port });
  // Such as no file descriptor left for a connection: that one is lost, the server is not.
  server.on('error', (error) => lazy.log.error({ err: error }, 'a connection could not be taken'));

  const close = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const [socket, responses] of connections) if (responses === 0) socket.destroy();
    await closed;
  };
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    close: () => {
      closing ??= close();
      return closing;
    },
    cut: () => server.closeAllConnections(),
  };
}

function started(server: Server, address: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(address, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** What was not HTTP has no request to answer; the text of the response is written as it is. */
async function refuseRaw(app: HttpApp, socket: Duplex, code: string | undefined): Promise<void> {
  const response = app.refuse(new Problem('invalid_request', faultOf(code)));
  const body = await response.text();
  const headers = [...response.headers].map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.end(
    `HTTP/1.1 ${response.status} ${STATUS_CODES[response.status]}\r\n${headers}` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}

function faultOf(code: string | undefined): string {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return 'the headers of the request are too large';
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return 'the request did not arrive in time';
    default:
      return 'the request is not valid HTTP';
  }
}
