/**
 * A look at the volume as a person would take it, with plain SQLite and nothing of `src/`: before any instance has had a
 * chance to put it right.
 */

import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Ledger } from './ledger.ts';

export type Looked = {
  /** The volume cannot be read, or not whole. */
  unreadable: string[];
  /** What was acknowledged and is not there. */
  lost: string[];
  running: number;
};

/** `isQuiet`: no instance is at work on it, so the link for people names what the baton names. */
export function look(storeDir: string, ledger: Ledger): Looked {
  const names = existsSync(join(storeDir, 'baton')) ? readdirSync(join(storeDir, 'baton')) : [];
  if (names.length === 0 && ledger.isEmpty) return { unreadable: [], lost: [], running: 0 };
  const [name = '', ...others] = names;
  if (name === '' || others.length > 0) return unreadable(`baton/ holds ${names.join(' and ') || 'nothing'}`);
  const generation = name.split('-s-')[0] ?? '';
  if (generation.startsWith('0-'))
    return { unreadable: [], lost: ledger.isEmpty ? [] : ['everything: the volume is a new one'], running: 0 };
  const path = join(storeDir, generation, 'messages.db');
  if (!existsSync(path)) return unreadable(`baton/ names ${name}, and ${path} is not there`);
  const looked = open(path, ledger);
  const link = join(storeDir, 'messages.db');
  const linked = existsSync(link) ? dirname(readlinkSync(link)) : null;
  if (linked === null || linked === generation) return looked;
  // Between the passing of the baton and the new link: older, and whole.
  return { ...looked, unreadable: [...looked.unreadable, ...checkAlone(link)] };
}

function open(path: string, ledger: Ledger): Looked {
  try {
    const db = new DatabaseSync(path, { readOnly: true });
    try {
      const verdict = String(db.prepare('PRAGMA integrity_check').get()?.integrity_check);
      const running = Number(db.prepare("select count(*) as n from conversations where status = 'running'").get()?.n);
      return { unreadable: verdict === 'ok' ? [] : [`${path}: ${verdict}`], lost: ledger.missingFrom(db), running };
    } finally {
      db.close();
    }
  } catch (error) {
    return unreadable(`${path}: ${String(error)}`);
  }
}

function checkAlone(path: string): string[] {
  try {
    const db = new DatabaseSync(path, { readOnly: true });
    const verdict = String(db.prepare('PRAGMA integrity_check').get()?.integrity_check);
    db.close();
    return verdict === 'ok' ? [] : [`${path}: ${verdict}`];
  } catch (error) {
    return [`${path}: ${String(error)}`];
  }
}

function unreadable(fault: string): Looked {
  return { unreadable: [fault], lost: [], running: 0 };
}
