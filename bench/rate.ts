/** How many requests a second a server answers, each of several clients asking again as soon as it is answered. */

import { Agent, get } from 'node:http';
import type { Row } from './stats.ts';

const clients = 8;
const measuredMs = 3_000;

export async function rate(what: string, url: string): Promise<Row> {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  await Promise.all(Array.from({ length: clients }, () => ask(url, agent)));
  const end = performance.now() + measuredMs;
  let answered = 0;
  const client = async () => {
    while (performance.now() < end) {
      await ask(url, agent);
      answered += 1;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  agent.destroy();
  return { what, unit: 'requests/s', value: Math.round(answered / (measuredMs / 1_000)) };
}

function ask(url: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      response.resume();
      response.once('end', resolve);
      response.once('error', reject);
    }).once('error', reject);
  });
}
