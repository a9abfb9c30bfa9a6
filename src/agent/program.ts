/** Where the agent's program is: as the SDK looks for it, for whoever wants to know before the first run. */

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

const sdk = '@anthropic-ai/claude-agent-sdk';

/** What is to be installed where it is not found. */
export function programPackages(): string[] {
  const { platform, arch } = process;
  // Both are tried, as the SDK does: each of them starts on its own kind of Linux alone, and only that one is installed.
  return platform === 'linux' ? [`${sdk}-linux-${arch}`, `${sdk}-linux-${arch}-musl`] : [`${sdk}-${platform}-${arch}`];
}

/** Null when the package that holds it is not installed. */
export function findProgram(): string | null {
  const { resolve } = createRequire(import.meta.resolve(sdk));
  const file = process.platform === 'win32' ? 'claude.exe' : 'claude';
  for (const name of programPackages()) {
    try {
      const path = resolve(`${name}/${file}`);
      if (existsSync(path)) return path;
    } catch {
      // Not installed; the next.
    }
  }
  return null;
}
