/** The tools for an agent in this process: over the operations, in the name of the run that calls them. */

import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { type SendMessageDeps, sendMessage } from '../conversations/send-message.ts';
import type { Task } from '../domain/task.ts';
import type { Log } from '../lib/log.ts';
import { createTask } from '../tasks/create.ts';
import { deleteTask } from '../tasks/delete.ts';
import type { TaskDeps } from '../tasks/deps.ts';
import { listTasks } from '../tasks/read.ts';
import { updateTask } from '../tasks/update.ts';
import type { ToolBackend, ToolTask } from './backend.ts';
import { callTool, failed } from './call-tool.ts';
import { makeMcpServer } from './mcp-server.ts';

/** In whose name the tools act: the run that calls them. */
export type ToolContext = {
  runId: string;
  /** Null for a task's isolated run. */
  conversationId: string | null;
};

export type ToolServerDeps = TaskDeps & SendMessageDeps & { log: Log; version: string };

/** For one claude process, which works on one run after another: `current` tells for which. */
export function makeToolServer(deps: ToolServerDeps, current: () => ToolContext | null): McpServer {
  const { clock, log, version } = deps;
  return makeMcpServer({
    version,
    call: (tool, args) => {
      const context = current();
      const report = (error: unknown, name: string) =>
        log.error(
          { tool: name, run_id: context?.runId, conversation_id: context?.conversationId, err: error },
          'a tool failed',
        );
      if (context === null) return Promise.resolve(failed('no run is under way any more; nothing was done'));
      return callTool({ backend: makeInProcessBackend(deps, context), clock, report }, tool, args);
    },
  });
}

const tasksPerPage = 200;

function makeInProcessBackend(deps: ToolServerDeps, { runId, conversationId }: ToolContext): ToolBackend {
  const toToolTask = (task: Task): ToolTask => ({ ...task, timezone: task.timezone ?? deps.settings.timezone });
  return {
    conversationId,
    sendMessage: async (message) => {
      await sendMessage(deps, { from: { runId }, ...message });
    },
    createTask: async (task) => toToolTask(await createTask(deps, { ...task, createConversation: false })),
    listTasks: async (cursor) => {
      const page = await listTasks(deps, { limit: tasksPerPage, cursor });
      return { ...page, items: page.items.map(toToolTask) };
    },
    updateTask: async (id, changes) => toToolTask(await updateTask(deps, { id, changes })),
    deleteTask: (id) => deleteTask(deps, id),
  };
}
