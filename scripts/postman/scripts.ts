/** The scripts that Postman runs after a request. They are JavaScript of its sandbox (`pm`), line by line. */

/** After every request of the collection. */
export const always = [
  "pm.test('the request can be found in the log', () => pm.expect(pm.response.headers.get('X-Request-ID')).to.be.a('string'));",
];

/** `lines` find the body as `answer`; without one it is undefined. */
export function succeeds(status: number, ...lines: string[]): string[] {
  return [
    `pm.test('the status is ${status}', () => pm.response.to.have.status(${status}));`,
    ...(status === 204 ? [] : ['const answer = pm.response.json();']),
    ...lines,
  ];
}

export function isProblem(status: number, code: string): string[] {
  return [
    `pm.test('the status is ${status}', () => pm.response.to.have.status(${status}));`,
    "pm.test('it is a problem that says what is wrong', () => {",
    "  pm.expect(pm.response.headers.get('Content-Type')).to.equal('application/problem+json');",
    `  pm.expect(pm.response.json().code).to.equal('${code}');`,
    '});',
  ];
}

const answered = [
  "pm.test('the agent has answered', () => {",
  "  pm.expect(answer.status).to.equal('success');",
  "  pm.expect(answer.result).to.be.a('string').and.not.empty;",
  '});',
];

export const chatBegins = succeeds(
  200,
  ...answered,
  "pm.collectionVariables.set('conversation_id', answer.conversation_id);",
);

export const chatGoesOn = succeeds(
  200,
  ...answered,
  "pm.test('it is the same conversation', () =>",
  "  pm.expect(answer.conversation_id).to.equal(pm.collectionVariables.get('conversation_id')));",
);

/** Postman shows a stream as it comes, and gives it to the script as one text. */
export const chatStreams = [
  "pm.test('the status is 200', () => pm.response.to.have.status(200));",
  'const events = pm.response.text().split(/\\n\\n/)',
  '  .map((frame) => /^id: \\d+\\nevent: (\\w+)\\ndata: (.*)$/.exec(frame))',
  '  .filter((match) => match !== null)',
  '  .map(([, event, data]) => ({ event, data: JSON.parse(data) }));',
  "pm.test('it is a stream from start to done', () => {",
  "  pm.expect(pm.response.headers.get('Content-Type')).to.match(/^text\\/event-stream/);",
  "  pm.expect(events[0].event).to.equal('start');",
  "  pm.expect(events[events.length - 1].event).to.equal('done');",
  '});',
  "pm.test('the chunks, one after another, are the answer', () => {",
  "  let text = '';",
  '  for (const { event, data } of events) {',
  "    if (event === 'rewind') text = text.slice(0, data.keep);",
  "    if (event === 'chunk' && data.sender === undefined) text += data.text;",
  '  }',
  "  pm.expect(text).to.be.a('string').and.not.empty;",
  '  pm.expect(text).to.equal(events[events.length - 1].data.result);',
  '});',
];

/** `run`: where in the answer it is. */
export function taskRan(run: string): string[] {
  return succeeds(200, `pm.test('a task ran', () => pm.expect(${run}.status).to.equal('success'));`);
}

export const taskRuns = succeeds(
  200,
  "pm.test('its runs are on record', () => {",
  "  pm.expect(answer.runs).to.be.an('array').and.not.empty;",
  "  for (const run of answer.runs) pm.expect(run.task_id).to.equal(pm.collectionVariables.get('task_id'));",
  '});',
);
