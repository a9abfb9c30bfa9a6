/** What the agent says in a run, as it says it: told to the run's events, and kept for its outcome. */

import type { AgentEvent } from '../agent/agent.ts';
import { Answer, type AnswerChange } from '../domain/answer.ts';
import type { ToolUse } from '../domain/outcome.ts';
import type { EventLog } from './event-log.ts';

export class Recorder {
  readonly toolUses: ToolUse[] = [];
  readonly #events: EventLog;
  readonly #answer = new Answer();
  #thinking = '';
  /** Where the thinking of the current message begins, to return to when the message starts over. */
  #thinkingBefore = 0;

  constructor(events: EventLog) {
    this.#events = events;
  }

  /** The answer as a reader has it. */
  get text(): string {
    return this.#answer.text;
  }

  /** All that the model wrote, hidden blocks included. */
  get raw(): string {
    return this.#answer.raw;
  }

  get thinking(): string {
    return this.#thinking;
  }

  record(event: AgentEvent): void {
    switch (event.type) {
      case 'message':
        this.#thinkingBefore = this.#thinking.length;
        this.#show(this.#answer.beginMessage({ continues: event.continues === true }));
        break;
      case 'restart':
        if (event.keepsThinking !== true) this.#thinking = this.#thinking.slice(0, this.#thinkingBefore);
        this.#answer.restartMessage();
        break;
      case 'text':
        this.#show(this.#answer.append(event.text));
        break;
      case 'thinking':
        this.#thinking += event.text;
        this.#events.append(event);
        break;
      case 'tool_use':
        this.toolUses.push({ tool: event.tool, input: event.input });
        this.#events.append(event);
        break;
      default:
        event satisfies never;
    }
  }

  /** Tells the last of the text. Returns how many characters an unclosed hidden block keeps from the reader. */
  end(): number {
    const { changes, droppedCharacters } = this.#answer.end();
    this.#show(changes);
    return droppedCharacters;
  }

  #show(changes: AnswerChange[]): void {
    for (const change of changes) this.#events.append(change);
  }
}
