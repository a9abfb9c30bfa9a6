/**
 * A long life of one server with the real agent: `npm run soak -- [--runs N] [--conversations C] [--seed S] [--entry FILE]`.
 *
 * More conversations than processes are kept, several at once, each run drawn at random (how it is asked, what it does), and
 * misfortunes at random moments: a claude process is killed, one or everything is frozen for a while, the persona and the
 * skills change, a conversation is deleted. Exit code 1 when anything of this does not hold:
 *
 * 1. Each message has an answer, and a failed one is explained: a killed process explains one failed run of its session.
 * 2. The model was told the whole conversation, each message once, in order, and nothing of another conversation. Each
 *    message carries the conversation's own word and a number, and the model answers with those that it was told.
 * 3. Whenever the server comes to rest, what it holds (processes, folders, descriptors, connections, memory) is what its idle
 *    processes need, however many runs there were.
 * 4. Nothing is left after a stop, and no process after a SIGKILL.
 */

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { startMcpServer, type TestMcpServer } from '../support/agent-mcp-server.ts';
import { readFrames } from '../support/frames.ts';
import { type Fault, type Model, startModel } from '../support/model.ts';
import { asCall, asCommand } from '../support/obedient-model.ts';
import { makeDir, post, startServer, type TestServer } from '../support/server.ts';
import { Random } from './random.ts';

export type SoakInput = {
  runs: number;
  conversations: number;
  /** How many of them the server keeps a process of. */
  kept: number;
  seed: number;
  /** The sources without it. */
  entry?: string;
  /** How many runs there are between two looks at what the server holds. */
  lookEvery: number;
  tell: (text: string) => void;
};

export type SoakReport = {
  faults: string[];
  counts: Record<string, number>;
  looks: Look[];
  /** Medians of the resident set, by quarters of the runs. */
  rssMib: number[];
};

const lanes = 4;
const spares = 1;
/** The longest that anything may take, on a machine that is busy with other things. */
const patienceMs = 120_000;
/** Below it the resident set has not levelled off yet. */
const fewestRunsForMemory = 400;
/** Last quarter to second quarter; and in heap that is in use, last look to the first after a quarter. */
const maxGrowth = { rssShare: 0.15, heapMib: 12 };

export async function soak(input: SoakInput): Promise<SoakReport> {
  const { seed, tell } = input;
  const dir = makeDir();
  const model = await startModel();
  scriptModel(model);
  await using mcp = await startMcpServer('http');
  try {
    const life = new Life({ ...input, dir, model, mcp });
    await life.live();
    if (life.report.faults.length > 0) tell(`kept for a look: ${dir}`);
    else rmSync(dir, { recursive: true, force: true });
    tell(`seed ${seed}`);
    return life.report;
  } finally {
    await model.stop();
  }
}

// ── The runs ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A conversation as its client knows it. */
type Talk = {
  /** In each of its messages, and in no other's. */
  word: string;
  id: string | null;
  /** Numbers of the messages that were accepted, in order. */
  told: number[];
  next: number;
  isBusy: boolean;
};

const deeds = {
  say: 8,
  echo: 3,
  background: 2,
  write: 2,
  mcp: 3,
  cut: 1,
  limit: 1,
  leave: 3,
  failOnce: 2,
  reset: 2,
  refuse: 1,
} as const;
type Deed = keyof typeof deeds;

const misfortunes = { kill: 5, freeze: 3, freezeAll: 2, persona: 1, skills: 1 } as const;
type Misfortune = keyof typeof misfortunes;

type Plan = {
  deed: Deed;
  isNew: boolean;
  isDeleted: boolean;
  stream: boolean;
  options: Record<string, unknown>;
  misfortune: { kind: Misfortune; afterMs: number; random: Random } | null;
  random: Random;
};

function makePlan(random: Random): Plan {
  const deed = random.pickName(deeds);
  const options = {
    ...(random.chance(0.15) ? { model: random.pick(['claude-sonnet-4-5', 'claude-haiku-4-5']) } : {}),
    ...(random.chance(0.15) ? { thinking: true, max_thinking_tokens: random.pick([2_000, 4_000]) } : {}),
    ...(random.chance(0.15) ? { effort: random.pick(['low', 'medium', 'high']) } : {}),
    ...(random.chance(0.1) ? { max_turns: random.pick([5, 9]) } : {}),
  };
  const misfortune = random.chance(0.2)
    ? { kind: random.pickName(misfortunes), afterMs: random.below(1_500), random: random.fork() }
    : null;
  return {
    deed,
    isNew: random.chance(0.03),
    isDeleted: random.chance(0.03),
    stream: random.chance(0.5),
    options,
    misfortune,
    random: random.fork(),
  };
}

/** Of a process that was killed by us. */
type Kill = { session: string; at: number; hasExplained: boolean };

type Ended = { status: 'success' | 'timeout' | 'error'; code: string | null; text: string; session: string | null };

const answer = z.looseObject({
  status: z.enum(['success', 'timeout', 'error']),
  conversation_id: z.string(),
  session_id: z.string().nullable(),
  result: z.string().nullable(),
  error: z.string().optional(),
  error_code: z.string().optional(),
});
const conversation = z.looseObject({ status: z.enum(['idle', 'running']), session_id: z.string().nullable() });
const messageList = z.looseObject({ messages: z.array(z.looseObject({ role: z.string(), content: z.string() })) });
const health = z.looseObject({
  agent: z.looseObject({
    warm: z.int(),
    sandbox: z.string().nullable(),
    processes: z.looseObject({ idle: z.int(), in_runs: z.int(), starting: z.int(), waiting: z.int() }),
  }),
});

type LifeInput = SoakInput & { dir: string; model: Model; mcp: TestMcpServer };

class Life {
  readonly report: SoakReport = { faults: [], counts: {}, looks: [], rssMib: [] };
  readonly #in: LifeInput;
  readonly #random: Random;
  readonly #talks: Talk[] = [];
  readonly #kills: Kill[] = [];
  readonly #misfortunes = new Set<Promise<void>>();
  readonly #rss: number[] = [];
  #server: TestServer | null = null;
  /** Nothing more is asked of one that ended before its time. */
  #hasDied = false;
  #instance = '';
  #persona = 0;
  #words = 0;
  #begun = 0;
  /** Freezes come one after another. */
  #freezing: Promise<void> = Promise.resolve();

  constructor(input: LifeInput) {
    this.#in = input;
    this.#random = new Random(input.seed);
    for (let count = 0; count < input.conversations; count += 1) this.#talks.push(this.#newTalk());
  }

  /** Never rejects: what it could not go on after is a fault. */
  async live(): Promise<void> {
    try {
      await this.#live();
    } catch (error) {
      this.#fault(error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
  }

  async #live(): Promise<void> {
    const { runs, lookEvery, dir, model } = this.#in;
    mkdirSync(join(dir, 'tmp'));
    this.#changePersona();
    {
      await using server = await this.#start();
      let isOver = false;
      void server.exited.then((code) => {
        this.#hasDied = !isOver;
        if (!isOver) this.#fault(`the server ended by itself: ${code}; ${server.stderr()}`);
      });
      try {
        for (let until = lookEvery; this.#begun < runs; until += lookEvery) {
          await Promise.all(Array.from({ length: lanes }, () => this.#lane(Math.min(until, runs))));
          await Promise.all(this.#misfortunes);
          if (this.#hasDied) return;
          await this.#look();
          model.mock.clearRequests();
        }
        this.#judgeGrowth();
        await this.#deleteAll();
      } finally {
        isOver = true;
      }
      await this.#stop(server);
    }
    await this.#dieAtWork();
  }

  async #start(): Promise<TestServer> {
    const { dir, model, entry, kept } = this.#in;
    const server = await startServer({
      model,
      dir,
      ...(entry === undefined ? {} : { entry }),
      env: {
        TMPDIR: join(dir, 'tmp'),
        SANDBOX: 'auto',
        WARM_CONVERSATIONS: String(kept),
        WARM_SPARES: String(spares),
        WARM_IDLE_MS: '60000',
        // The first as in production.
        NODE_OPTIONS: `--max-semi-space-size=16 --import=data:text/javascript,${encodeURIComponent(probe)}`,
        SOAK_PROBE_FILE: join(dir, 'probe.json'),
      },
    });
    this.#server = server;
    this.#instance = '';
    await this.#settled(server);
    this.#instance = instanceOf(server.pid);
    return server;
  }

  get #current(): TestServer {
    if (this.#server === null) throw new Error('there is no server');
    return this.#server;
  }

  async #lane(until: number): Promise<void> {
    while (this.#begun < until && !this.#hasDied) {
      this.#begun += 1;
      const plan = makePlan(this.#random);
      const talk = this.#choose(plan);
      talk.isBusy = true;
      try {
        await this.#run(talk, plan);
      } catch (error) {
        this.#fault(`${talk.word}: ${plan.deed}: ${error instanceof Error ? error.stack : String(error)}`);
      }
      talk.isBusy = false;
      this.#rss.push(rssMib(this.#current.pid));
    }
  }

  /** Some are spoken in often, and most seldom. */
  #choose(plan: Plan): Talk {
    const free = this.#talks.filter(({ isBusy }) => !isBusy);
    const talk = free[Math.floor(plan.random.next() ** 2 * free.length)];
    if (talk === undefined) throw new Error('every conversation is busy');
    if (plan.isNew) this.#replace(talk);
    return this.#talks.includes(talk) ? talk : (this.#talks.at(-1) ?? talk);
  }

  /** It is left alone from now on, and another begun. */
  #replace(talk: Talk): Talk {
    const fresh = this.#newTalk();
    this.#talks.splice(this.#talks.indexOf(talk), 1);
    this.#talks.push(fresh);
    return fresh;
  }

  #newTalk(): Talk {
    this.#words += 1;
    return {
      word: `w${this.#words}x${this.#random.below(2 ** 20).toString(36)}`,
      id: null,
      told: [],
      next: 1,
      isBusy: false,
    };
  }

  async #run(talk: Talk, plan: Plan): Promise<void> {
    if (plan.isDeleted && talk.id !== null) {
      await this.#delete(talk.id);
      Object.assign(talk, { ...this.#newTalk(), isBusy: true });
    }
    const number = talk.next;
    talk.next += 1;
    const token = `[${talk.word} n${number}]`;
    const ask = this.#makeAsk(plan, { token, name: nameOfMessage(talk.word, number) });
    const body = {
      message: `${token} ${ask.order}`,
      ...(talk.id === null ? {} : { conversation_id: talk.id }),
      ...plan.options,
      ...ask.options,
    };
    // Only of this run: one that dies before it asks the model must not leave its fault to the next.
    let isUnderWay = true;
    if (ask.fault !== null)
      this.#in.model.fault({ ...ask.fault, when: ({ raw }) => isUnderWay && raw.includes(token) });
    const persona = this.#persona;
    const sentAt = performance.now();
    this.#bring(plan.misfortune);
    const accept = (id: string) => {
      talk.id = id;
      if (talk.told.at(-1) !== number) talk.told.push(number);
    };
    const ended = await this.#send(body, {
      leaves: plan.deed === 'leave' ? plan.random.pick(['start', 'chunk'] as const) : null,
      stream: plan.stream,
      accept,
    });
    isUnderWay = false;
    this.#count(`${ended.status}${ended.code === null ? '' : ` ${ended.code}`}`);
    const around = plan.misfortune === null ? '' : `, ${plan.misfortune.kind}`;
    const what = `${talk.word} n${number} (${plan.deed}${plan.stream ? ' streamed' : ''}${around})`;
    const expected = ask.expected;
    if (ended.status !== expected.status || (expected.code !== null && ended.code !== expected.code)) {
      const isExplained = ended.status === 'error' && this.#explain(ended, sentAt);
      if (!isExplained)
        this.#fault(
          `${what} ended as ${ended.status} ${ended.code ?? ''} instead of ${expected.status}, session ${ended.session}: ${ended.text}`,
        );
      return;
    }
    if (ended.status === 'success') this.#judgeText(what, { text: ended.text, talk, persona, holds: ask.holds });
    if (plan.deed === 'write' && ended.status === 'success') {
      const path = join(this.#in.dir, 'memory', `${nameOfMessage(talk.word, number)}.txt`);
      if (!existsSync(path) || readFileSync(path, 'utf8') !== token) this.#fault(`${what}: its file is not there`);
      rmSync(path, { force: true });
    }
  }

  #makeAsk({ deed, random }: Plan, { token, name }: { token: string; name: string }): Ask {
    const usual: Ask = { order: 'Listen.', options: {}, fault: null, expected: success, holds: '' };
    switch (deed) {
      case 'say':
      case 'leave':
        return usual;
      case 'echo':
        return { ...usual, order: asCommand(`echo echoed-${name}`), holds: `echoed-${name}` };
      case 'background': {
        const detached = random.pick(['setsid nohup sleep 4000', 'sleep 4000', '(sleep 4000; sleep 1)']);
        return { ...usual, order: asCommand(`${detached} >/dev/null 2>&1 & echo left-${name}`), holds: `left-${name}` };
      }
      case 'write': {
        const file_path = join(this.#in.dir, 'memory', `${name}.txt`);
        return { ...usual, order: asCall('Write', { file_path, content: token }) };
      }
      case 'mcp':
        return {
          ...usual,
          order: asCall('mcp__library__lookup', { key: name }),
          options: { mcp_servers: { library: this.#in.mcp.server({ 'x-tenant': 'soak' }) } },
          holds: `found ${name}`,
        };
      case 'cut':
        return {
          ...usual,
          order: asCommand(`sleep 3000 # ${name}`),
          options: { max_execution_ms: 500 + random.below(2_500) },
          expected: { status: 'timeout', code: 'run_timeout' },
        };
      case 'limit':
        return {
          ...usual,
          order: asCommand(`echo ${name}`),
          options: { max_turns: 1 },
          expected: { status: 'error', code: 'limit_reached' },
        };
      case 'failOnce':
        return { ...usual, fault: { kind: 'status', status: random.pick([500, 529]) } };
      case 'reset':
        return { ...usual, fault: { kind: random.pick(['reset', 'end'] as const), afterDeltas: random.below(3) } };
      case 'refuse':
        return {
          ...usual,
          fault: { kind: 'status', status: 401, error: 'authentication_error', times: 100 },
          expected: { status: 'error', code: 'model_auth' },
        };
      default:
        return deed satisfies never;
    }
  }

  /** `leaves`: the event after which the client goes away. */
  async #send(
    body: object,
    input: { leaves: 'start' | 'chunk' | null; stream: boolean; accept: (id: string) => void },
  ): Promise<Ended> {
    const { leaves, accept } = input;
    const isStream = input.stream || leaves !== null;
    const response = await fetch(`${this.#current.url}/chat`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...body, stream: isStream }),
      signal: AbortSignal.timeout(patienceMs),
    });
    if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
    if (!isStream) {
      const told = answer.parse(await response.json());
      accept(told.conversation_id);
      return toEnded(told);
    }
    let [id, text] = ['', ''];
    for await (const { event, data } of readFrames(response)) {
      if (event === 'start') {
        id = z.string().parse(data.conversation_id);
        accept(id);
      }
      if (event === 'rewind') text = text.slice(0, z.int().parse(data.keep));
      if (event === 'chunk') text += z.string().parse(data.text);
      if (event === 'error') throw new Error(`an error ended the stream: ${JSON.stringify(data)}`);
      if (event === leaves) return await this.#afterwards(id);
      if (event !== 'done') continue;
      const told = answer.parse(data);
      if (told.status === 'success' && told.result !== text)
        throw new Error(`the chunks say ${JSON.stringify(text)}, and done ${JSON.stringify(told.result)}`);
      return toEnded(told);
    }
    throw new Error('the stream ended without its last event');
  }

  /** What became of a run whose client has left, as the conversation tells. */
  async #afterwards(id: string): Promise<Ended> {
    const { url } = this.#current;
    const found = await eventually('the run that was left has ended', async () => {
      const { status, session_id } = conversation.parse(await (await fetch(`${url}/chat/${id}`)).json());
      return status === 'idle' ? { session: session_id } : null;
    });
    const { messages } = messageList.parse(await (await fetch(`${url}/chat/${id}/messages?limit=200`)).json());
    const last = messages.at(-1);
    return last?.role === 'assistant'
      ? { status: 'success', code: null, text: last.content, ...found }
      : { status: 'error', code: 'left', text: 'no reply is stored', ...found };
  }

  #explain({ code, session }: Ended, sentAt: number): boolean {
    if (code !== 'agent_failed' && code !== 'left') return false;
    const kill = this.#kills.find((each) => !each.hasExplained && each.session === session && each.at >= sentAt);
    if (kill === undefined) return false;
    kill.hasExplained = true;
    this.#count('failed by a kill');
    return true;
  }

  #judgeText(what: string, input: { text: string; talk: Talk; persona: number; holds: string }): void {
    const { text, talk, persona, holds } = input;
    const heard = heardPattern.exec(text)?.groups;
    if (heard === undefined) {
      this.#fault(`${what}: an unexpected answer: ${JSON.stringify(text)}`);
      return;
    }
    if (heard.all !== talk.told.map((number) => `${talk.word}:${number}`).join(' '))
      this.#fault(`${what}: the model was told ${heard.all}, and of the conversation are ${talk.told.join(' ')}`);
    if (Number(heard.persona) < persona)
      this.#fault(`${what}: the persona was ${heard.persona}, and ${persona} before the run began`);
    if (!text.includes(holds)) this.#fault(`${what}: the tool answered ${JSON.stringify(heard.tool)}, not ${holds}`);
  }

  // ── Misfortunes ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #bring(misfortune: Plan['misfortune']): void {
    if (misfortune === null) return;
    const happening = this.#happen(misfortune).catch((error: unknown) =>
      this.#fault(`${misfortune.kind}: ${error instanceof Error ? error.stack : String(error)}`),
    );
    this.#misfortunes.add(happening);
    void happening.then(() => this.#misfortunes.delete(happening));
  }

  async #happen({ kind, afterMs, random }: NonNullable<Plan['misfortune']>): Promise<void> {
    await sleep(afterMs);
    const server = this.#current;
    switch (kind) {
      case 'kill':
        return this.#kill(random);
      case 'freeze': {
        const victims = claudesOf(server.pid, this.#instance);
        if (victims.length === 0) return;
        const victim = random.pick(victims);
        return await this.#freeze(random, () => [...victim.family]);
      }
      case 'freezeAll':
        return await this.#freeze(random, () => [server.pid, ...descendants(server.pid)]);
      case 'persona':
        this.#changePersona();
        return;
      case 'skills': {
        const response = await post(`${server.url}/admin/reload-skills`, {});
        if (response.status !== 200) this.#fault(`the skills: ${response.status} ${await response.text()}`);
        else await response.text();
        this.#count('skills reloaded');
        return;
      }
      default:
        return kind satisfies never;
    }
  }

  /** The program, or the sandbox around it. */
  #kill(random: Random): void {
    const victims = claudesOf(this.#current.pid, this.#instance).filter(({ session }) => session !== null);
    if (victims.length === 0) return;
    const { pid, program, session } = random.pick(victims);
    const at = performance.now();
    if (!signal(random.chance(0.5) ? pid : program, 'SIGKILL')) return;
    this.#kills.push({ session: session ?? '', at, hasExplained: false });
    this.#count('kills');
  }

  async #freeze(random: Random, choose: () => number[]): Promise<void> {
    const forMs = 100 + random.below(1_900);
    const mine = this.#freezing.then(async () => {
      const pids = choose();
      try {
        for (const pid of pids) signal(pid, 'SIGSTOP');
        await sleep(forMs);
      } finally {
        for (const pid of pids) signal(pid, 'SIGCONT');
      }
      this.#count(pids.includes(this.#current.pid) ? 'freezes of all' : 'freezes of one');
    });
    this.#freezing = mine.catch(() => undefined);
    await mine;
  }

  /** Whole, as an editor does it. */
  #changePersona(): void {
    this.#persona += 1;
    const folder = join(this.#in.dir, 'memory');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'CLAUDE.md.new'), `You are persona-${this.#persona}.\n`);
    renameSync(join(folder, 'CLAUDE.md.new'), join(folder, 'CLAUDE.md'));
    this.#count('personas');
  }

  // ── What is left ────────────────────────────────────────────────────────────────────────────────────────────────────

  async #delete(id: string): Promise<void> {
    const response = await fetch(`${this.#current.url}/chat/${id}`, { method: 'DELETE' });
    if (response.status !== 204) this.#fault(`a deletion: ${response.status} ${await response.text()}`);
    this.#count('deleted');
  }

  /** Resolves when no run is under way and as many processes are kept as health says. */
  async #settled(server: TestServer): Promise<z.infer<typeof health>['agent']> {
    let seen: unknown = null;
    return await eventually(
      'the server is at rest',
      async () => {
        const { agent } = health.parse((await server.get('/health')).body);
        seen = agent;
        const { idle, in_runs, starting, waiting } = agent.processes;
        if (in_runs + starting + waiting > 0 || agent.warm < spares) return null;
        if (this.#instance === '') return agent;
        return claudesOf(server.pid, this.#instance).length === idle + agent.warm ? agent : null;
      },
      () => `${JSON.stringify(seen)}, ${claudesOf(server.pid, this.#instance).length} processes`,
    );
  }

  async #look(): Promise<void> {
    const server = this.#current;
    const agent = await this.#settled(server);
    const probed = await this.#askProbe(server);
    const claudes = claudesOf(server.pid, this.#instance);
    const families = new Set(claudes.flatMap(({ family }) => [...family]));
    const strays = [...marked(this.#instance), ...descendants(server.pid)].filter(
      (pid) => !families.has(pid) && !isWatchdog(pid),
    );
    const workers = [...families].filter((pid) => !['bwrap', 'claude', 'setpriv'].includes(nameOf(pid)));
    const { fds, sockets } = descriptorsOf(server.pid);
    const tcp = tcpOf(server.pid, sockets);
    const look: Look = {
      runs: this.#begun,
      claudes: claudes.length,
      idle: agent.processes.idle,
      strays: strays.length + workers.length,
      folders: foldersOf(this.#in.dir).length,
      fds,
      // Three pipes to each process are sockets too.
      otherFds: fds - 3 * claudes.length - tcp.listening - tcp.connected - tcp.halfClosed,
      listening: tcp.listening,
      connected: tcp.connected,
      halfClosed: tcp.halfClosed,
      rssMib: Math.round(rssMib(server.pid)),
      heapMib: Math.round(probed.heapBytes / 1024 ** 2),
      timers: probed.resources.filter((name) => name === 'Timeout').length,
      resources: probed.resources.length,
    };
    this.report.looks.push(look);
    this.#in.tell(
      Object.entries(look)
        .map(([name, value]) => `${name} ${value}`)
        .join(', '),
    );
    const wrong = (what: string) => this.#fault(`after ${look.runs} runs: ${what}`);
    if (look.claudes > this.#in.kept + spares) wrong(`${look.claudes} claude processes`);
    for (const pid of [...strays, ...workers]) wrong(`a stray process ${pid}: ${commandOf(pid)}`);
    if (look.folders !== look.claudes) wrong(`${look.folders} folders of ${look.claudes} processes`);
    if (look.listening !== 2) wrong(`${look.listening} listening sockets`);
    if (look.halfClosed > 0) wrong(`${look.halfClosed} connections that the other side has closed`);
    for (const entry of server.log().filter(({ level }) => level === 'error' || level === 'fatal'))
      wrong(`logged ${JSON.stringify(entry).slice(0, 1_000)}`);
    if (server.stderr() !== '') wrong(`on stderr: ${server.stderr()}`);
  }

  async #askProbe(server: TestServer): Promise<z.infer<typeof probed>> {
    const file = join(this.#in.dir, 'probe.json');
    rmSync(file, { force: true });
    server.kill('SIGUSR2');
    return await eventually('the probe has answered', async () =>
      existsSync(file) ? probed.parse(JSON.parse(readFileSync(file, 'utf8'))) : null,
    );
  }

  #judgeGrowth(): void {
    const quarter = Math.ceil(this.#rss.length / 4);
    const quarters = [0, 1, 2, 3].map((at) => median(this.#rss.slice(at * quarter, (at + 1) * quarter)));
    this.report.rssMib = quarters.map(Math.round);
    const { looks } = this.report;
    const [settled, last] = [looks.find(({ runs }) => runs >= this.#in.runs / 4), looks.at(-1)];
    if (settled === undefined || last === undefined || settled === last) return;
    if (last.otherFds > settled.otherFds + 2)
      this.#fault(`descriptors, less those of processes and connections: ${settled.otherFds}, later ${last.otherFds}`);
    if (last.connected > 4 * (last.claudes + lanes)) this.#fault(`${last.connected} connections`);
    if (last.timers > settled.timers + 5) this.#fault(`timers: ${settled.timers}, later ${last.timers}`);
    if (this.#in.runs < fewestRunsForMemory) return;
    const [, second = 0, , fourth = 0] = quarters;
    if (fourth > second * (1 + maxGrowth.rssShare))
      this.#fault(`the resident set grew from ${second} MiB in the second quarter to ${fourth} in the last`);
    if (last.heapMib > settled.heapMib + maxGrowth.heapMib)
      this.#fault(`the heap grew from ${settled.heapMib} MiB to ${last.heapMib}`);
  }

  /** Then no process but the spare, and no transcript, is anybody's. */
  async #deleteAll(): Promise<void> {
    const list = z.looseObject({ conversations: z.array(z.looseObject({ id: z.string() })) });
    for (let round = 0; round < 1_000; round += 1) {
      const { conversations } = list.parse((await this.#current.get('/chat?limit=50')).body);
      if (conversations.length === 0) break;
      for (const { id } of conversations) await this.#delete(id);
    }
    const { idle } = (await this.#settled(this.#current)).processes;
    if (idle > 0) this.#fault(`${idle} processes of conversations that were deleted`);
    const projects = join(this.#in.dir, 'memory/.claude/projects');
    const left = readdirSync(projects, { recursive: true }).filter((name) => String(name).endsWith('.jsonl'));
    if (left.length > 0) this.#fault(`${left.length} transcripts of conversations that were deleted`);
    this.#talks.splice(0, this.#talks.length, ...this.#talks.map(() => this.#newTalk()));
  }

  async #stop(server: TestServer): Promise<void> {
    const children = descendants(server.pid);
    server.kill('SIGTERM');
    const code = await server.exited;
    if (code !== 0) this.#fault(`the stop ended with ${code}`);
    const left = [...new Set([...marked(this.#instance), ...children.filter(isThere)])];
    for (const pid of left) this.#fault(`after the stop there is ${pid}: ${commandOf(pid)}`);
    for (const name of foldersOf(this.#in.dir)) this.#fault(`after the stop there is the folder ${name}`);
    if (server.stderr() !== '') this.#fault(`on stderr: ${server.stderr()}`);
  }

  /** A second server, killed while all of its lanes work; and a third, which finds what it has left. */
  async #dieAtWork(): Promise<void> {
    let instance = '';
    {
      await using server = await this.#start();
      instance = this.#instance;
      const sent = Array.from({ length: lanes }, async (_, lane) => {
        const order = asCommand(`setsid sleep 400${lane} & sleep 500${lane} # ${nameOfMessage('killed', lane)}`);
        await fetch(`${server.url}/chat`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ message: `[killed n${lane}] ${order}` }),
        }).catch(() => undefined);
      });
      await eventually('the tools are at work', async () => {
        const commands = marked(instance).map(commandOf);
        return Array.from({ length: lanes }, (_, lane) => lane).every(
          (lane) => commands.includes(`sleep 400${lane}`) && commands.includes(`sleep 500${lane}`),
        )
          ? true
          : null;
      });
      const family = [...descendants(server.pid), ...marked(instance)];
      server.kill('SIGKILL');
      await server.exited;
      await Promise.all(sent);
      await eventually('nothing is left of a killed server', async () => (family.some(isThere) ? null : true)).catch(
        (error: unknown) =>
          this.#fault(
            `${String(error)}: ${family
              .filter(isThere)
              .map((pid) => `${pid} ${commandOf(pid)}`)
              .join(', ')}`,
          ),
      );
      for (const pid of marked(instance)) this.#fault(`after the kill there is ${pid}: ${commandOf(pid)}`);
    }
    const abandoned = foldersOf(this.#in.dir);
    await using third = await this.#start();
    await eventually('the next start has removed the folders of the killed server', async () =>
      foldersOf(this.#in.dir).some((name) => abandoned.includes(name)) ? null : true,
    );
    await this.#stop(third);
  }

  #fault(what: string): void {
    // It would say so at each look.
    if (this.report.faults.includes(what)) return;
    this.report.faults.push(what);
    this.#in.tell(`FAULT ${what}`);
  }

  #count(what: string): void {
    this.report.counts[what] = (this.report.counts[what] ?? 0) + 1;
  }
}

type Ask = {
  order: string;
  options: Record<string, unknown>;
  fault: Fault | null;
  expected: { status: Ended['status']; code: string | null };
  /** What the tool's answer has in it. */
  holds: string;
};

const success = { status: 'success', code: null } as const;

function toEnded(told: z.infer<typeof answer>): Ended {
  const { status, error_code = null, result, error, session_id } = told;
  return { status, code: error_code, text: error ?? result ?? '', session: session_id };
}

// ── The model ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Answers with all that it was told, once it has called what the last message wants to have called. */
function scriptModel(model: Model): void {
  model.mock.on({}, ({ messages }) => {
    const told = messages.filter(({ role }) => role === 'user').map(({ content }) => textOf(content));
    const last = [...(told.at(-1) ?? '').matchAll(/\[(w\w+|killed) n(\d+)\]([^[]*)/g)].at(-1);
    const [, word = '', number = '', order = ''] = last ?? [];
    const call = /call: ([\w+/=]+)/.exec(order)?.[1];
    // Not by the last message: a new one and the answer to a call that was cut off come as one.
    const called = JSON.stringify(messages.filter(({ role }) => role === 'assistant'));
    if (call !== undefined && !called.includes(nameOfMessage(word, number)))
      return { toolCalls: [toolCall.parse(JSON.parse(atob(call)))] };
    const all = [...told.join('\n').matchAll(/\[(w\w+) n(\d+)\]/g)].map((found) => `${found[1]}:${found[2]}`);
    const personas = [...JSON.stringify(messages).matchAll(/persona-(\d+)/g)].map((found) => Number(found[1]));
    const tool = textOf(messages.findLast(({ role }) => role === 'tool')?.content).slice(0, 200);
    return { content: `Heard ${all.join(' ')}; persona ${Math.max(0, ...personas)}; tool ${tool}.` };
  });
}

/** In the call that a message wants, and in no other's. */
function nameOfMessage(word: string, number: number | string): string {
  return `${word}-${number}-`;
}

const heardPattern = /^Heard (?<all>[^;]*); persona (?<persona>\d+); tool (?<tool>[\s\S]*)\.$/;

const toolCall = z.object({ name: z.string(), arguments: z.string() });

function textOf(content: unknown): string {
  return typeof content === 'string' ? content : JSON.stringify(content ?? '');
}

// ── The machine ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export type Look = Record<
  | 'runs'
  | 'claudes'
  | 'idle'
  | 'strays'
  | 'folders'
  | 'fds'
  | 'otherFds'
  | 'listening'
  | 'connected'
  | 'halfClosed'
  | 'rssMib'
  | 'heapMib'
  | 'timers'
  | 'resources',
  number
>;

/** Loaded into the server: at each SIGUSR2 it tells what is in use, once what is not has been collected. */
const probe = `
import { renameSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');
const file = process.env.SOAK_PROBE_FILE;
delete process.env.NODE_OPTIONS;
process.on('SIGUSR2', () => {
  collect();
  setImmediate(() => {
    collect();
    const told = { heapBytes: process.memoryUsage().heapUsed, resources: process.getActiveResourcesInfo() };
    writeFileSync(file + '.new', JSON.stringify(told));
    renameSync(file + '.new', file);
  });
});
`;

const probed = z.object({ heapBytes: z.number(), resources: z.array(z.string()) });

/** A claude process of the server: what the server has started, the program in it, and all below. */
type Claude = { pid: number; program: number; session: string | null; family: ReadonlySet<number> };

function claudesOf(server: number, instance: string): Claude[] {
  const parents = parentsOfAll();
  const ours = new Set(marked(instance));
  return [...ours]
    .filter((pid) => parents.get(pid) === server)
    .map((pid) => {
      const family = new Set([pid, ...descendants(pid, parents)]);
      const program = [...family].find((each) => nameOf(each) === 'claude') ?? pid;
      const session = /CLAUDE_CONFIG_DIR=[^\0]*\/([0-9a-f-]{36})\/config/.exec(environOf(program))?.[1] ?? null;
      return { pid, program, session, family };
    });
}

/** All that carry the server's mark, whoever their parent is. */
function marked(instance: string): number[] {
  if (instance === '') return [];
  return processes().filter((pid) => environOf(pid).includes(`PICOCLAW_INSTANCE=${instance}\0`));
}

/** The server's mark, as its watchdog was told. */
function instanceOf(server: number): string {
  const watchdog = descendants(server).find(isWatchdog);
  const instance = /PICOCLAW_INSTANCE=(\S+)/.exec(watchdog === undefined ? '' : commandOf(watchdog))?.[1];
  if (instance === undefined) throw new Error('the server has no watchdog');
  return instance;
}

function isWatchdog(pid: number): boolean {
  return commandOf(pid).includes('picoclaw-watchdog');
}

function processes(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** But for those that are gone, and zombies. */
function parentsOfAll(): Map<number, number> {
  const parents = new Map<number, number>();
  for (const pid of processes()) {
    const [state, parent] = statOf(pid);
    if (state !== '' && state !== 'Z') parents.set(pid, Number(parent));
  }
  return parents;
}

function descendants(pid: number, parents = parentsOfAll()): number[] {
  const children = [...parents].filter(([, parent]) => parent === pid).map(([child]) => child);
  return [...children, ...children.flatMap((child) => descendants(child, parents))];
}

function isThere(pid: number): boolean {
  const [state] = statOf(pid);
  return state !== '' && state !== 'Z';
}

function statOf(pid: number): string[] {
  const stat = read(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function nameOf(pid: number): string {
  return read(`/proc/${pid}/comm`).trim();
}

function commandOf(pid: number): string {
  return read(`/proc/${pid}/cmdline`).split('\0').join(' ').trim();
}

function environOf(pid: number): string {
  return `${read(`/proc/${pid}/environ`)}\0`;
}

function rssMib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) / 1024;
}

function descriptorsOf(pid: number): { fds: number; sockets: Set<string> } {
  const targets = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return '';
    }
  });
  const sockets = targets.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []);
  return { fds: targets.filter((target) => target !== '').length, sockets: new Set(sockets) };
}

/** The server's own; the states are those of include/net/tcp_states.h. */
function tcpOf(pid: number, sockets: Set<string>): { listening: number; connected: number; halfClosed: number } {
  const states = read(`/proc/${pid}/net/tcp`)
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => sockets.has(fields[9] ?? ''))
    .map((fields) => fields[3]);
  const count = (wanted: string) => states.filter((state) => state === wanted).length;
  return { listening: count('0A'), connected: count('01'), halfClosed: count('08') };
}

/** Of claude processes. */
function foldersOf(dir: string): string[] {
  const root = join(dir, 'tmp', `picoclaw-${process.getuid?.() ?? 0}`);
  return existsSync(root) ? readdirSync(root) : [];
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** Whether it was there to be signalled. */
function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

/** For what gives no signal of its own. */
async function eventually<T>(what: string, look: () => Promise<T | null>, tell = () => ''): Promise<T> {
  const everyMs = 50;
  for (let leftMs = patienceMs; leftMs > 0; leftMs -= everyMs) {
    const found = await look();
    if (found !== null) return found;
    await sleep(everyMs);
  }
  throw new Error(`waited in vain until ${what} ${tell()}`);
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

// ── The command ─────────────────────────────────────────────────────────────────────────────────────────────────────────

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '1000' },
      conversations: { type: 'string', default: '50' },
      seed: { type: 'string' },
      entry: { type: 'string' },
    },
  });
  const conversations = Number(values.conversations);
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
  const beganAt = performance.now();
  const {
    faults,
    counts,
    looks,
    rssMib: quarters,
  } = await soak({
    runs: Number(values.runs),
    conversations,
    kept: Math.max(1, Math.floor(conversations / 4)),
    seed,
    ...(values.entry === undefined ? {} : { entry: values.entry }),
    lookEvery: 100,
    tell: (text) => console.info(`${Math.round((performance.now() - beganAt) / 1000)} s: ${text}`),
  });
  console.table(looks);
  console.table(counts);
  const minutes = ((performance.now() - beganAt) / 60_000).toFixed(1);
  console.info(
    `soak: ${values.runs} runs, ${faults.length} faults, resident by quarter ${quarters.join(', ')} MiB, ${minutes} min, seed ${seed}`,
  );
  for (const fault of faults) console.error(`FAULT ${fault}`);
  process.exit(faults.length > 0 ? 1 : 0);
}
