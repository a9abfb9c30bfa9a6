/** A line that comes in pieces. One longer than `max` is let go: its pieces are none. */
export class LineInPieces<T extends { length: number }> {
  readonly #max: number;
  #pieces: T[] = [];
  #length = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add(piece: T): void {
    this.#length += piece.length;
    if (this.#length <= this.#max) this.#pieces.push(piece);
    else this.#pieces = [];
  }

  /** The pieces of the line that has ended; the next one begins. */
  end(): T[] {
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#length = 0;
    return pieces;
  }
}
