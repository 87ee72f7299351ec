/** Lines of a stream, each byte of which is looked at once and copied at most once. */
export class LineSplitter {
  readonly bytesMax: number;
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** True once a line is longer than allowed; nothing sensible comes after that. */
  get isOver(): boolean {
    return this.#bytes > this.bytesMax;
  }

  /** True if the last line has not ended. */
  get hasRest(): boolean {
    return this.#bytes > 0;
  }

  /** The lines that `chunk` ends, without their ends; empty ones are left out. */
  *push(chunk: Buffer): Generator<Buffer> {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      const line = this.#complete(chunk.subarray(start, end));
      start = end + 1;
      if (this.isOver) return;
      if (line.length > 0) yield line;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
  }

  #complete(tail: Buffer): Buffer {
    if (this.#bytes + tail.length > this.bytesMax) {
      this.#bytes += tail.length;
      return tail;
    }
    const line = this.#pieces.length === 0 ? tail : Buffer.concat([...this.#pieces, tail]);
    this.#pieces = [];
    this.#bytes = 0;
    return line;
  }

  #keep(piece: Buffer): void {
    this.#bytes += piece.length;
    if (!this.isOver) this.#pieces.push(piece);
  }
}
