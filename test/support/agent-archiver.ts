/** A process that archives a transcript several times. Arguments: the memory folder, the transcript, how often. */

import { archiveTranscript } from '../../src/agent/archive/write.ts';

const [, , memoryDir = '', transcriptPath = '', times = '1'] = process.argv;
for (let time = 0; time < Number(times); time += 1) {
  await archiveTranscript({
    memoryDir,
    transcriptPath,
    at: '2026-11-22T10:00:00.000Z',
    timezone: 'UTC',
    conversationId: 'conv-1',
    sessionId: 'session-1',
    awaited: new Set(),
    waitMs: 0,
    signal: new AbortController().signal,
  });
}
