/**
 * The volume as one plain SQLite file, `STORE_DIR/messages.db`, replaced whole by each sync. One instance at a time.
 *
 * - A sync is good when its file is in place and flushed; until then the one before it stands.
 * - Calls that arrive while a write is under way share the next one: that write may have begun before their commits.
 * - Whether anything changed is SQLite's own word (`data_version`), read before the copy: a commit that comes between the two
 *   is written again rather than missed. Only a good sync moves what counts as written.
 * - The runtime database is never opened but through SQLite: closing a plain descriptor of it would drop the locks
 *   that SQLite holds for the whole process.
 */

import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { messageOf } from './files.ts';
import { hydrateDatabase } from './hydrate.ts';
import { keepVersion1 } from './keep-version1.ts';
import { databasePath, temporaryPath, version1Path } from './layout.ts';
import { Reader } from './reader.ts';
import { writeSnapshot } from './snapshot.ts';
import { type HydrateReport, SyncFailed, type Volume, type VolumeStatus } from './volume.ts';

export type CopyVolumeInput = { storeDir: string; localDbPath: string; clock: Clock; log: Log };

export function createCopyVolume(input: CopyVolumeInput): Volume {
  return new CopyVolume(input);
}

class CopyVolume implements Volume {
  readonly #input: CopyVolumeInput;
  readonly #target: string;
  #status: VolumeStatus = { durable: true, lastSyncAt: null, epoch: 0, fault: null };
  #reader: Reader | null = null;
  /** The `data_version` of the reader that is on the volume; null when the volume holds no state of this database. */
  #writtenVersion: number | null = null;
  #version1ToKeep = false;
  /** The latest write that began, settled or not. */
  #begun: Promise<void> = Promise.resolve();
  /** The write that calls join: announced, not begun. */
  #announced: Promise<void> | null = null;
  #stopped = false;

  constructor(input: CopyVolumeInput) {
    this.#input = input;
    this.#target = databasePath(input.storeDir);
  }

  async hydrate(): Promise<HydrateReport> {
    const startedAt = performance.now();
    const { found, bytes } = await hydrateDatabase(this.#input);
    this.#version1ToKeep = found === 'v1';
    // What was just read need not be written back: at 1 GB that would be seconds of every cold start.
    if (found === 'v2') this.#writtenVersion = this.#openReader().dataVersion();
    const report = { found, bytes, durationMs: Math.round(performance.now() - startedAt) };
    this.#input.log.info({ ...report, path: this.#target }, 'hydrated from the volume');
    return report;
  }

  sync(): Promise<void> {
    if (this.#stopped) return Promise.reject(new SyncFailed(`${this.#target} is closed`, null));
    this.#announced ??= this.#writeAfter(this.#begun);
    return this.#announced;
  }

  status(): VolumeStatus {
    return this.#status;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await (this.#announced ?? this.#begun).catch(() => undefined);
    this.#reader?.close();
    this.#reader = null;
  }

  async #writeAfter(previous: Promise<void>): Promise<void> {
    await previous.catch(() => undefined);
    // From here on this write is the one that began: a call that comes now has committed too late for it.
    this.#begun = this.#announced ?? previous;
    this.#announced = null;
    try {
      await this.#writeChanges();
    } catch (error) {
      throw this.#fail(error);
    }
  }

  async #writeChanges(): Promise<void> {
    const { storeDir, clock } = this.#input;
    const reader = this.#openReader();
    const version = reader.dataVersion();
    if (version === this.#writtenVersion) {
      // What an earlier sync failed at was not a change: all that is committed is on the volume.
      this.#status = { ...this.#status, durable: true, fault: null };
      return;
    }
    await writeSnapshot({
      source: reader.connection,
      temporary: temporaryPath(storeDir),
      target: this.#target,
      beforeReplace: () => this.#keepVersion1(),
    });
    this.#writtenVersion = version;
    this.#status = { durable: true, lastSyncAt: clock.now(), epoch: this.#status.epoch + 1, fault: null };
  }

  #openReader(): Reader {
    this.#reader ??= new Reader(this.#input.localDbPath);
    return this.#reader;
  }

  async #keepVersion1(): Promise<void> {
    if (!this.#version1ToKeep) return;
    const { storeDir, log } = this.#input;
    const kept = version1Path(storeDir);
    const outcome = await keepVersion1({ original: this.#target, kept, temporary: temporaryPath(storeDir) });
    if (outcome === 'kept') log.info({ path: kept }, 'the database of PicoClaw 1.x is kept');
    else
      log.warn(
        { path: kept, outcome },
        'the database of PicoClaw 1.x is not kept: the name is taken, or the file is gone',
      );
    this.#version1ToKeep = false;
  }

  #fail(error: unknown): SyncFailed {
    const failure = new SyncFailed(`${this.#target} could not be written: ${messageOf(error)}`, error);
    this.#status = { ...this.#status, durable: false, fault: failure.message };
    this.#input.log.error({ err: failure }, 'sync failed');
    return failure;
  }
}
