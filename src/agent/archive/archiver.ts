/**
 * Archives a run's session when the CLI compacts it, that is, goes on with a summary in place of what was said.
 *
 * By the hook after the summary is made, which the CLI awaits before it writes down that the session was compacted: what
 * the session has forgotten is in an archive. Not by the hook before it (PreCompact): that is called for attempts too that
 * come to nothing, run after run, and each would leave an archive as long as the transcript.
 *
 * Nothing here stops the compaction or the run. A failure is in the log, and in the run's warnings.
 */

import { basename, dirname, join } from 'node:path';
import type { HookInput, Options, SDKMessage } from '@anthropic-ai/claude-agent-sdk';
import { systemClock } from '../../lib/clock.ts';
import { codeOf } from '../../lib/error-code.ts';
import type { Log } from '../../lib/log.ts';
import { archiveTranscript } from './write.ts';

export type ArchiveLimits = {
  /** How long the archive of a session that is compacted may take. */
  archiveMs: number;
  /** How long what the CLI has said may take to its transcript. It writes every 100 ms. */
  transcriptMs: number;
};

export type ArchiverInput = ArchiveLimits & {
  memoryDir: string;
  sessionsDir: string;
  /** IANA. */
  timezone: string;
  runId: string;
  conversationId: string | null;
  sessionId: string;
  promptId: string;
  log: Log;
};

export class Archiver {
  readonly warnings: string[] = [];
  readonly #input: ArchiverInput;
  /** The ids of what was said in this run, in the session itself. */
  readonly #said: Set<string>;
  readonly #ended = new AbortController();
  readonly #underWay = new Set<Promise<void>>();

  constructor(input: ArchiverInput) {
    this.#input = input;
    this.#said = new Set([input.promptId]);
  }

  /** For the SDK's hook after a compaction. */
  async afterCompact(input: HookInput): Promise<void> {
    // A subagent's session is no conversation of anybody's; its hooks name the main one's transcript.
    if (input.hook_event_name !== 'PostCompact' || input.agent_id !== undefined) return;
    const archiving = this.#archive(this.#transcriptPath(input.transcript_path));
    this.#underWay.add(archiving);
    await archiving;
    this.#underWay.delete(archiving);
  }

  /** Only the folder is taken from the hook: its process is the agent's to change, and what is archived the agent can read. */
  #transcriptPath(told: string): string {
    const { sessionsDir, sessionId } = this.#input;
    return join(sessionsDir, 'projects', basename(dirname(told)), `${sessionId}.jsonl`);
  }

  observe(message: SDKMessage): void {
    if (message.type !== 'assistant' && message.type !== 'user') return;
    if (message.parent_tool_use_id === null && message.uuid !== undefined) this.#said.add(message.uuid);
  }

  /** Once the run is over: what is still being archived is given up. */
  async end(): Promise<void> {
    this.#ended.abort(new Error('the run has ended'));
    await Promise.all(this.#underWay);
  }

  /** Never rejects. */
  async #archive(transcriptPath: string): Promise<void> {
    const { archiveMs, transcriptMs, log, sessionsDir: _, runId: run_id, ...head } = this.#input;
    const late = AbortSignal.timeout(archiveMs);
    try {
      const { missing, unreadable } = await archiveTranscript({
        ...head,
        at: systemClock.now(),
        transcriptPath,
        awaited: this.#said,
        waitMs: transcriptMs,
        signal: AbortSignal.any([this.#ended.signal, late]),
      });
      log.info({ run_id, missing, unreadable }, 'the session is compacted, and was archived');
      if (missing + unreadable > 0) this.warnings.push(`${compacted} a part of it could not be archived`);
    } catch (error) {
      // The process went in the middle of it, and never wrote down that it had compacted anything.
      if (this.#ended.signal.aborted) return;
      const code = late.aborted ? 'ETIMEDOUT' : codeOf(error);
      // A path in the error would show what was said.
      log.warn(
        { run_id, ...(code === null ? { err: error } : { code }) },
        'the session is compacted, and not archived',
      );
      this.warnings.push(`${compacted} it could not be archived before (${code ?? 'see the log'})`);
    }
  }
}

const compacted = 'The conversation was compacted, and';

/** For one process: the archiver is that of the run that it works on. */
export function makeArchiveHooks(
  current: () => Archiver | null,
  { archiveMs }: Pick<ArchiveLimits, 'archiveMs'>,
): NonNullable<Options['hooks']> {
  const hook = async (input: HookInput) => {
    await current()?.afterCompact(input);
    return {};
  };
  // Its own deadline comes first.
  return { PostCompact: [{ hooks: [hook], timeout: Math.ceil(archiveMs / 1_000) + 5 }] };
}
