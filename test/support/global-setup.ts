/**
 * Around the whole suite: it runs on the project's own Node and on Linux, and when it ends no claude process is left
 * without its server (one that has a parent belongs to somebody who works beside the tests).
 */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export function setup(): () => void {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 24)
    throw new Error(`the tests need Node 24 or later, this is ${process.versions.node}; run them with npm test`);
  if (process.platform !== 'linux')
    throw new Error(`the tests need Linux: they look into /proc. This is ${process.platform}`);
  const before = new Set(orphans());
  return () => {
    const left = orphans().filter((pid) => !before.has(pid));
    if (left.length > 0) throw new Error(`claude processes left behind by the tests: ${left.join(', ')}`);
  };
}

function orphans(): string[] {
  return readdirSync('/proc').filter((entry) => /^\d+$/.test(entry) && isOrphanedClaude(entry));
}

function isOrphanedClaude(pid: string): boolean {
  try {
    if (!readlinkSync(`/proc/${pid}/exe`).includes('claude-agent-sdk')) return false;
    return /^PPid:\s+1$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
