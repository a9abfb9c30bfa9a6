/**
 * Around the whole suite: it runs on the project's own Node, and when it ends no claude process is left that was not
 * there before.
 */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export function setup(): () => void {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 24)
    throw new Error(`the tests need Node 24 or later, this is ${process.versions.node}; run them with npm test`);
  const before = new Set(claudeProcesses());
  return () => {
    const left = claudeProcesses().filter((pid) => !before.has(pid));
    if (left.length > 0) throw new Error(`claude processes left behind by the tests: ${left.join(', ')}`);
  };
}

function claudeProcesses(): string[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc').filter((entry) => /^\d+$/.test(entry) && isClaude(entry));
}

function isClaude(pid: string): boolean {
  try {
    // A zombie has no executable any more; it only waits for its parent.
    return (
      readlinkSync(`/proc/${pid}/exe`).includes('claude-agent-sdk') && readFileSync(`/proc/${pid}/cmdline`).length > 0
    );
  } catch {
    return false;
  }
}
