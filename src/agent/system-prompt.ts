/**
 * The system prompt: Claude Code's own, with the organisation's `CLAUDE.md` appended; an override replaces both.
 * The user's persona is not here: the CLI itself reads `CLAUDE.md` of its working directory.
 *
 * Read afresh for each run. What is there and cannot be read fails the run: the organisation's rules must not be left out
 * in silence. `snapshot: false` because the CLI otherwise keeps the prompt of a session's first run for
 * ever, and an edited `CLAUDE.md` would never reach a conversation that already exists.
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Options } from '@anthropic-ai/claude-agent-sdk';
import { ifMissing } from '../lib/error-code.ts';

export type SystemPrompt = NonNullable<Options['systemPrompt']>;

export async function readSystemPrompt(input: {
  orgDir: string | null;
  override: string | null;
}): Promise<SystemPrompt> {
  if (input.override !== null) return { type: 'custom', prompt: input.override, snapshot: false };
  const append = input.orgDir === null ? null : await readOrgPrompt(join(input.orgDir, 'CLAUDE.md'));
  return {
    type: 'preset',
    preset: 'claude_code',
    snapshot: false,
    // What differs per conversation goes to the first message, so that the prompt is cached across conversations.
    excludeDynamicSections: true,
    ...(append === null ? {} : { append }),
  };
}

async function readOrgPrompt(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8').catch(ifMissing(null));
  } catch (cause) {
    // Node's own words do not always name the file.
    throw new Error(`${path} cannot be read`, { cause });
  }
}
