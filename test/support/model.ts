/**
 * The model API of the tests: a real HTTP server on loopback that speaks the Messages API.
 *
 * Two layers. `mock` (aimock) holds the script: what is answered to which prompt. In front of it stands a small proxy of
 * ours, because the tests need two things that aimock does not give: the request exactly as it was sent (`requests`,
 * thinking, system prompt and headers included), and faults that wait for the test instead of a clock (`fault`).
 *
 *     const model = await startModel();
 *     model.mock.on({ userMessage: /hello/ }, { content: 'Hi there.' });
 *     const stall = model.fault({ kind: 'stall', afterDeltas: 2 });   // of the next request
 *     …; await stall.reached; …; stall.release();
 *     await model.stop();
 *
 * A prompt that no fixture matches is answered with a 404, which fails the run: nothing is ever answered by accident.
 */

import { createServer, type IncomingMessage, type ServerResponse, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import { LLMock } from '@copilotkit/aimock';
import { z } from 'zod';

/** What the tests look at in a request; everything else in it is kept as it came. */
const messagesRequest = z.looseObject({
  model: z.string(),
  messages: z.array(z.looseObject({ role: z.string(), content: z.unknown() })),
  system: z.unknown().optional(),
  tools: z.array(z.looseObject({ name: z.string() })).optional(),
  thinking: z.looseObject({ type: z.string() }).optional(),
  max_tokens: z.number().optional(),
  stream: z.boolean().optional(),
});

export type ModelRequest = {
  headers: Record<string, string>;
  body: z.infer<typeof messagesRequest>;
  /** The body as sent. */
  raw: string;
};

export type Fault = (
  | { /** Nothing is answered until released; then the script goes on. */ kind: 'hold' }
  | { /** The stream stops, connection open, until released; then it goes on. */ kind: 'stall'; afterDeltas: number }
  | { /** The connection is reset in mid-stream. */ kind: 'reset'; afterDeltas: number; held?: boolean }
  | { /** The stream ends in mid-message without an error. */ kind: 'end'; afterDeltas: number; held?: boolean }
  | { /** The stream ends with an SSE `error` event. */ kind: 'error_event'; afterDeltas: number; held?: boolean }
  | {
      /** The request is refused with this status. */
      kind: 'status';
      status: number;
      error?: string;
      message?: string;
      headers?: Record<string, string>;
    }
) & {
  /** Which requests it may take; without it, the next one. */
  when?: (request: ModelRequest) => boolean;
  /** How many requests it takes; 1 without it. */
  times?: number;
};

export type FaultHandle = {
  /** The request that the fault took (its first one), as soon as it has come to the point: held, stalled, refused. */
  reached: Promise<ModelRequest>;
  /**
   * Lets what waits go on: a `hold`, a `stall`, and a cut that is `held`. Without `held` a cut comes at once, and the
   * deltas before it may never reach the host: the CLI drops what it has not passed on when the connection breaks.
   */
  release(): void;
};

export type Model = {
  /** For ANTHROPIC_BASE_URL. */
  url: string;
  /** The script: `mock.on({ userMessage: /…/ }, { content, toolCalls, reasoning, usage })`. The first match wins. */
  mock: LLMock;
  /** Every request to `/v1/messages` so far, in order. */
  requests(): ModelRequest[];
  /** Resolves with request number `index` (from 0) as soon as it has arrived. */
  arrival(index: number): Promise<ModelRequest>;
  /** Faults are tried in the order of their making; one request meets at most one. */
  fault(fault: Fault): FaultHandle;
  /** Closes the connections that wait for a request. */
  hangUp(): void;
  stop(): Promise<void>;
};

/** `chunkSize`: characters a delta, so that a short text still comes in several. */
export async function startModel(input: { chunkSize?: number } = {}): Promise<Model> {
  const mock = new LLMock({ port: 0, host: '127.0.0.1', chunkSize: input.chunkSize ?? 8, logLevel: 'silent' });
  await mock.start();

  const requests: ModelRequest[] = [];
  const waiting: { index: number; arrived: (request: ModelRequest) => void }[] = [];
  const faults: ArmedFault[] = [];

  const server = createServer((incoming, outgoing) => {
    serve(incoming, outgoing).catch((error: unknown) => {
      outgoing.destroy(error instanceof Error ? error : undefined);
    });
  });

  async function serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const raw = await readAll(incoming);
    if (
      incoming.method !== 'POST' ||
      !incoming.url?.startsWith('/v1/messages') ||
      incoming.url.includes('count_tokens')
    ) {
      outgoing.writeHead(404).end();
      return;
    }
    const request = { headers: plainHeaders(incoming), body: messagesRequest.parse(JSON.parse(raw)), raw };
    requests.push(request);
    for (const wait of waiting) if (wait.index < requests.length) wait.arrived(request);
    const fault = takeFault(faults, request);
    await forward({ mockUrl: mock.url, incoming, outgoing, request, fault });
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${portOf(server.address())}`,
    mock,
    requests: () => [...requests],
    arrival: (index) => {
      const already = requests[index];
      return already ? Promise.resolve(already) : new Promise((arrived) => waiting.push({ index, arrived }));
    },
    fault: (fault) => {
      const reached = Promise.withResolvers<ModelRequest>();
      const released = Promise.withResolvers<void>();
      faults.push({ fault, left: fault.times ?? 1, reached: reached.resolve, released: released.promise });
      return { reached: reached.promise, release: released.resolve };
    },
    hangUp: () => server.closeIdleConnections(),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await mock.stop();
    },
  };
}

type ArmedFault = {
  fault: Fault;
  left: number;
  reached: (request: ModelRequest) => void;
  released: Promise<void>;
};

function takeFault(faults: ArmedFault[], request: ModelRequest): ArmedFault | null {
  const taken = faults.find(({ fault, left }) => left > 0 && (fault.when?.(request) ?? true));
  if (!taken) return null;
  taken.left -= 1;
  return taken;
}

type Forward = {
  mockUrl: string;
  incoming: IncomingMessage;
  outgoing: ServerResponse;
  request: ModelRequest;
  fault: ArmedFault | null;
};

async function forward({ mockUrl, incoming, outgoing, request, fault }: Forward): Promise<void> {
  if (fault?.fault.kind === 'status') {
    const { status, error = 'api_error', message = 'scripted', headers = {} } = fault.fault;
    fault.reached(request);
    outgoing.writeHead(status, { 'content-type': 'application/json', ...headers });
    outgoing.end(JSON.stringify({ type: 'error', error: { type: error, message } }));
    return;
  }
  if (fault?.fault.kind === 'hold') {
    fault.reached(request);
    await fault.released;
    if (outgoing.destroyed) return;
  }
  const answer = await ask(mockUrl, incoming, request.raw);
  outgoing.writeHead(answer.statusCode ?? 502, {
    'content-type': answer.headers['content-type'] ?? 'application/json',
  });

  let deltas = 0;
  for await (const frame of frames(answer)) {
    const afterDeltas = fault && 'afterDeltas' in fault.fault ? fault.fault.afterDeltas : null;
    if (fault && deltas === afterDeltas && frame.includes('content_block')) {
      deltas += 1;
      fault.reached(request);
      if (fault.fault.kind === 'stall' || ('held' in fault.fault && fault.fault.held)) await fault.released;
      if (outgoing.destroyed) return;
      if (fault.fault.kind === 'reset') return void outgoing.destroy();
      if (fault.fault.kind === 'end') return void outgoing.end();
      if (fault.fault.kind === 'error_event') return void outgoing.end(errorEvent);
    }
    if (frame.includes('content_block_delta')) deltas += 1;
    if (outgoing.destroyed) return;
    outgoing.write(frame);
  }
  outgoing.end();
}

const errorEvent = `event: error\ndata: ${JSON.stringify({
  type: 'error',
  error: { type: 'overloaded_error', message: 'scripted' },
})}\n\n`;

function ask(mockUrl: string, incoming: IncomingMessage, body: string): Promise<IncomingMessage> {
  const { host: _host, 'content-length': _length, connection: _connection, ...headers } = incoming.headers;
  return new Promise((resolve, reject) => {
    send(`${mockUrl}${incoming.url}`, {
      method: 'POST',
      headers: { ...headers, 'content-length': Buffer.byteLength(body) },
    })
      .on('response', resolve)
      .on('error', reject)
      .end(body);
  });
}

/** The SSE frames of an answer, whole, as they come; an answer that is not SSE is one frame. */
async function* frames(answer: IncomingMessage): AsyncGenerator<string> {
  let rest = '';
  answer.setEncoding('utf8');
  for await (const chunk of answer) {
    rest += String(chunk);
    for (let end = rest.indexOf('\n\n'); end !== -1; end = rest.indexOf('\n\n')) {
      yield rest.slice(0, end + 2);
      rest = rest.slice(end + 2);
    }
  }
  if (rest !== '') yield rest;
}

async function readAll(incoming: IncomingMessage): Promise<string> {
  let text = '';
  incoming.setEncoding('utf8');
  for await (const chunk of incoming) text += String(chunk);
  return text;
}

function plainHeaders(incoming: IncomingMessage): Record<string, string> {
  return Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]));
}

function portOf(address: string | AddressInfo | null): number {
  if (address === null || typeof address === 'string') throw new Error('the model is not listening on a port');
  return address.port;
}
