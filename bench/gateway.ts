/** What the gateway adds to the first delta of an answer: the same request to the loopback model, direct and through it. */

import { pino } from 'pino';
import { startGateway } from '../src/agent/gateway.ts';
import type { Model } from '../test/support/model.ts';
import { post } from '../test/support/server.ts';
import { type Row, stats, toRow } from './stats.ts';

const pairs = 200;

export async function benchGateway(model: Model): Promise<Row[]> {
  const gateway = await startGateway({
    credential: { kind: 'api_key', value: 'sk-ant-bench' },
    upstream: model.url,
    proxyEnv: {},
    log: pino({ level: 'silent' }),
  });
  const headers = { 'x-api-key': gateway.admit().placeholder };
  const direct: number[] = [];
  const through: number[] = [];
  // In turn, so that both meet the same machine.
  for (let pair = 0; pair < pairs; pair += 1) {
    direct.push(await firstDelta(model.url, {}));
    through.push(await firstDelta(gateway.url, headers));
  }
  await gateway.stop();
  const added = stats(through.map((ms, index) => ms - (direct[index] ?? 0)));
  return [
    toRow('first text from the loopback model itself (floor)', stats(direct)),
    toRow('the same through the gateway', stats(through)),
    toRow('added by the gateway, pair by pair', added),
  ];
}

async function firstDelta(url: string, headers: Record<string, string>): Promise<number> {
  const start = performance.now();
  const body = {
    model: 'claude-opus-5-5',
    max_tokens: 100,
    stream: true,
    messages: [{ role: 'user', content: 'hi' }],
  };
  const response = await post(`${url}/v1/messages`, body, headers);
  let ms = Number.NaN;
  for await (const text of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    if (Number.isNaN(ms) && text.includes('content_block_delta')) ms = performance.now() - start;
  }
  return ms;
}
