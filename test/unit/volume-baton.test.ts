/** The baton: made once, passed by one of many, read only when it is one name. */

import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Baton, createBaton, isSameBaton, passBaton, readBaton } from '../../src/store/volume/baton.ts';
import { generationAfter, makeNonce, nameOf, parseGeneration } from '../../src/store/volume/layout.ts';
import { watchFs } from '../support/fs-faults.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const nonce = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 16, maxLength: 16 });
const generation = fc.record({ number: fc.nat(2 ** 31), nonce });
const baton: fc.Arbitrary<Baton> = fc.record({ generation, sealedFor: fc.option(nonce) });

function holding(...names: string[]): string {
  const storeDir = temporaryFolder();
  mkdirSync(join(storeDir, 'baton'));
  put(storeDir, ...names);
  return storeDir;
}

function put(storeDir: string, ...names: string[]): void {
  for (const name of names) writeFileSync(join(storeDir, 'baton', name), '');
}

const [one, two] = [`3-${'a'.repeat(16)}`, `4-${'b'.repeat(16)}`];

describe('the baton is made', () => {
  it('once, however many try at once in one process', async () => {
    const storeDir = temporaryFolder();
    const seen = await Promise.all(
      Array.from({ length: 20 }, async () => {
        await createBaton(storeDir);
        return readBaton(storeDir);
      }),
    );
    expect(new Set(seen.map((found) => found?.generation.nonce)).size).toBe(1);
    expect(seen[0]).toMatchObject({ generation: { number: 0 }, sealedFor: null });
    expect(readdirSync(storeDir)).toEqual(['baton']);
  });

  it('once, by several processes at once', async () => {
    const storeDir = temporaryFolder();
    const module = join(import.meta.dirname, '../../src/store/volume/baton.ts');
    const script = `import { createBaton, readBaton } from ${JSON.stringify(module)};
      process.stdout.write('ready');
      process.stdin.once('data', async () => {
        await Promise.all(Array.from({ length: 5 }, () => createBaton(${JSON.stringify(storeDir)})));
        process.stdout.write(' ' + (await readBaton(${JSON.stringify(storeDir)})).generation.nonce);
        process.exit();
      });`;
    const children = Array.from({ length: 4 }, () => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
      const ready = Promise.withResolvers<void>();
      const ended = Promise.withResolvers<string>();
      let output = '';
      child.stdout.on('data', (chunk) => {
        output += chunk;
        ready.resolve();
      });
      child.once('error', ready.reject);
      child.once('close', () => ended.resolve(output));
      return { child, ready: ready.promise, ended: ended.promise };
    });
    await Promise.all(children.map(({ ready }) => ready));
    for (const { child } of children) child.stdin.write('go');
    const outputs = await Promise.all(children.map(({ ended }) => ended));
    expect(new Set(outputs)).toEqual(new Set([`ready ${(await readBaton(storeDir))?.generation.nonce}`]));
    expect(readdirSync(storeDir)).toEqual(['baton']);
  });

  it('not where there is one', async () => {
    const storeDir = holding(one);
    await createBaton(storeDir);
    expect(await readBaton(storeDir)).toMatchObject({ generation: { number: 3 } });
  });
});

describe('the baton is passed', () => {
  it('by one of all that try, and the others learn that it is not what they saw', async () => {
    const storeDir = temporaryFolder();
    await createBaton(storeDir);
    for (let round = 0; round < 20; round += 1) {
      const from = await readBaton(storeDir);
      if (from === null) throw new Error('there is no baton');
      const tries = Array.from({ length: 10 }, (_, i): Baton => {
        // Some seal it, some pass it on.
        return i % 2 === 0
          ? { generation: generationAfter(from.generation), sealedFor: null }
          : { ...from, sealedFor: makeNonce() };
      });
      const passed = await Promise.all(tries.map((to) => passBaton(storeDir, from, to)));
      const [winner, ...others] = tries.filter((_, i) => passed[i]);
      expect(others).toEqual([]);
      expect(await readBaton(storeDir)).toEqual(winner);
    }
  });

  it('although the answer was lost: what is there afterwards counts', async () => {
    const storeDir = temporaryFolder();
    const faults = watchFs(storeDir);
    await createBaton(storeDir);
    const from = await readBaton(storeDir);
    if (from === null) throw new Error('there is no baton');
    const to: Baton = { ...from, sealedFor: makeNonce() };
    for (const code of ['ENOENT', 'EIO', 'ESTALE']) {
      const heal = faults.fail(code, ({ name }) => name === 'rename', 'after');
      const [a, b] = code === 'EIO' ? [to, from] : [from, to];
      expect(await passBaton(storeDir, a, b)).toBe(true);
      heal();
    }
  });

  it('although the answer was lost and somebody has sealed over it already: that is for the next look to find', async () => {
    const storeDir = temporaryFolder();
    const faults = watchFs(storeDir);
    await createBaton(storeDir);
    const found = await readBaton(storeDir);
    if (found === null) throw new Error('there is no baton');
    const to: Baton = { generation: generationAfter(found.generation), sealedFor: null };
    const over: Baton = { ...to, sealedFor: makeNonce() };
    const sealing = faults.hold(({ name }) => name === 'rename', 'after');
    const heal = faults.fail('ENOENT', ({ name }) => name === 'rename', 'after');
    const passing = passBaton(storeDir, found, to);
    await sealing.reached;
    heal();
    expect(await passBaton(storeDir, to, over)).toBe(true);
    sealing.release();
    expect(await passing).toBe(true);
    // A seal that was sealed over is lost: somebody else takes over.
    expect(await passBaton(storeDir, to, { ...to, sealedFor: makeNonce() })).toBe(false);
    expect(await readBaton(storeDir)).toEqual(over);
  });

  it('not by an error that says nothing: that is handed on', async () => {
    const storeDir = temporaryFolder();
    const faults = watchFs(storeDir);
    await createBaton(storeDir);
    const from = await readBaton(storeDir);
    if (from === null) throw new Error('there is no baton');
    const to: Baton = { ...from, sealedFor: makeNonce() };
    let heal = faults.fail('EIO', ({ name }) => name === 'rename');
    await expect(passBaton(storeDir, from, to)).rejects.toMatchObject({ code: 'EIO' });
    heal();
    // ESTALE is a file server's word for a name that is not there any more.
    heal = faults.fail('ESTALE', ({ name }) => name === 'rename');
    expect(await passBaton(storeDir, from, to)).toBe(false);
    heal();
    expect(await readBaton(storeDir)).toEqual(from);
  });
});

describe('the baton is read', () => {
  it('as it was written, sealed or not', async () => {
    const storeDir = holding('x');
    await fc.assert(
      fc.asyncProperty(baton, async (written) => {
        rmSync(join(storeDir, 'baton'), { recursive: true });
        mkdirSync(join(storeDir, 'baton'));
        const name = nameOf(written.generation) + (written.sealedFor === null ? '' : `-s-${written.sealedFor}`);
        put(storeDir, name);
        const found = await readBaton(storeDir);
        expect(found).toEqual(written);
        // And written again under the same name: a rename to itself is no change.
        expect(await passBaton(storeDir, written, written)).toBe(true);
        expect(readdirSync(join(storeDir, 'baton'))).toEqual([name]);
      }),
      { numRuns: 50 },
    );
  });

  it('as none where there is no folder', async () => {
    expect(await readBaton(temporaryFolder())).toBeNull();
  });

  it('without what NFS calls a removed file that is open', async () => {
    expect(await readBaton(holding(one, '.nfs0000000000000001'))).toMatchObject({ generation: { number: 3 } });
  });

  it.each([
    'notes.txt',
    '3-xyz',
    `03-${'a'.repeat(16)}`,
    `${one}-s-`,
    `${one}-s-${'c'.repeat(15)}`,
    `${one}-s-${'c'.repeat(16)}-s-${'d'.repeat(16)}`,
  ])('not as %s, which is named', async (name) => {
    await expect(readBaton(holding(name))).rejects.toThrow(`holds ${name}, which PicoClaw did not put there`);
  });

  it('again while a listing shows none or two: a rename is under way', async () => {
    for (const names of [[], [one, two]]) {
      const storeDir = holding(...names);
      const faults = watchFs(storeDir);
      let looks = 0;
      faults.before(({ name }) => {
        if (name !== 'readdir') return;
        looks += 1;
        if (looks < 4) return;
        rmSync(join(storeDir, 'baton', one), { force: true });
        put(storeDir, two);
      });
      expect(await readBaton(storeDir)).toMatchObject({ generation: { number: 4 } });
      expect(looks).toBe(4);
    }
  });

  it('not for ever: none and two are errors that say where to read on', async () => {
    await Promise.all([
      expect(readBaton(holding())).rejects.toThrow(/holds nothing, and must hold .*"The baton is damaged"/),
      expect(readBaton(holding(one, two))).rejects.toThrow(/holds (3-a+ and 4-b+|4-b+ and 3-a+), and must hold/),
    ]);
  });
});

it('two are the same when they have one name', () => {
  fc.assert(
    fc.property(baton, baton, (a, b) => {
      expect(isSameBaton(a, structuredClone(a))).toBe(true);
      expect(isSameBaton(a, b)).toBe(JSON.stringify(a) === JSON.stringify(b));
    }),
  );
});

it('the name of a generation says which it is, and nothing else is one', () => {
  fc.assert(
    fc.property(generation, fc.string(), (made, text) => {
      expect(parseGeneration(nameOf(made))).toEqual(made);
      expect(parseGeneration(text)).toBeNull();
    }),
  );
});
