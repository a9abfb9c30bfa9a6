/**
 * Loaded into a server by `--import`: how long its event loop was held up at most, written to STALL_FILE at each SIGUSR2, from
 * the one before. In milliseconds of the clock, and of this thread's own work: what the thread waited for a processor that
 * others used is in the first alone.
 */

import { renameSync, writeFileSync } from 'node:fs';
import { threadCpuUsage } from 'node:process';

const file = process.env.STALL_FILE;
if (file !== undefined) {
  let [longestMs, mostWorkMs] = [0, 0];
  let [at, work] = [performance.now(), workMs()];
  // Always due: it fires once in each turn of the loop.
  setInterval(() => {
    const [now, workNow] = [performance.now(), workMs()];
    longestMs = Math.max(longestMs, now - at);
    mostWorkMs = Math.max(mostWorkMs, workNow - work);
    [at, work] = [now, workNow];
  }, 1).unref();
  process.on('SIGUSR2', () => {
    writeFileSync(`${file}.new`, JSON.stringify({ longestMs, mostWorkMs }));
    renameSync(`${file}.new`, file);
    [longestMs, mostWorkMs] = [0, 0];
  });
}

function workMs(): number {
  const { user, system } = threadCpuUsage();
  return (user + system) / 1000;
}
