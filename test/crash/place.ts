/** A volume, the machines that use it one after another or at once, and what they have written so far. */

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Disk } from './disk.ts';
import { Ledger } from './ledger.ts';
import { type Looked, look } from './look.ts';
import { type Machine, type MachineInput, startMachine } from './machine.ts';
import type { Fault, Line } from './plan.ts';
import type { Random } from './random.ts';

export class Place {
  readonly dir: string;
  readonly storeDir: string;
  readonly ledger = new Ledger();
  readonly #disk: Disk;
  readonly #machines: Machine[] = [];
  #names = 0;
  /** How much of each journal was read. */
  readonly #read = new Map<string, number>();

  constructor(dir: string) {
    this.dir = dir;
    this.storeDir = join(dir, 'store');
    this.#disk = new Disk(this.storeDir);
    for (const name of ['store', 'memory', 'no-skills']) mkdirSync(join(dir, name), { recursive: true });
  }

  /** Each has a local disk of its own, which may be one that was used before. */
  async start(input: Partial<MachineInput> = {}): Promise<Machine> {
    const number = this.#machines.length + 1;
    const machine = startMachine({
      dir: this.dir,
      number,
      local: `local-${number % 3}`,
      strike: null,
      isLying: false,
      ...input,
    });
    this.#machines.push(machine);
    await machine.begun;
    return machine;
  }

  /** Of a client, and so of all that it says. */
  nextName(): string {
    this.#names += 1;
    return `c${this.#names}`;
  }

  get live(): Machine[] {
    return this.#machines.filter(({ state }) => state !== 'dead');
  }

  async killAll(): Promise<void> {
    for (const machine of this.live) await machine.kill();
  }

  /** New lines of all journals, in order. */
  readJournals(): Line[] {
    const lines: Line[] = [];
    for (const { journal } of this.#machines) {
      if (!existsSync(journal)) continue;
      const text = readFileSync(journal, 'utf8');
      const from = this.#read.get(journal) ?? 0;
      const to = text.lastIndexOf('\n') + 1;
      this.#read.set(journal, to);
      lines.push(...parse(text.slice(from, to)));
    }
    lines.sort((one, other) => one.at - other.at);
    this.#disk.feed(lines);
    return lines;
  }

  /** Whole, one after another. */
  allJournals(): Line[][] {
    return this.#machines.map(({ journal }) => parse(readFileSync(journal, 'utf8')));
  }

  /** A power cut of the file server: nothing is at work, and what was not flushed is at its mercy. */
  loseUnflushed(random: Random): string[] {
    this.readJournals();
    return this.#disk.lose(random);
  }

  look(): Looked {
    const { unreadable, lost, running } = look(this.storeDir, this.ledger);
    return { unreadable, lost: [...lost, ...this.ledger.faults], running };
  }

  setFault(fault: Fault | null): void {
    const path = join(this.dir, 'fault.json');
    if (fault === null) rmSync(path, { force: true });
    else writeFileSync(path, JSON.stringify(fault));
  }
}

function parse(text: string): Line[] {
  return text
    .split('\n')
    .filter((line) => line.endsWith('}'))
    .map((line): Line => JSON.parse(line));
}
