/**
 * Removes `<internal>…</internal>` from text that arrives in pieces.
 *
 * Whatever the split of the pieces, what is let through, concatenated, is the text less its blocks, to the byte:
 * nothing is trimmed. Text that may still turn out to be the beginning of a tag is held until it is known. A block that
 * is never closed stays hidden: the model meant it to be.
 */

const open = '<internal>';
const close = '</internal>';

/** `held` is the end of the text so far that may begin a tag; `hidden` counts the characters of the block we are in. */
export type FilterState = { inside: boolean; held: string; hidden: number };

export const initialFilterState: FilterState = { inside: false, held: '', hidden: 0 };

export function filterText(state: FilterState, text: string): { state: FilterState; visible: string } {
  let { inside, hidden } = state;
  let rest = state.held + text;
  let visible = '';
  for (;;) {
    const tag = inside ? close : open;
    const at = rest.indexOf(tag);
    if (at === -1) {
      const heldLength = tagPrefixLength(rest, tag);
      const known = rest.slice(0, rest.length - heldLength);
      if (inside) hidden += known.length;
      else visible += known;
      return { state: { inside, held: rest.slice(known.length), hidden }, visible };
    }
    if (!inside) visible += rest.slice(0, at);
    rest = rest.slice(at + tag.length);
    inside = !inside;
    hidden = 0;
  }
}

/** The end of the text: what was held as a possible tag is text after all; an unclosed block is dropped and counted. */
export function endFilter(state: FilterState): { visible: string; droppedCharacters: number } {
  return state.inside
    ? { visible: '', droppedCharacters: state.hidden + state.held.length }
    : { visible: state.held, droppedCharacters: 0 };
}

/** Of a text that is whole. */
export function withoutInternal(text: string): string {
  const { state, visible } = filterText(initialFilterState, text);
  return visible + endFilter(state).visible;
}

/** The length of the longest end of `text` that is a beginning of `tag`, the whole tag excepted. */
function tagPrefixLength(text: string, tag: string): number {
  for (let length = Math.min(tag.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(tag.slice(0, length))) return length;
  }
  return 0;
}
