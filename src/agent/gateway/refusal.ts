/** The gateway's own errors, in the shape in which the Messages API tells its errors, so that the CLI can read them. */

import { type OutgoingHttpHeaders, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

export type Refusal = {
  status: number;
  type:
    | 'authentication_error'
    | 'invalid_request_error'
    | 'not_found_error'
    | 'request_too_large'
    | 'rate_limit_error'
    | 'api_error';
  message: string;
  /** The methods of a 405 (RFC 9110 §15.5.6). */
  allow?: string;
};

export function errorBody({ type, message }: Pick<Refusal, 'type' | 'message'>): string {
  return JSON.stringify({ type: 'error', error: { type, message } });
}

export function refuse(outgoing: ServerResponse, refusal: Refusal): void {
  const body = errorBody(refusal);
  outgoing.writeHead(refusal.status, { ...headersOf(refusal), 'content-length': Buffer.byteLength(body) });
  outgoing.end(outgoing.req.method === 'HEAD' ? undefined : body);
}

/** For a connection that node has let go of, such as a CONNECT's. */
export function refuseRaw(socket: Duplex, refusal: Refusal): void {
  // Nobody else listens for its error, which would end the process.
  socket.on('error', () => socket.destroy());
  const body = errorBody(refusal);
  const headers = { ...headersOf(refusal), 'content-length': Buffer.byteLength(body), connection: 'close' };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const status = `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}\r\n`;
  socket.end(`${status}${lines.join('')}\r\n${body}`, () => socket.destroy());
}

function headersOf({ status, allow }: Refusal): OutgoingHttpHeaders {
  return {
    'content-type': 'application/json',
    // The same request would be refused again, but for one too many; the CLI, which tries most errors many times, obeys this.
    ...(status === 429 ? {} : { 'x-should-retry': 'false' }),
    ...(allow === undefined ? {} : { allow }),
  };
}
