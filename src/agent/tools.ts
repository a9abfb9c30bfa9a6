/**
 * The tools of Claude Code that the agent has, by name.
 *
 * An explicit list, because the default one grows with every release of the CLI and holds tools that schedule work for
 * later, ask a terminal, or reach other sessions; none of these has a place in a server.
 */

export const builtInTools = [
  'Bash',
  'Read',
  'Write',
  'Edit',
  'NotebookEdit',
  'Glob',
  'Grep',
  'WebSearch',
  'WebFetch',
  'Agent',
  'Skill',
  'TaskCreate',
  'TaskGet',
  'TaskList',
  'TaskUpdate',
];
