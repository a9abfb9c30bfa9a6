/**
 * Which headers pass the gateway. Pure.
 *
 * Those that concern one connection only stay on it (RFC 9110 §7.6.1), and so does what the gateway says itself: Host,
 * the length of the body, who is asking.
 */

import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import type { Credential } from '../environment.ts';

const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/** Of a request: what node sets for the upstream, an expectation that node has met already, and the credentials. */
const ownToRequests = ['host', 'content-length', 'expect', 'authorization', 'x-api-key'];

/** A request's headers for the upstream. The placeholder is in none of them. */
export function toUpstreamHeaders(
  incoming: Pick<IncomingMessage, 'headers' | 'headersDistinct'>,
  { placeholder, credential }: { placeholder: string; credential: Credential },
): OutgoingHttpHeaders {
  const dropped = new Set([...hopByHop, ...namedInConnection(incoming.headers), ...ownToRequests]);
  const passed = Object.entries(incoming.headersDistinct).filter(
    ([name, values = []]) => !dropped.has(name) && !values.some((value) => value.includes(placeholder)),
  );
  return {
    ...Object.fromEntries(passed),
    // Usage can be read, and the credential be found, only in what is not compressed.
    'accept-encoding': 'identity',
    ...(credential.kind === 'api_key'
      ? { 'x-api-key': credential.value }
      : { authorization: `Bearer ${credential.value}` }),
  };
}

/**
 * An answer's headers for the claude process: names and values in turn, as they came. `blot` goes over each value;
 * `without` names, in lower case, what does not fit the body any more.
 */
export function toClientHeaders(
  answer: Pick<IncomingMessage, 'headers' | 'rawHeaders'>,
  { blot, without }: { blot: (text: string) => string; without: string[] },
): string[] {
  const dropped = new Set([...hopByHop, ...namedInConnection(answer.headers), ...without]);
  const { rawHeaders } = answer;
  return rawHeaders.flatMap((name, index) =>
    index % 2 === 1 || dropped.has(name.toLowerCase()) ? [] : [name, blot(rawHeaders[index + 1] ?? '')],
  );
}

function namedInConnection({ connection }: IncomingHttpHeaders): string[] {
  return (connection ?? '').split(',').map((name) => name.trim().toLowerCase());
}
