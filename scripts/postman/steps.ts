/**
 * The collection's requests in the order of a visit: each folder can be run from its top, and leaves nothing behind. What a
 * request is (method, path, description, example answers) comes from the API's own definitions; here is only what is sent, and
 * what its answer must be.
 */

import { chatBegins, chatGoesOn, chatStreams, isProblem, succeeds, taskRan, taskRuns } from './scripts.ts';

export type Step = {
  name: string;
  operationId: string;
  body?: object;
  /** Of the `{id}` in the path. */
  id?: string;
  /** Lines of the script that looks at the answer. */
  tests: string[];
  /** Lines of the script that runs before the request. */
  before?: string[];
};

export type Folder = { name: string; description: string; steps: Step[] };

const conversation = '{{conversation_id}}';
const task = '{{task_id}}';

export const folders: Folder[] = [
  {
    name: 'Is it there?',
    description: 'Needs no token.',
    steps: [
      {
        name: 'Health',
        operationId: 'getHealth',
        tests: succeeds(200, "pm.test('all is well', () => pm.expect(answer.status).to.equal('ok'));"),
      },
      {
        name: 'Description of the API',
        operationId: 'getOpenApi',
        tests: succeeds(200, "pm.test('it is OpenAPI 3.1', () => pm.expect(answer.openapi).to.match(/^3\\.1\\./));"),
      },
    ],
  },
  {
    name: 'Conversations',
    description:
      'The first request begins a conversation and keeps its id in `conversation_id`; the others go on with it.',
    steps: [
      { name: 'Ask something', operationId: 'chat', body: { message: 'Hello! What can you do?' }, tests: chatBegins },
      {
        name: 'Go on with the conversation',
        operationId: 'chat',
        body: { message: 'And what did I just ask?', conversation_id: conversation },
        tests: chatGoesOn,
      },
      {
        name: 'Ask, and have the answer streamed',
        operationId: 'chat',
        body: { message: 'Tell me a short story.', conversation_id: conversation, stream: true },
        tests: chatStreams,
      },
      {
        name: 'A conversation that is not there',
        operationId: 'chat',
        body: { message: 'Hello?', conversation_id: 'conv-unknown' },
        tests: isProblem(404, 'not_found'),
      },
      {
        name: 'A field that is not known',
        operationId: 'chat',
        body: { message: 'Hello?', mesage: 'Hello?' },
        tests: isProblem(400, 'invalid_request'),
      },
      {
        name: 'Queue a message for the next answer',
        operationId: 'sendMessage',
        id: conversation,
        body: { text: 'The deployment is through.', sender: 'deployer' },
        tests: succeeds(201),
      },
      {
        name: 'Get the conversation',
        operationId: 'getConversation',
        id: conversation,
        tests: succeeds(200, "pm.test('no run is active', () => pm.expect(answer.status).to.equal('idle'));"),
      },
      {
        name: 'Its messages',
        operationId: 'listMessages',
        id: conversation,
        tests: succeeds(
          200,
          "pm.test('question and answer, three times', () =>",
          "  pm.expect(answer.messages.map(({ role }) => role).join(' ')).to.equal('user assistant user assistant user assistant'));",
        ),
      },
      {
        name: 'All conversations',
        operationId: 'listConversations',
        tests: succeeds(
          200,
          "pm.test('it is among them', () => pm.expect(answer.conversations[0].id).to.equal(pm.collectionVariables.get('conversation_id')));",
        ),
      },
      {
        name: 'Delete the conversation',
        operationId: 'deleteConversation',
        id: conversation,
        tests: succeeds(204),
      },
      {
        name: 'It is gone',
        operationId: 'getConversation',
        id: conversation,
        tests: isProblem(404, 'not_found'),
      },
    ],
  },
  {
    name: 'Tasks',
    description:
      'The first request makes a task that is due at once and keeps its id in `task_id`. "Run what is due" is what your scheduler ' +
      'sends; on a server with other tasks that are due, it runs one of those.',
    steps: [
      {
        name: 'Make a task',
        operationId: 'createTask',
        body: {
          prompt: 'Say that the task ran.',
          schedule_type: 'once',
          schedule_value: '2020-01-01T00:00',
        },
        tests: succeeds(201, "pm.collectionVariables.set('task_id', answer.id);"),
      },
      { name: 'All tasks', operationId: 'listTasks', tests: succeeds(200) },
      {
        name: 'Change the task',
        operationId: 'updateTask',
        id: task,
        body: { max_execution_ms: 120_000 },
        tests: succeeds(200, "pm.test('it has the limit', () => pm.expect(answer.max_execution_ms).to.equal(120000));"),
      },
      { name: 'Run what is due', operationId: 'checkTasks', body: {}, tests: taskRan('answer.executed') },
      { name: 'Run the task now', operationId: 'triggerTask', body: { task_id: task }, tests: taskRan('answer') },
      { name: 'Get the task', operationId: 'getTask', id: task, tests: succeeds(200) },
      { name: 'Its runs', operationId: 'listTaskRuns', id: task, tests: taskRuns },
      { name: 'Delete the task', operationId: 'deleteTask', id: task, tests: succeeds(204) },
      {
        name: 'The task is gone',
        operationId: 'getTask',
        id: task,
        tests: isProblem(404, 'not_found'),
      },
    ],
  },
  {
    name: 'Skills',
    description: 'What the agent can do beside what it knows.',
    steps: [
      { name: 'Installed skills', operationId: 'listSkills', tests: succeeds(200) },
      { name: 'Install them anew', operationId: 'reloadSkills', body: {}, tests: succeeds(200) },
    ],
  },
  {
    name: 'Stop',
    description: 'Is left out of a run of the whole collection, unless the variable `allow_stop` is `true`.',
    steps: [
      {
        name: 'Stop the server',
        operationId: 'stop',
        body: { reason: 'asked for by the collection' },
        before: ["if (pm.variables.get('allow_stop') !== 'true') pm.execution.skipRequest();"],
        tests: succeeds(200),
      },
    ],
  },
];
