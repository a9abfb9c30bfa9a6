/**
 * The app on a socket.
 *
 * - A request that node or the adapter cannot read is answered as a problem too, and ends only its own connection.
 * - `close` takes no new connection, lets every response under way end, and closes connections as they become idle.
 */

import { createServer, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import { Problem } from '../domain/problem.ts';
import type { HttpApp } from './app.ts';

export type Listening = {
  /** The port in use: the one asked for, or the one that the system chose for 0. */
  port: number;
  /** Resolves when the last response has ended and the last connection is closed. Idempotent. */
  close(): Promise<void>;
};

/** Longer than the idle time of common load balancers (60 s), so that it is they who close: no request meets a closed socket. */
const keepAliveMs = 75_000;

/** Rejects when the address cannot be listened on, such as a port in use. */
export async function listen(app: HttpApp, { host, port }: { host: string; port: number }): Promise<Listening> {
  const listener = getRequestListener((request) => app.fetch(request), {
    // The global Request and Response stay node's: other code in the process relies on them.
    overrideGlobalObjects: false,
    errorHandler: () =>
      app.refuse(new Problem('invalid_request', 'the request target or the Host header is not valid')),
  });
  const server = createServer({ keepAliveTimeout: keepAliveMs });
  const answering = new WeakSet<Duplex>();
  let closing: Promise<void> | null = null;
  server.on('request', (incoming, outgoing) => {
    const { socket } = incoming;
    answering.add(socket);
    outgoing.once('close', () => {
      answering.delete(socket);
      if (closing !== null) setImmediate(() => server.closeIdleConnections());
    });
    if (closing !== null) outgoing.setHeader('Connection', 'close');
    void listener(incoming, outgoing);
  });
  // Without this, node answers an expectation that it does not know by itself, without our headers (RFC 9110 §10.1.1 allows to ignore it).
  server.on('checkExpectation', (incoming, outgoing) => server.emit('request', incoming, outgoing));
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // On a connection that is being answered, a second status line would be taken for a part of the answer.
    if (error.code === 'ECONNRESET' || !socket.writable || answering.has(socket)) socket.destroy();
    else void refuseRaw(app, socket);
  });
  await started(server, { host, port });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    close: () => {
      closing ??= new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeIdleConnections();
      });
      return closing;
    },
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
async function refuseRaw(app: HttpApp, socket: Duplex): Promise<void> {
  const response = app.refuse(
    new Problem('invalid_request', 'the request is not valid HTTP, or its headers are too large'),
  );
  const body = await response.text();
  const headers = [...response.headers].map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.end(
    `HTTP/1.1 400 Bad Request\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
