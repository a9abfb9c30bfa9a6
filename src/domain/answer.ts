/**
 * The text of one run as its reader sees it, kept while the model produces it.
 *
 * - A run may hold several messages of the model (text, a tool, text again). Their texts are one answer; where neither
 *   side of a seam has white space, a blank line is put between, so that sentences do not run into each other.
 * - When the model's stream breaks and its message starts over, text that comes again as it was is not repeated; from
 *   the first difference on, the reader is told how much still stands (`rewind`).
 * - `text` is always what the changes so far add up to.
 */

import { endFilter, type FilterState, filterText, initialFilterState } from './internal-filter.ts';

export type AnswerChange = { type: 'chunk'; text: string } | { type: 'rewind'; keep: number };

/** Where the current message began, to return to when it starts over. */
type Checkpoint = { textLength: number; rawLength: number; filter: FilterState; seam: boolean };

export class Answer {
  #text = '';
  #raw = '';
  #filter = initialFilterState;
  /** The next visible text begins another message. */
  #seam = false;
  #checkpoint: Checkpoint = { textLength: 0, rawLength: 0, filter: initialFilterState, seam: false };
  /** While a message starts over: how much of what was shown it has repeated so far. */
  #repeated: number | null = null;

  get text(): string {
    return this.#text;
  }

  /** All that the model wrote, hidden blocks included. */
  get raw(): string {
    return this.#raw;
  }

  /** A message of the model begins. `continues`: it goes on in the middle of the one before, which was cut off. */
  beginMessage({ continues = false } = {}): AnswerChange[] {
    const changes = [...(continues ? [] : this.#releaseHeld()), ...this.#dropUnrepeated()];
    // What a message that showed nothing still owed, its continuation owes.
    if (!continues) this.#seam = this.#text !== '';
    this.#checkpoint = {
      textLength: this.#text.length,
      rawLength: this.#raw.length,
      filter: this.#filter,
      seam: this.#seam,
    };
    return changes;
  }

  /** The current message starts over. Nothing is taken back before the new text is known to differ. */
  restartMessage(): void {
    this.#raw = this.#raw.slice(0, this.#checkpoint.rawLength);
    this.#filter = this.#checkpoint.filter;
    this.#seam = this.#checkpoint.seam;
    this.#repeated = this.#checkpoint.textLength;
  }

  append(text: string): AnswerChange[] {
    this.#raw += text;
    const { state, visible } = filterText(this.#filter, text);
    this.#filter = state;
    return this.#show(visible);
  }

  /** The run is over. `droppedCharacters` counts what an unclosed hidden block kept from the reader. */
  end(): { changes: AnswerChange[]; droppedCharacters: number } {
    const { visible, droppedCharacters } = endFilter(this.#filter);
    this.#filter = initialFilterState;
    return { changes: [...this.#show(visible), ...this.#dropUnrepeated()], droppedCharacters };
  }

  /** No tag goes on in another message: what may have begun one is text. A block that is open stays open. */
  #releaseHeld(): AnswerChange[] {
    if (this.#filter.inside) return [];
    const { held } = this.#filter;
    this.#filter = initialFilterState;
    return this.#show(held);
  }

  #show(visible: string): AnswerChange[] {
    if (visible === '') return [];
    let added = visible;
    if (this.#seam) {
      const before = this.#repeated === null ? this.#text : this.#text.slice(0, this.#repeated);
      if (!/\s$/.test(before) && !/^\s/.test(visible)) added = `\n\n${visible}`;
      this.#seam = false;
    }
    if (this.#repeated === null) {
      this.#text += added;
      return [{ type: 'chunk', text: added }];
    }
    const shown = this.#text.slice(this.#repeated);
    const same = commonPrefixLength(shown, added);
    this.#repeated += same;
    if (same === added.length) {
      if (same === shown.length) this.#repeated = null;
      return [];
    }
    const changes = this.#dropUnrepeated();
    const rest = added.slice(same);
    this.#text += rest;
    return [...changes, { type: 'chunk', text: rest }];
  }

  /** What was shown of a broken message and did not come again does not stand. */
  #dropUnrepeated(): AnswerChange[] {
    const keep = this.#repeated;
    this.#repeated = null;
    if (keep === null || keep === this.#text.length) return [];
    this.#text = this.#text.slice(0, keep);
    return [{ type: 'rewind', keep }];
  }
}

function commonPrefixLength(a: string, b: string): number {
  const max = Math.min(a.length, b.length);
  let length = 0;
  while (length < max && a.charCodeAt(length) === b.charCodeAt(length)) length++;
  // Half of a surrogate pair is not text: a pair stands or falls as one.
  const last = a.charCodeAt(length - 1);
  return last >= 0xd800 && last <= 0xdbff ? length - 1 : length;
}
