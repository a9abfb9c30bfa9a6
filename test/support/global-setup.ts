/**
 * Around the whole suite: it runs on the project's own Node and on Linux; the bundle is made, which the servers of the tests
 * are started from, as it starts in half the time of the sources; and when it ends no claude process is left
 * without its server (one that has a parent belongs to somebody who works beside the tests).
 */

import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { appVariable, installBundle } from './bundle.ts';

export async function setup(): Promise<() => void> {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 24)
    throw new Error(`the tests need Node 24 or later, this is ${process.versions.node}; run them with npm test`);
  if (process.platform !== 'linux')
    throw new Error(`the tests need Linux: they look into /proc. This is ${process.platform}`);
  const before = new Set(orphans());
  const app = mkdtempSync(join(tmpdir(), 'picoclaw-test-app-'));
  await installBundle(app);
  process.env[appVariable] = app;
  return () => {
    rmSync(app, { recursive: true, force: true });
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
