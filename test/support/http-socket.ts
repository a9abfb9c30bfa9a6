/** The test's app on a real socket, and clients that may do what `fetch` would not. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { type ClientRequest, request as httpRequest, IncomingMessage, ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { z } from 'zod';
import { type Listening, listen } from '../../src/http/server.ts';
import type { TestApp } from './http-app.ts';
import { checkAgainstContract } from './http-contract.ts';

export type TestServer = Listening &
  AsyncDisposable & {
    url: string;
    /** The response as it is, after the contract's check. */
    fetch(path: string, init?: RequestInit): Promise<Response>;
  };

export async function serve(app: TestApp): Promise<TestServer> {
  const server = await listen(app.lazyApp, { host: '127.0.0.1', port: 0 });
  const url = `http://127.0.0.1:${server.port}`;
  return {
    ...server,
    url,
    fetch: (path, init) => fetchChecked(app.build, `${url}${path}`, init),
    [Symbol.asyncDispose]: () => server.close(),
  };
}

async function fetchChecked(build: TestApp['build'], url: string, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(url, init);
  const sent = typeof init.body === 'string' ? init.body : undefined;
  await checkAgainstContract({ request: new Request(url, { method: init.method ?? 'GET' }), sent }, response, build);
  return response;
}

/** Sends the text as it is; resolves with all that came back when the server has closed the connection. */
export async function sendRaw(server: Listening, text: string): Promise<string> {
  const socket = await openSocket(server);
  let received = '';
  socket.setEncoding('utf8').on('data', (data) => {
    received += String(data);
  });
  socket.write(text);
  await once(socket, 'close');
  return received;
}

export async function openSocket(server: Listening): Promise<Socket> {
  const socket = connect(server.port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** A request whose body the test writes piece by piece. */
export function openRequest(
  server: { url: string },
  input: { path: string; headers?: Record<string, string> },
): { request: ClientRequest; response: Promise<IncomingMessage> } {
  const request = httpRequest(`${server.url}${input.path}`, {
    method: 'POST',
    ...(input.headers ? { headers: input.headers } : {}),
  });
  const response = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve);
    request.once('error', reject);
  });
  return { request, response };
}

const requestStart = z.object({ request: z.instanceof(IncomingMessage), response: z.instanceof(ServerResponse) });

/** Resolves when the server has seen the connection of the request with this `x-request-id` close. To be called before it. */
export function connectionClosed(requestId: string): Promise<void> {
  const channel = 'http.server.request.start';
  return new Promise((resolve) => {
    const onRequest = (message: unknown) => {
      const { request, response } = requestStart.parse(message);
      if (request.headers['x-request-id'] !== requestId) return;
      unsubscribe(channel, onRequest);
      response.once('close', resolve);
    };
    subscribe(channel, onRequest);
  });
}
